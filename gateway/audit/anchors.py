"""Anchors: once a day an outside authority stamps the newest head of the log (RFC 3161).

Whoever holds the log's key can write the log anew, but not get a stamp of yesterday.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import sqlalchemy as sa
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.entry import Event, EventKind
from gateway.audit.handover import LOG
from gateway.audit.log import Clock, SqlAuditLog
from gateway.audit.stamps import MAX_REPLY_BYTES, Stamp, StampFault, StampReader
from gateway.db import Database
from gateway.errors import NotFound, StageUnavailable
from gateway.tables import AuditAnchor, AuditCheckpoint

QUERY_TYPE = "application/timestamp-query"
ASK_SECONDS = 20.0

Ask = Callable[[bytes], bytes]


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A head of the log and what the authority answered (DER TimeStampResp)."""

    size: int
    note: str
    reply: bytes
    stamp: Stamp


class Anchors:
    """Has heads stamped, and keeps the stamps.

    ``ask`` gives the authority's reply to a DER query; whatever it raises, and a reply that
    ``reader`` refuses, leaves the log as it was.
    """

    def __init__(
        self,
        *,
        database: Database,
        log: SqlAuditLog,
        ask: Ask,
        reader: StampReader,
        every: dt.timedelta,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._ask = ask
        self._reader = reader
        self._every = every
        self._clock = clock

    def anchor_if_due(self) -> Anchor | None:
        """Have the newest head stamped when the last stamp is older than ``every``."""
        newest = self.newest()
        if newest is not None and self._clock() - newest.stamp.time < self._every:
            return None
        return self.anchor()

    def anchor(self) -> Anchor:
        """Have the newest head stamped now, and record it in the log.

        Raises NotFound before the first head, StageUnavailable when the authority does not
        answer or its reply does not hold.
        """
        head = self._log.checkpoint()
        if head is None:
            raise NotFound("The log has no checkpoint yet.")
        found = self._stamped(head)
        event = Event(
            id=f"{LOG}:{head.size}:{EventKind.CHECKPOINT_ANCHORED}",
            kind=EventKind.CHECKPOINT_ANCHORED,
            subject=LOG,
            facts={"size": head.size, "reply": hashlib.sha256(found.reply).hexdigest()},
        )
        with self._database.write() as session:
            if session.get(AuditAnchor, head.size) is None:
                session.add(AuditAnchor(size=head.size, reply=found.reply))
                self._log.record(session, event)
        return found

    def newest(self) -> Anchor | None:
        """The last stamp, or None: also when it is of nobody who is trusted any more."""
        with self._database.read() as session:
            found = session.execute(
                sa.select(AuditAnchor.size, AuditCheckpoint.note, AuditAnchor.reply)
                .join(AuditCheckpoint, AuditCheckpoint.size == AuditAnchor.size)
                .order_by(AuditAnchor.size.desc())
                .limit(1)
            ).one_or_none()
        if found is None:
            return None
        try:
            stamp = self._reader.read(found.reply, found.note)
        except StampFault:
            return None
        return Anchor(size=found.size, note=found.note, reply=found.reply, stamp=stamp)

    def _stamped(self, head: Checkpoint) -> Anchor:
        query = (
            TimestampRequestBuilder()
            .data(head.note.encode())
            .hash_algorithm(HashAlgorithm.SHA256)
            .build()
        )
        reply = self._ask(query.as_bytes())
        try:
            stamp = self._reader.read(reply, head.note, nonce=query.nonce)
        except StampFault as fault:
            raise StageUnavailable(f"The log was not stamped. {fault}") from fault
        return Anchor(size=head.size, note=head.note, reply=reply, stamp=stamp)


def asking(url: str) -> Ask:
    """Asks the authority at this address, as RFC 3161 §3.4 has it; follows no redirect."""

    def ask(query: bytes) -> bytes:
        headers = {"Content-Type": QUERY_TYPE}
        try:
            with httpx.stream(
                "POST", url, content=query, headers=headers, timeout=ASK_SECONDS
            ) as answer:
                answer.raise_for_status()
                reply = b""
                for part in answer.iter_bytes():
                    reply += part
                    if len(reply) > MAX_REPLY_BYTES:
                        raise StageUnavailable("The authority's reply is too large.")
                return reply
        except httpx.HTTPError as fault:
            raise StageUnavailable("The time-stamp authority does not answer.") from fault

    return ask
