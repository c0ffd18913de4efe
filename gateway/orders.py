"""An accepted request, and what of it is judged."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.settings import Limits
from gateway.tables import Video
from safety.submission import Part, PartKind, Submission


@dataclass(frozen=True, kw_only=True)
class Order:
    """An accepted request: everything that decides what the clip will be.

    ``clip_id`` is the watermark payload, 16 hex digits from a secure source. ``lineage`` are
    the prompts of the clips that a remix goes back to, ``recent`` those that the same key had
    accepted in the window before; both oldest first. ``claim`` is whose turn it is to work on
    it: what somebody with an older claim reports is not recorded. ``run`` is how often it was
    put back in the queue.
    """

    video_id: str
    tenant_id: str
    clip_id: str
    prompt: str
    model: str
    seconds: int
    width: int
    height: int
    seed: int
    created_at: dt.datetime
    negative_prompt: str = ""
    title: str = ""
    project: str | None = None
    remixed_from: str | None = None
    lineage: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    key_id: str | None = None
    claim: str | None = None
    run: int = 0


def submission(
    *,
    prompt: str,
    negative_prompt: str = "",
    title: str = "",
    remix: bool = False,
    lineage: tuple[str, ...] = (),
    recent: tuple[str, ...] = (),
) -> Submission:
    """What a request says, as the prompt gate judges it."""
    parts = [Part(kind=PartKind.REMIX if remix else PartKind.PROMPT, text=prompt)]
    if title:
        parts.append(Part(kind=PartKind.TITLE, text=title))
    if negative_prompt:
        parts.append(Part(kind=PartKind.NEGATIVE_PROMPT, text=negative_prompt))
    return Submission(parts=tuple(parts), lineage=lineage, recent=recent)


def submission_of(order: Order) -> Submission:
    """What an accepted request says: the same that was judged at the door."""
    return submission(
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        title=order.title,
        remix=order.remixed_from is not None,
        lineage=order.lineage,
        recent=order.recent,
    )


def recent_prompts(
    session: Session,
    *,
    tenant_id: str,
    key_id: str | None,
    until: dt.datetime,
    limits: Limits,
    beside: str | None = None,
) -> tuple[str, ...]:
    """The prompts that one key had accepted in the window, oldest first, without ``beside``.

    A held prompt does not count (a person judges it), nor a deleted one (nothing is kept).
    """
    since = until - dt.timedelta(minutes=limits.sequence_window_minutes)
    statement = (
        sa.select(Video.prompt)
        .where(
            Video.tenant_id == tenant_id,
            Video.key_id == key_id,
            Video.created_at > since,
            Video.created_at <= until,
            Video.state.not_in(("held", "deleted")),
            Video.id != (beside or ""),
        )
        .order_by(Video.created_at.desc(), Video.id.desc())
        .limit(limits.sequence_window_requests)
    )
    return tuple(reversed(session.scalars(statement).all()))
