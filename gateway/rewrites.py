"""Rewrites: another wording offered with a refusal, and the creator's word for it.

The words themselves are personal: the log holds a commitment to their digest. An offer counts
for the tenant to whom it was made, and only for exactly the words that were offered.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import InvalidRequest
from gateway.record import AuditOutbox
from gateway.seams import Offers, SubmissionJudge
from gateway.tables import AuditPersonal
from safety.circumstances import Circumstances
from safety.submission import TELLING, Submission
from safety.verdict import Action, Category, Verdict

REWRITABLE = frozenset({Category.LIVING_ARTIST_STYLE, Category.IP_CHARACTER_BRAND})


class Rewrites:
    """Offers a rewrite where one helps, and recognises it when it comes back."""

    def __init__(self, database: Database, audit: AuditOutbox, offers: Offers) -> None:
        self._database = database
        self._audit = audit
        self._offers = offers

    def offer(
        self,
        asked: Submission,
        verdict: Verdict,
        *,
        judge: SubmissionJudge,
        known: Circumstances,
    ) -> str | None:
        """Another wording of the prompt with which this request would be allowed, or None.

        Only where nothing but a style or a brand stands in the way.
        """
        if not {reason.category for reason in verdict.reasons} <= REWRITABLE:
            return None
        told = [part for part in asked.parts if part.kind in TELLING]
        if len(told) != 1:
            return None
        wording = self._offers.offer(told[0].text, granted=known.grants)
        if wording is None:
            return None
        parts = tuple(
            replace(part, text=wording) if part is told[0] else part for part in asked.parts
        )
        again = judge.weigh(replace(asked, parts=parts), circumstances=known)
        return wording if again.action is Action.ALLOW else None

    def note_offered(
        self, session: Session, tenant_id: str, reference: str, wording: str
    ) -> None:
        """Record, in the caller's transaction, what was offered with a refusal."""
        kind = EventKind.REWRITE_OFFERED
        self._audit.record(
            session,
            Event(
                id=_offer_event(reference),
                kind=kind,
                subject=reference,
                tenant=tenant_id,
                personal={"tenant": tenant_id, "wording_sha256": _digest(wording)},
            ),
        )

    def demand_offered(self, tenant_id: str, reference: str, wording: str) -> None:
        """Return when these very words were offered to the tenant; raise InvalidRequest."""
        with self._database.read() as session:
            row = session.get(AuditPersonal, _offer_event(reference))
        if row is not None:
            offered = json.loads(row.record)
            if offered == {"tenant": tenant_id, "wording_sha256": _digest(wording)}:
                return
        raise InvalidRequest(
            "This is not a wording that was offered to you; leave the field out.",
            param="rewrite_of",
        )

    def note_confirmed(
        self, session: Session, tenant_id: str, video_id: str, reference: str, wording: str
    ) -> None:
        """Record, in the caller's transaction, that the creator took an offer."""
        kind = EventKind.REWRITE_CONFIRMED
        self._audit.record(
            session,
            Event(
                id=f"{video_id}:door:{kind}",
                kind=kind,
                subject=video_id,
                tenant=tenant_id,
                facts={"rewrite_of": reference},
                personal={"wording_sha256": _digest(wording)},
            ),
        )


def _offer_event(reference: str) -> str:
    return f"{reference}:door:{EventKind.REWRITE_OFFERED}"


def _digest(wording: str) -> str:
    return hashlib.sha256(wording.encode("utf-8", "surrogatepass")).hexdigest()
