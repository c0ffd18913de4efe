"""The offline check: derives the whole log again and finds any changed byte.

    python -m gateway.audit.check FOLDER --key VERIFIER-KEY [--anchor FILE]

Needs Python, ``cryptography`` and the files beside this one; no database, no network.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gateway.audit.checkpoint import CheckpointFault, CheckpointReader, Note, Verifier
from gateway.audit.entry import Entry, EntryFault, read
from gateway.audit.folder import CHECKPOINT, VERIFIER_KEY, Folder
from gateway.audit.handover import Handovers
from gateway.audit.merkle import HASH_BYTES, TILE_WIDTH, Frontier, leaf_hash, node_hash
from gateway.audit.report import (
    MAX_FAULTS,
    CheckReport,
    Fault,
    FaultKind,
    Kept,
    KeptEntry,
    KeptFault,
)
from gateway.audit.stamped import ReadStamp, Stamped

Watch = Callable[[int, Entry], None]
EXIT_OK, EXIT_FAULTS, EXIT_UNCHECKED = 0, 1, 2
ANCHOR = "anchor"
MAX_HOURS = 24 * 36_500


@dataclass(frozen=True)
class Stamping:
    """Who reads stamps, if anybody does, and how soon an entry must be stamped, if at all."""

    read: ReadStamp | None = None
    within: dt.timedelta | None = None


UNREAD = Stamping()


class Check:
    """One pass over a log. ``run`` promises that a log without faults fulfils all of these:

    1. Each checkpoint is stored under its own size, and signed by a key that is believed
       (``gateway.audit.handover``) and was not retired; no line of it is anybody else's.
    2. Entries are numbered from 0 without a gap.
    3. Each leaf is canonical JSON of a known version; copies of its fields agree with it.
    4. No event id occurs twice.
    5. Each tile holds exactly the hashes of the leaves; none is missing, none left over.
    6. The stored size is the number of entries.
    7. Each signed root is the root of the leaves at that size: so all checkpoints agree
       with each other, and an entry under one has not changed since it was signed.
    8. The anchor is signed by a believed key, is not larger than the log, and its root is the
       root of the leaves at that size.
    9. The stamps are as the log says, and with ``stamped`` more (``gateway.audit.stamped``).

    Memory does not grow with the log, but for 16 bytes per event id and the checkpoints.
    """

    def __init__(
        self,
        kept: Kept,
        verifier: CheckpointReader,
        *,
        anchor: str | None = None,
        stamping: Stamping = UNREAD,
    ) -> None:
        self._kept = kept
        self._stamping = stamping
        self._stamped = Stamped({}, None, None)
        self._handovers = Handovers(verifier.keys)
        self._origin = verifier.keys[0].name
        self._anchor = anchor
        self._faults: list[Fault] = []
        self._heads: dict[int, list[tuple[str, Note]]] = {}
        self._fitting: list[tuple[str, Note]] = []
        self._frontier = Frontier()
        self._open: list[bytearray] = []
        self._full: list[int] = []
        self._seen: set[bytes] = set()
        self._holding = 0
        self.newest: Note | None = None

    def run(self, watch: Watch | None = None) -> CheckReport:
        """Check everything; ``watch`` sees each entry that could be read."""
        self._read_heads()
        self._read_stamps()
        self._compare_roots()
        try:
            for kept in self._kept.entries():
                self._take(kept, watch)
        except KeptFault as stop:
            self._faults.append(stop.fault)
        self._close_tiles()
        self._missed_heads()
        self._check_signatures()
        return self.report()

    @property
    def stamped(self) -> frozenset[int]:
        """After ``run``: the sizes of the heads that the log says were stamped."""
        return self._stamped.said

    @property
    def believed(self) -> frozenset[Verifier]:
        """After ``run``: the keys that were given, and those that the log vouches for."""
        return self._handovers.believed

    def report(self) -> CheckReport:
        """The outcome so far."""
        return CheckReport(
            entries=self._frontier.size,
            checkpoints=self._holding,
            faults=tuple(self._faults[:MAX_FAULTS]),
            anchored=self._anchor is not None,
            stamps=self._stamped.holding,
            stamped_at=None if (last := self._stamped.last) is None else last.isoformat(),
        )

    def fault(self, kind: FaultKind, where: str, text: str) -> None:
        """Note a fault; only the first hundred are kept."""
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(Fault(kind, where, text))

    def _read_heads(self) -> None:
        # 1
        try:
            for size, text in self._kept.notes():
                where = f"checkpoint {size}"
                head = self._note(where, text)
                if head is None:
                    continue
                if head.size != size:
                    self.fault(FaultKind.CHANGED, where, "it is stored under another size")
                    continue
                self.newest = head
                self._heads.setdefault(size, []).append((where, head))
        except KeptFault as stop:
            self._faults.append(stop.fault)
        if self._anchor is not None:
            anchor = self._note(ANCHOR, self._anchor)
            if anchor is not None:
                self._heads.setdefault(anchor.size, []).append((ANCHOR, anchor))

    def _read_stamps(self) -> None:
        replies: dict[int, bytes] = {}
        try:
            replies = dict(self._kept.stamps())
        except KeptFault as stop:
            self._faults.append(stop.fault)
        self._stamped = Stamped(replies, self._stamping.read, self._stamping.within)

    def _note(self, where: str, text: str) -> Note | None:
        try:
            note = Note.read(text)
        except CheckpointFault as fault:
            self.fault(FaultKind.SIGNATURE, where, str(fault))
            return None
        if note.origin != self._origin:
            self.fault(FaultKind.SIGNATURE, where, "The note is of another log.")
            return None
        return note

    def _take(self, kept: KeptEntry, watch: Watch | None) -> None:
        where = f"entry {kept.index}"
        # 2
        if kept.index != self._frontier.size:
            raise KeptFault(
                FaultKind.MISSING, where, f"entry {self._frontier.size} should stand here"
            )
        value = leaf_hash(kept.leaf)
        self._frontier.append(value)
        self._add(0, value)
        self._compare_roots()
        # 3
        try:
            entry = read(kept.leaf)
        except EntryFault as fault:
            self.fault(FaultKind.MALFORMED, where, str(fault))
            return
        for name, column in kept.columns.items():
            if getattr(entry, name) != column:
                self.fault(FaultKind.CHANGED, where, f"the stored {name} is not the leaf's")
        # 4
        mark = hashlib.sha256(entry.id.encode()).digest()[:16]
        if mark in self._seen:
            self.fault(FaultKind.DUPLICATE, where, "its event id occurs before")
        self._seen.add(mark)
        self._handovers.see(kept.index, entry)
        self._stamped.see(self._frontier.size, entry)
        if watch is not None:
            watch(kept.index, entry)

    def _compare_roots(self) -> None:
        # 7, 8
        for where, head in self._heads.pop(self._frontier.size, ()):
            if head.root == self._frontier.root():
                self._fitting.append((where, head))
                continue
            kind = FaultKind.FORKED if where == ANCHOR else FaultKind.CHANGED
            self.fault(kind, where, "its root is not the root of the entries")

    def _missed_heads(self) -> None:
        for heads in self._heads.values():
            for where, head in heads:
                kind = FaultKind.TRUNCATED
                self.fault(kind, where, f"it covers {head.size} entries, more than there are")

    def _check_signatures(self) -> None:
        # 1, 8: only now is it known which keys the log vouches for.
        self._handovers.settle([head for _, head in self._fitting])
        places = {n for n, (where, _) in enumerate(self._fitting) if where == ANCHOR}
        wrongs = list(self._handovers.objections(witnessed=places))
        holding: dict[int, Note] = {}
        for (where, head), wrong in zip(self._fitting, wrongs, strict=True):
            if wrong is not None:
                self.fault(FaultKind.SIGNATURE, where, wrong)
            elif where != ANCHOR:
                self._holding += 1
                holding[head.size] = head
        # Not said beside "not signed by this key", which says more.
        if wrongs and not any(wrongs) and self._handovers.abandoned:
            text = "it goes on without the key, and does not say that it was retired"
            self.fault(FaultKind.SIGNATURE, "log", text)
        # 9
        for fault in self._stamped.settle(holding):
            self.fault(fault.kind, fault.where, fault.text)

    def _add(self, level: int, value: bytes) -> None:
        if level == len(self._open):
            self._open.append(bytearray())
            self._full.append(0)
        self._open[level] += value
        if len(self._open[level]) == TILE_WIDTH * HASH_BYTES:
            hashes = bytes(self._open[level])
            self._compare_tile(level, hashes)
            self._full[level] += 1
            self._open[level] = bytearray()
            while len(hashes) > HASH_BYTES:
                hashes = b"".join(
                    node_hash(hashes[at : at + HASH_BYTES], hashes[at + HASH_BYTES : at + 64])
                    for at in range(0, len(hashes), 2 * HASH_BYTES)
                )
            self._add(level + 1, hashes)

    def _compare_tile(self, level: int, hashes: bytes) -> None:
        # 5
        index, width = self._full[level], len(hashes) // HASH_BYTES
        stored = self._kept.tile(level, index, width)
        if stored != hashes:
            kind = FaultKind.CHANGED if stored else FaultKind.MISSING
            self.fault(kind, f"tile {level}/{index}", "it does not hold the entries' hashes")

    def _close_tiles(self) -> None:
        # 5
        for level, hashes in enumerate(self._open):
            if hashes:
                self._compare_tile(level, bytes(hashes))
        counts = [full + bool(rest) for full, rest in zip(self._full, self._open, strict=True)]
        try:
            for level, index in self._kept.tiles():
                if not (0 <= level < len(counts) and 0 <= index < counts[level]):
                    place = f"tile {level}/{index}"
                    self.fault(FaultKind.STRAY, place, "no entries belong to it")
        except KeptFault as stop:
            self._faults.append(stop.fault)
        # 6
        try:
            size = self._kept.size()
        except KeptFault as stop:
            self._faults.append(stop.fault)
            return
        if size != self._frontier.size:
            text = f"it says {size}, there are {self._frontier.size} entries"
            self.fault(FaultKind.CHANGED, "size", text)


def check_export(
    path: Path,
    verifier_key: str,
    anchor: str | None = None,
    *,
    stamping: Stamping = UNREAD,
) -> CheckReport:
    """Check an exported folder against a verifier key that did not come with it.

    ``anchor`` is the text of a checkpoint kept elsewhere. Besides the promises of Check:
    the checkpoint covers every entry, the folder's copy of the key is one that is believed,
    and the folder holds nothing else. Raises CheckpointFault when ``verifier_key`` is not a
    key.
    """
    verifier = Verifier.parse(verifier_key)
    try:
        head = Note.read(Folder(path).text(CHECKPOINT))
    except (CheckpointFault, KeptFault) as stop:
        fault = Fault(FaultKind.SIGNATURE, CHECKPOINT, str(stop))
        if isinstance(stop, KeptFault):
            fault = stop.fault
        return CheckReport(
            entries=0, checkpoints=0, faults=(fault,), anchored=anchor is not None
        )
    folder = Folder(path, head.size)
    check = Check(folder, verifier, anchor=anchor, stamping=stamping)
    report = check.run()
    extra: list[Fault] = []
    try:
        if folder.text(VERIFIER_KEY) not in {f"{key.text}\n" for key in check.believed}:
            extra.append(Fault(FaultKind.CHANGED, VERIFIER_KEY, "it is another key"))
    except KeptFault as stop:
        extra.append(stop.fault)
    # A size that is a lie would have this look for files without end.
    if report.entries == head.size:
        extra += folder.strays()
        extra += (
            Fault(FaultKind.STRAY, f"stamp {size}", "the log does not say that it was given")
            for size in folder.stamped()
            if size not in check.stamped
        )
    return replace(report, faults=(*report.faults, *extra)[:MAX_FAULTS])


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a folder from the command line: 0 = no fault, 1 = faults, 2 = not checked."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.audit.check",
        description="Derive an exported log again and report every byte that does not fit.",
    )
    parser.add_argument("folder", type=Path, help="the export (holds 'checkpoint')")
    parser.add_argument("--key", required=True, help="verifier key, name+hash+base64")
    parser.add_argument("--anchor", type=Path, help="a checkpoint that was kept elsewhere")
    parser.add_argument("--roots", type=Path, help="root certificates (PEM) of the stamps")
    parser.add_argument(
        "--within", type=float, help="hours in which each entry must have been stamped"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    chosen = parser.parse_args(arguments)
    try:
        anchor = chosen.anchor.read_text(encoding="utf-8") if chosen.anchor else None
        stamping = _stamping(chosen.roots, chosen.within)
        report = check_export(chosen.folder, chosen.key, anchor, stamping=stamping)
    except (OSError, ValueError) as fault:
        sys.stderr.write(f"Could not check: {fault}\n")
        return EXIT_UNCHECKED
    sys.stdout.write(_json(report) if chosen.json else plain(report))
    return EXIT_OK if report.ok else EXIT_FAULTS


def within_hours(hours: float) -> dt.timedelta:
    """How soon an entry must be stamped. Raises ValueError for what is no such time."""
    if not 0 < hours <= MAX_HOURS:
        raise ValueError("--within wants a number of hours above 0")
    return dt.timedelta(hours=hours)


def _stamping(roots: Path | None, hours: float | None) -> Stamping:
    if roots is None:
        if hours is not None:
            raise ValueError("--within needs --roots")
        return UNREAD
    # Here and not above: it needs a library that nothing else of the check does.
    from gateway.audit.stamps import StampReader

    within = None if hours is None else within_hours(hours)
    return Stamping(StampReader(roots.read_text(encoding="ascii")).time_of, within)


def plain(report: CheckReport) -> str:
    """The report for people, ending in one line that says it all."""
    lines = [f"{fault.kind}: {fault.where}: {fault.text}" for fault in report.faults]
    counted = f"{report.entries} entries, {_counted(report.checkpoints, 'checkpoint')}"
    if not report.anchored:
        lines.append("no anchor: a log that was cut back and signed again would not show")
    if report.stamped_at is not None:
        lines.append(f"{_counted(report.stamps, 'stamp')}, the last of {report.stamped_at}")
    verdict = "ok" if report.ok else _counted(len(report.faults), "fault")
    return "\n".join([*lines, f"audit check: {verdict} ({counted})", ""])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _json(report: CheckReport) -> str:
    return json.dumps({"ok": report.ok, **asdict(report)}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
