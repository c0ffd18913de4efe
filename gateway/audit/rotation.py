"""One key of the log takes over from another, in two steps that lie as far apart as one likes.

1. ``add_key``: the log says which key comes, under a head of the old one. From then on both
   sign every head, so that whoever knows either can check the log.
2. ``retire_key``: the log says that the old one goes, under a head of both. From then on the
   new one signs alone, and a head of the old one alone counts for nothing.
"""

from __future__ import annotations

from gateway.audit.checkpoint import Note, Verifier
from gateway.audit.entry import Event, EventKind
from gateway.audit.handover import BESIDE, LOG, VERIFIER
from gateway.audit.keys import MAX_KEYS, CheckpointKey, KeyFile
from gateway.audit.log import SqlAuditLog
from gateway.audit.sequencer import Sequencer
from gateway.db import Database
from gateway.errors import Conflict

WAIT_SECONDS = 30.0


class Rotation:
    """Exchanges the key that signs the log. Either step may be repeated after a crash."""

    def __init__(self, database: Database, log: SqlAuditLog, keys: KeyFile) -> None:
        self._database = database
        self._log = log
        self._keys = keys

    def add_key(self, *, by: str) -> Verifier:
        """Announce a new key and sign with it beside the old one; its public half.

        A crash between the two leaves the name of a key in the log that nobody has. Raises
        Conflict while another exchange is under way, Interrupted when no head covers the
        announcement in time; then the keys are as they were.
        """
        present = self._keys.keys()
        if len(present) >= MAX_KEYS:
            raise Conflict("Two keys sign already: retire the old one first.")
        new = CheckpointKey.create(present[0].verifier.name)
        self._say(
            EventKind.LOG_KEY_ADDED,
            new.verifier,
            by=by,
            beside=[key.verifier.text for key in present],
        )
        self._keys.add(new)
        return new.verifier

    def retire_key(self, *, by: str) -> Verifier:
        """Announce that the older key goes and sign without it; its public half.

        Raises Conflict when there is only one, or when the newest head is not signed by both:
        then a process still signs with a file of before, and its heads would count no more.
        """
        present = self._keys.verifier.keys
        if len(present) < MAX_KEYS:
            raise Conflict("Only one key signs: add the new one first.")
        newest = self._log.checkpoint()
        if newest is not None:
            note = Note.read(newest.note)
            if not all(key.signed(note) for key in present):
                raise Conflict(
                    "The newest checkpoint is not signed by both keys: give every machine the "
                    "new file, wait for the next entry, and try again."
                )
        old = present[-1]
        self._say(EventKind.LOG_KEY_RETIRED, old, by=by)
        self._keys.keep_newest()
        return old

    def _say(
        self, kind: EventKind, key: Verifier, *, by: str, beside: list[str] | None = None
    ) -> None:
        event = Event(
            id=f"{LOG}:{key.key_id.hex()}:{kind}",
            kind=kind,
            subject=LOG,
            facts={VERIFIER: key.text} | ({} if beside is None else {BESIDE: beside}),
            personal={"by": by},
        )
        if self._log.index_of(event.id) is None:
            with self._database.write() as session:
                self._log.record(session, event)
        Sequencer(self._log).wait_until_covered(event.id, WAIT_SECONDS)
