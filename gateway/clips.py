"""The clips of a tenant: asked for, looked up, listed, deleted. Nobody sees another's."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway import fingerprints
from gateway.allowance import Allowance
from gateway.audit.entry import Event, EventKind
from gateway.auth import Caller
from gateway.db import Database
from gateway.errors import Conflict, InvalidRequest, NotFound, PromptRefused, Withdrawn
from gateway.holds import open_case, void_cases
from gateway.idempotency import Idempotency
from gateway.orders import recent_prompts, submission
from gateway.record import (
    AuditOutbox,
    Clock,
    Facts,
    erase_words,
    refusal_of,
    verdict_row,
)
from gateway.rewrites import Rewrites
from gateway.seams import UNOBSERVED, Enqueue, Observer, Permits, SubmissionJudge
from gateway.settings import Limits
from gateway.store import Ref, Released
from gateway.tables import Video
from gateway.turns import next_turn
from gateway.wish import Card, Checked, Wish, checked, demand_drawable, fingerprint
from gateway.withdrawal import why_withdrawn
from safety.verdict import Action, Verdict

MAX_PAGE = 100
DEFAULT_PAGE = 20
# Made once: to build a statement costs more than to run it.
_TWIN = (
    sa.select(Video)
    .where(
        Video.tenant_id == sa.bindparam("b_tenant", type_=sa.String),
        Video.fingerprint == sa.bindparam("b_mark", type_=sa.String),
        Video.created_at > sa.bindparam("b_since", type_=Video.created_at.type),
        Video.state.not_in(("deleted", "failed")),
    )
    .order_by(Video.created_at)
    .limit(1)
)


class Clips:
    """The shelf of every tenant, and the door through which a request comes in."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditOutbox,
        queue: Enqueue,
        prompts: SubmissionJudge,
        permits: Permits,
        rewrites: Rewrites,
        cards: Mapping[str, Card],
        default_model: str,
        released: Released,
        limits: Limits,
        clock: Clock,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._observer = observer
        self._allowance = Allowance(database, limits, clock)
        self._idempotency = Idempotency(database, limits, clock)
        self._database = database
        self._audit = audit
        self._queue = queue
        self._prompts = prompts
        self._permits = permits
        self._rewrites = rewrites
        self._cards = cards
        self._default_model = default_model
        self._released = released
        self._limits = limits
        self._clock = clock

    def submit(self, caller: Caller, wish: Wish) -> Video:
        """Take a request in: judged at the door, then row, audit entry and job at once.

        Raises InvalidRequest, RateLimited, or PromptRefused (recorded, nothing enqueued). A
        prompt that a person must look at is kept as ``held`` and not enqueued. The worker
        judges the prompt again, so that this answer is a courtesy and no evidence.
        """
        return self._take(caller, wish, parent=None)

    def remix(
        self,
        caller: Caller,
        video_id: str,
        prompt: str,
        *,
        idempotency_key: str | None = None,
    ) -> Video:
        """Ask for a changed clip: the same model, size, length and seed, another text.

        The change is judged, and drawn, together with the prompts that it goes back to.
        Raises NotFound unless the clip is the caller's, Conflict unless it is released, and
        what ``submit`` raises.
        """
        parent = self.get(caller, video_id)
        if parent.state != "released":
            raise Conflict("Only a released video can be remixed.", param="video_id")
        wish = Wish(
            prompt=prompt,
            negative_prompt=parent.negative_prompt,
            project=parent.project,
            model=parent.model,
            seconds=parent.seconds,
            size=f"{parent.width}x{parent.height}",
            seed=parent.seed,
            idempotency_key=idempotency_key,
        )
        return self._take(caller, wish, parent=parent)

    def _take(self, caller: Caller, wish: Wish, *, parent: Video | None) -> Video:
        order = checked(
            wish, cards=self._cards, default_model=self._default_model, limits=self._limits
        )
        origin = None if parent is None else parent.id
        mark = fingerprint(caller.tenant_id, wish, order, parent=origin)
        if (earlier := self._earlier(caller, wish, mark)) is not None:
            return earlier
        self._allowance.take(caller)
        try:
            return self._judged(caller, wish, order, mark, parent=parent)
        except sa.exc.IntegrityError:
            # The same key at the same time: the other try was first.
            if (earlier := self._earlier(caller, wish, mark)) is not None:
                return earlier
            raise

    def _judged(
        self, caller: Caller, wish: Wish, order: Checked, mark: str, *, parent: Video | None
    ) -> Video:
        lineage = (*(parent.lineage or ()), parent.prompt) if parent is not None else ()
        asked = submission(
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            title=order.title,
            remix=parent is not None,
            lineage=lineage,
            recent=self._recent(caller),
        )
        demand_drawable(asked, self._limits)
        if wish.rewrite_of is not None:
            self._rewrites.demand_offered(caller.tenant_id, wish.rewrite_of, order.prompt)
        known = self._permits.circumstances(caller, project=wish.project)
        verdict = self._prompts.weigh(asked, circumstances=known)
        if verdict.action not in (Action.ALLOW, Action.REVIEW):
            other = self._rewrites.offer(asked, verdict, judge=self._prompts, known=known)
            raise self._refuse(caller, wish, order, verdict, other, mark=mark)
        held = verdict.action is not Action.ALLOW
        with self._database.write() as session:
            self._allowance.demand_room(session, caller, seconds=order.seconds)
            # Asked again behind the tenant's lock: two at once must not both be new.
            if (twin := self._twin(session, caller, mark)) is not None:
                return twin
            now = self._clock()
            shares = self._limits.queue_shares
            turn = next_turn(session, caller.tenant_id, shares=shares)
            row = Video(
                id=f"video_{secrets.token_hex(16)}",
                tenant_id=caller.tenant_id,
                key_id=caller.key_id,
                clip_id=secrets.token_hex(8),
                fingerprint=mark,
                prompt=order.prompt,
                negative_prompt=order.negative_prompt,
                title=order.title,
                project=wish.project,
                remixed_from=None if parent is None else parent.id,
                lineage=list(lineage) or None,
                rewrite_of=wish.rewrite_of,
                model=order.model,
                seconds=order.seconds,
                width=order.width,
                height=order.height,
                seed=order.seed,
                state="held" if held else "queued",
                stage="approve",
                progress=0,
                refusal=refusal_of(verdict) if held else None,
                created_at=now,
                turn=turn,
            )
            session.add(row)
            session.flush()
            kind = EventKind.REQUEST_HELD if held else EventKind.REQUEST_ACCEPTED
            event = self._request_event(row.id, caller, kind, order, verdict)
            session.add(verdict_row(row.id, event.id, verdict, now))
            if held:
                open_case(session, row, verdict_event=event.id, now=now)
            self._audit.record(session, event)
            if wish.rewrite_of is not None:
                confirmed = (caller.tenant_id, row.id, wish.rewrite_of, order.prompt)
                self._rewrites.note_confirmed(session, *confirmed)
            tried = (caller.tenant_id, wish.idempotency_key, mark)
            self._idempotency.note(session, *tried, video_id=row.id)
            if not held:
                self._queue.enqueue(session, row.id, turn=row.turn)
        if held:
            self._observer.clip_ended("held")
        return row

    def get(self, caller: Caller, video_id: str) -> Video:
        """One clip of the caller's. Raises NotFound for anybody else's."""
        with self._database.read() as session:
            row = session.get(Video, video_id)
        if row is None or row.tenant_id != caller.tenant_id or not _is_shown(row):
            raise NotFound("There is no such video.", param="video_id")
        return row

    def page(
        self, caller: Caller, *, after: str | None, limit: int, ascending: bool
    ) -> tuple[tuple[Video, ...], bool]:
        """Up to ``limit`` clips behind the one named ``after``, and whether there are more."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest(f"limit must be 1 to {MAX_PAGE}.", param="limit")
        key = sa.tuple_(Video.created_at, Video.id)
        statement = sa.select(Video).where(
            Video.tenant_id == caller.tenant_id,
            sa.or_(Video.state != "deleted", Video.withdrawn.is_not(None)),
        )
        if after is not None:
            anchor = self.get(caller, after)
            place = sa.tuple_(sa.literal(anchor.created_at, Video.created_at.type), anchor.id)
            statement = statement.where(key > place if ascending else key < place)
        order = (
            (Video.created_at.asc(), Video.id.asc())
            if ascending
            else (Video.created_at.desc(), Video.id.desc())
        )
        with self._database.read() as session:
            rows = session.scalars(statement.order_by(*order).limit(limit + 1)).all()
        return tuple(rows[:limit]), len(rows) > limit

    def content(self, caller: Caller, video_id: str, *, variant: str) -> Ref:
        """The released bytes of a clip, or its still.

        Raises Conflict while there are none: only the state ``released``, which the table
        ties to both marks and the log, opens this door.
        """
        row = self.get(caller, video_id)
        if row.withdrawn is not None:
            raise Withdrawn(why_withdrawn(row.withdrawn))
        if row.state == "released" and row.sha256 and row.size_bytes and row.thumbnail:
            video = Ref(scope=row.id, sha256=row.sha256, size=row.size_bytes, suffix="mp4")
            ref = video if variant == "video" else Ref.from_dict(row.thumbnail)
            if self._released.intact(ref):
                return ref
            raise NotFound("The file of this video is no longer stored as it was released.")
        raise Conflict("The video is not released, so there is nothing to fetch.")

    def delete(self, caller: Caller, video_id: str) -> None:
        """Delete a clip: its row is closed, its log entries stay, and its prompt and
        fingerprint are erased.

        Its released files go at once; raw media, if any is left, goes with the worker's next
        sweep.
        """
        with self._database.write() as session:
            row = session.get(Video, video_id, with_for_update=True)
            if row is None or row.tenant_id != caller.tenant_id or row.state == "deleted":
                if row is not None and row.tenant_id == caller.tenant_id and row.withdrawn:
                    raise Withdrawn(why_withdrawn(row.withdrawn))
                raise NotFound("There is no such video.", param="video_id")
            before, row.state, row.completed_at = row.state, "deleted", self._clock()
            erase_words(session, self._audit, row)
            void_cases(session, row.id, now=self._clock())
            fingerprints.withdraw(session, row.clip_id)
            self._audit.record(
                session,
                Event(
                    id=f"{row.id}:delete:{EventKind.VIDEO_DELETED}",
                    kind=EventKind.VIDEO_DELETED,
                    subject=row.id,
                    tenant=caller.tenant_id,
                    facts={"clip_id": row.clip_id, "state": before},
                ),
            )
        self._released.clear(video_id)

    # --- checks at the door -----------------------------------------------------------

    def _recent(self, caller: Caller) -> tuple[str, ...]:
        with self._database.read() as session:
            return recent_prompts(
                session,
                tenant_id=caller.tenant_id,
                key_id=caller.key_id,
                until=self._clock(),
                limits=self._limits,
            )

    def _earlier(self, caller: Caller, wish: Wish, mark: str) -> Video | None:
        """The job of the same request before: under its key, or else a moment ago."""
        known = self._idempotency.earlier(caller.tenant_id, wish.idempotency_key, mark)
        if known is not None:
            return known
        with self._database.read() as session:
            return self._twin(session, caller, mark)

    def _twin(self, session: Session, caller: Caller, mark: str) -> Video | None:
        known = {
            "b_tenant": caller.tenant_id,
            "b_mark": mark,
            "b_since": self._clock() - timedelta(seconds=self._limits.dedupe_window_seconds),
        }
        return session.scalars(_TWIN, known).one_or_none()

    def _refuse(
        self,
        caller: Caller,
        wish: Wish,
        order: Checked,
        verdict: Verdict,
        other: str | None,
        *,
        mark: str,
    ) -> PromptRefused:
        subject = f"req_{secrets.token_hex(8)}"
        event = self._request_event(subject, caller, EventKind.REQUEST_REFUSED, order, verdict)
        told = refusal_of(verdict)
        refusal = PromptRefused(
            str(told["message"]),
            param="prompt",
            extra={
                "stage": told["stage"],
                "category": told["category"],
                "rules": told["rules"],
                "policy": told["policy"],
                "reference": subject,
                **({} if other is None else {"rewrite": {"prompt": other}}),
            },
        )
        with self._database.write() as session:
            session.add(verdict_row(subject, event.id, verdict, self._clock()))
            self._audit.record(session, event)
            if other is not None:
                self._rewrites.note_offered(session, caller.tenant_id, subject, other)
            tried = (caller.tenant_id, wish.idempotency_key, mark)
            self._idempotency.note(session, *tried, refusal=refusal)
        self._observer.request_refused(str(told["category"] or "none"))
        return refusal

    def _request_event(
        self, subject: str, caller: Caller, kind: EventKind, order: Checked, verdict: Verdict
    ) -> Event:
        facts: Facts = {
            "action": str(verdict.action),
            "policy": verdict.policy,
            "rules": sorted({reason.rule for reason in verdict.reasons}),
        }
        return Event(
            id=f"{subject}:door:{kind}",
            kind=kind,
            subject=subject,
            tenant=caller.tenant_id,
            facts=facts,
            personal={name: text for name, text in order.said.items() if text},
        )


def _is_shown(row: Video) -> bool:
    """Whether its owner still sees it: what they deleted themselves is gone for them."""
    return row.state != "deleted" or row.withdrawn is not None
