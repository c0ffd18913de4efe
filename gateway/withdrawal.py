"""Withdrawal: a released clip is taken back for a reason, and everybody may know it.

The row is closed as a deleted one, so that everything that holds for deleted clips holds for
this one too: no door gives its bytes, and what is left of them is removed. What differs is
that its owner still sees it, and that whoever checks a copy is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from gateway import fingerprints
from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.record import AuditOutbox, Clock
from gateway.store import Released
from gateway.tables import Video

STEP = "withdraw"
MAX_NOTE_CHARS = 1_000


class Reason(StrEnum):
    """Why a clip is withdrawn. Published values: append, never rename."""

    LEGAL_ORDER = "legal_order"
    RIGHTS = "rights"
    PERSON = "person"
    POLICY = "policy"
    SAFETY = "safety"


SENTENCES: Mapping[Reason, str] = {
    Reason.LEGAL_ORDER: "A court or an authority ordered it.",
    Reason.RIGHTS: "Somebody holds rights in what it shows.",
    Reason.PERSON: "It shows somebody who did not agree to it.",
    Reason.POLICY: "It should not have passed our rules.",
    Reason.SAFETY: "It could do harm.",
}


def why_withdrawn(reason: str) -> str:
    """What everybody may be told; a reason of a later release is not said."""
    known = reason in Reason.__members__.values()
    return f"This video was withdrawn. {SENTENCES[Reason(reason)] if known else ''}".rstrip()


def event_id(video_id: str) -> str:
    """The name of the one entry that a withdrawal has in the log."""
    return f"{video_id}:{STEP}:{EventKind.VIDEO_WITHDRAWN}"


class Withdrawals:
    """Withdraws clips. It is final: what was in a copy elsewhere cannot be called back."""

    def __init__(
        self, *, database: Database, audit: AuditOutbox, released: Released, clock: Clock
    ) -> None:
        self._database = database
        self._audit = audit
        self._released = released
        self._clock = clock

    def withdraw(self, video_id: str, reason: Reason, *, note: str, by: str) -> Video:
        """Close a released clip; from the commit on no door gives its bytes.

        Note and name are kept beside the log and may be erased; the reason is public. Its
        words stay until their time, because they may be asked for. A file that is left after
        a crash is removed by the shelf's chore.

        Raises NotFound, Conflict unless the clip is released now, and InvalidRequest for a
        note that is too long.
        """
        if len(note) > MAX_NOTE_CHARS:
            raise InvalidRequest(
                f"A note has at most {MAX_NOTE_CHARS} characters.", param="note"
            )
        with self._database.write() as session:
            row = session.get(Video, video_id, with_for_update=True)
            if row is None:
                raise NotFound("There is no such video.", param="video_id")
            if row.withdrawn is not None:
                raise Conflict("The video is withdrawn already.")
            if row.state != "released":
                raise Conflict(f"Only a released video can be withdrawn; it is {row.state}.")
            row.state, row.withdrawn = "deleted", str(reason)
            row.withdrawn_at = self._clock()
            fingerprints.withdraw(session, row.clip_id)
            self._audit.record(
                session,
                Event(
                    id=event_id(row.id),
                    kind=EventKind.VIDEO_WITHDRAWN,
                    subject=row.id,
                    tenant=row.tenant_id,
                    facts={
                        "clip_id": row.clip_id,
                        "sha256": row.sha256,
                        "reason": str(reason),
                    },
                    personal={"by": by, "note": note},
                ),
            )
        self._released.clear(video_id)
        return row
