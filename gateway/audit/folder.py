"""An exported log: a folder of static files in the C2SP tlog-tiles layout.

    checkpoint                      the newest signed head
    heads/<size>                    an earlier head: a key was exchanged, or it was stamped
    heads/<size>.tsr                the stamp of that head (RFC 3161 TimeStampResp, DER)
    verifier-key                    name+hash+key; a copy, get yours elsewhere
    tile/<L>/<N>[.p/<W>]            hashes
    tile/entries/<N>[.p/<W>]        leaves, each after its length as two bytes, big-endian

Source: c2sp.org/tlog-tiles. Needs the standard library only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.audit.merkle import HASH_BYTES, TILE_WIDTH, tile_widths
from gateway.audit.report import Fault, FaultKind, KeptEntry, KeptFault

CHECKPOINT = "checkpoint"
VERIFIER_KEY = "verifier-key"
HEADS = "heads"
STAMP = ".tsr"
LENGTH_BYTES = 2
MAX_SMALL_FILE = 65_536
_SIZE = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
MAX_BUNDLE = TILE_WIDTH * (LENGTH_BYTES + 65_535)


def number_path(index: int, width: int) -> str:
    """``1234067`` as ``x001/x234/067``, with ``.p/<W>`` when the tile is not full."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    return "/".join(groups) + ("" if width == TILE_WIDTH else f".p/{width}")


def tile_path(level: int, index: int, width: int) -> str:
    """Where a tile of hashes is."""
    return f"tile/{level}/{number_path(index, width)}"


def bundle_path(index: int, width: int) -> str:
    """Where 256 (or, at the end, fewer) leaves are."""
    return f"tile/entries/{number_path(index, width)}"


def head_path(size: int) -> str:
    """Where an earlier head of this size is."""
    return f"{HEADS}/{size}"


def stamp_path(size: int) -> str:
    """Where the stamp of the head of this size is."""
    return f"{HEADS}/{size}{STAMP}"


def pack(leaves: Sequence[bytes]) -> bytes:
    """Leaves as an entry bundle."""
    return b"".join(len(leaf).to_bytes(LENGTH_BYTES, "big") + leaf for leaf in leaves)


def unpack(bundle: bytes, width: int) -> list[bytes]:
    """The leaves of a bundle. Raises ValueError unless there are exactly ``width``."""
    leaves = []
    at = 0
    for _ in range(width):
        start = at + LENGTH_BYTES
        end = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or end > len(bundle):
            raise ValueError("the bundle is cut short")
        leaves.append(bundle[start:end])
        at = end
    if at != len(bundle):
        raise ValueError("the bundle holds more than its leaves")
    return leaves


class Folder:
    """The files of an export, read without trusting them. ``size`` is that of its head."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self._path = path
        self._size = size

    def text(self, name: str) -> str:
        """A small file as text. Raises KeptFault."""
        try:
            return self._bytes(name, MAX_SMALL_FILE).decode("utf-8")
        except UnicodeDecodeError as fault:
            raise KeptFault(FaultKind.MALFORMED, name, "it is not UTF-8 text") from fault

    def size(self) -> int:
        """The number of leaves that the export claims."""
        return self._size

    def notes(self) -> Iterator[tuple[int, str]]:
        """The earlier heads that are there, and the newest."""
        for size in self._heads():
            yield size, self.text(head_path(size))
        yield self._size, self.text(CHECKPOINT)

    def stamps(self) -> Iterator[tuple[int, bytes]]:
        """The stamps of these heads."""
        for size in self.stamped():
            yield size, self._bytes(stamp_path(size), MAX_SMALL_FILE)

    def stamped(self) -> list[int]:
        """The sizes of the heads that have a stamp."""
        return [size for size in self._sizes(STAMP) if size <= self._size]

    def entries(self) -> Iterator[KeptEntry]:
        """Every leaf, in order. Raises KeptFault at the first that cannot be read."""
        for index in range(0, self._size, TILE_WIDTH):
            width = min(TILE_WIDTH, self._size - index)
            name = bundle_path(index // TILE_WIDTH, width)
            try:
                leaves = unpack(self._bytes(name, MAX_BUNDLE), width)
            except ValueError as fault:
                raise KeptFault(FaultKind.MALFORMED, name, str(fault)) from fault
            for offset, leaf in enumerate(leaves):
                yield KeptEntry(index=index + offset, leaf=leaf)

    def tile(self, level: int, index: int, width: int) -> bytes:
        """The bytes of a tile; none when there is no such file."""
        try:
            return self._bytes(tile_path(level, index, width), TILE_WIDTH * HASH_BYTES)
        except KeptFault:
            return b""

    def tiles(self) -> Iterator[tuple[int, int]]:
        """Left-over tiles are found by ``strays``."""
        return iter(())

    def strays(self) -> Iterator[Fault]:
        """Files that do not belong to a log of this size, and links."""
        expected = {CHECKPOINT, VERIFIER_KEY, *map(head_path, self._heads())}
        expected |= set(map(stamp_path, self.stamped()))
        expected |= {tile_path(*place) for place in tile_widths(self._size)}
        for index in range(0, self._size, TILE_WIDTH):
            width = min(TILE_WIDTH, self._size - index)
            expected.add(bundle_path(index // TILE_WIDTH, width))
        for folder, names, files in os.walk(self._path):
            for name in names + files:
                path = Path(folder, name)
                place = path.relative_to(self._path).as_posix()
                if path.is_symlink() or (name in files and place not in expected):
                    yield Fault(FaultKind.STRAY, place, "it does not belong to the log")

    def _heads(self) -> list[int]:
        # The newest head has its own place.
        return [size for size in self._sizes("") if size < self._size]

    def _sizes(self, ending: str) -> list[int]:
        """The sizes that files of this ending are named after; other names are strays."""
        try:
            names = [path.name for path in (self._path / HEADS).iterdir()]
        except OSError:
            return []
        sizes = [name.removesuffix(ending) for name in names if name.endswith(ending)]
        return sorted(int(size) for size in sizes if _SIZE.fullmatch(size))

    def _bytes(self, name: str, limit: int) -> bytes:
        try:
            with (self._path / name).open("rb") as file:
                found = file.read(limit + 1)
        except OSError as fault:
            raise KeptFault(
                FaultKind.MISSING, name, f"it cannot be read: {fault.strerror}"
            ) from fault
        if len(found) > limit:
            raise KeptFault(FaultKind.MALFORMED, name, "it is larger than it can be")
        return found
