"""The clips of a tenant: asked for, looked up, listed, deleted. Nobody sees another's."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.audit.entry import Event, EventKind
from gateway.auth import Caller
from gateway.db import Database
from gateway.errors import Conflict, InvalidRequest, NotFound, PromptRefused, RateLimited
from gateway.record import AuditOutbox, Clock, Facts, refusal_of, verdict_row
from gateway.seams import PromptJudge
from gateway.settings import Limits
from gateway.store import Ref, Released
from gateway.tables import Video
from safety.verdict import Action, Verdict

MAX_SEED = 2**63 - 1
MAX_PAGE = 100
DEFAULT_PAGE = 20
DEFAULT_SECONDS = 4


class Card(Protocol):
    """What a model offers; ``generator.cards.ModelCard`` fits."""

    @property
    def sizes(self) -> tuple[object, ...]:
        """Sizes whose text is ``WxH``; the first one is the default."""

    @property
    def seconds(self) -> tuple[int, ...]:
        """Lengths; 4 is the default where it is one of them, else the first."""


class Enqueue(Protocol):
    """Adds a job in the caller's transaction."""

    def enqueue(self, session: Session, video_id: str) -> None:
        """Commit or roll back with the caller."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a caller asks for, not yet checked."""

    prompt: str
    model: str | None = None
    seconds: int | None = None
    size: str | None = None
    seed: int | None = None
    idempotency_key: str | None = None


class Clips:
    """The shelf of every tenant, and the door through which a request comes in."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditOutbox,
        queue: Enqueue,
        prompts: PromptJudge,
        cards: Mapping[str, Card],
        default_model: str,
        released: Released,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._database = database
        self._audit = audit
        self._queue = queue
        self._prompts = prompts
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
        order = self._checked(wish)
        fingerprint = _fingerprint(caller, wish, order)
        if (earlier := self._earlier(caller, fingerprint)) is not None:
            return earlier
        (verdict,) = self._prompts.judge([order.prompt])
        if verdict.action not in (Action.ALLOW, Action.REVIEW):
            raise self._refuse(caller, order.prompt, verdict)
        held = verdict.action is not Action.ALLOW
        with self._database.write() as session:
            self._demand_room(session, caller)
            now = self._clock()
            row = Video(
                id=f"video_{secrets.token_hex(16)}",
                tenant_id=caller.tenant_id,
                clip_id=secrets.token_hex(8),
                fingerprint=fingerprint,
                prompt=order.prompt,
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
            )
            session.add(row)
            session.flush()
            kind = EventKind.REQUEST_HELD if held else EventKind.REQUEST_ACCEPTED
            event = self._request_event(row.id, caller, kind, order.prompt, verdict)
            session.add(verdict_row(row.id, event.id, verdict, now))
            self._audit.record(session, event)
            if not held:
                self._queue.enqueue(session, row.id)
        return row

    def get(self, caller: Caller, video_id: str) -> Video:
        """One clip of the caller's. Raises NotFound for anybody else's."""
        with self._database.read() as session:
            row = session.get(Video, video_id)
        if row is None or row.tenant_id != caller.tenant_id or row.state == "deleted":
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
            Video.tenant_id == caller.tenant_id, Video.state != "deleted"
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
        if row.state == "released" and row.sha256 and row.size_bytes and row.thumbnail:
            video = Ref(scope=row.id, sha256=row.sha256, size=row.size_bytes, suffix="mp4")
            ref = video if variant == "video" else Ref.from_dict(row.thumbnail)
            if self._released.intact(ref):
                return ref
            raise NotFound("The file of this video is no longer stored as it was released.")
        raise Conflict("The video is not released, so there is nothing to fetch.")

    def delete(self, caller: Caller, video_id: str) -> None:
        """Delete a clip: its row is closed, its prompt is erased, its log entries stay.

        Its released files go at once; raw media, if any is left, goes with the worker's next
        sweep.
        """
        with self._database.write() as session:
            row = session.get(Video, video_id)
            if row is None or row.tenant_id != caller.tenant_id or row.state == "deleted":
                raise NotFound("There is no such video.", param="video_id")
            before, row.state, row.completed_at = row.state, "deleted", self._clock()
            row.prompt = ""
            for kind in (EventKind.REQUEST_ACCEPTED, EventKind.REQUEST_HELD):
                with contextlib.suppress(NotFound):
                    self._audit.erase(session, f"{row.id}:door:{kind}")
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

    def _checked(self, wish: Wish) -> _Checked:
        prompt = wish.prompt.strip()
        if not prompt:
            raise InvalidRequest("The prompt is empty.", param="prompt")
        if len(prompt) > self._limits.max_prompt_chars:
            raise InvalidRequest(
                f"The prompt is longer than {self._limits.max_prompt_chars} characters.",
                param="prompt",
            )
        if any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in prompt):
            raise InvalidRequest("The prompt is not valid Unicode text.", param="prompt")
        model = wish.model or self._default_model
        card = self._cards.get(model)
        if card is None:
            raise InvalidRequest(
                f"Unknown model. Available: {', '.join(sorted(self._cards))}.", param="model"
            )
        sizes = [str(size) for size in card.sizes]
        size = wish.size or sizes[0]
        if size not in sizes:
            raise InvalidRequest(
                f"This model makes clips of {', '.join(sizes)} pixels.", param="size"
            )
        usual = DEFAULT_SECONDS if DEFAULT_SECONDS in card.seconds else card.seconds[0]
        seconds = wish.seconds if wish.seconds is not None else usual
        if seconds not in card.seconds:
            allowed = ", ".join(str(s) for s in card.seconds)
            raise InvalidRequest(
                f"This model makes clips of {allowed} seconds.", param="seconds"
            )
        seed = wish.seed if wish.seed is not None else secrets.randbelow(2**31)
        if not 0 <= seed <= MAX_SEED:
            raise InvalidRequest("seed must be 0 to 2^63-1.", param="seed")
        width, height = (int(part) for part in size.split("x"))
        return _Checked(
            prompt=prompt, model=model, seconds=seconds, width=width, height=height, seed=seed
        )

    def _earlier(self, caller: Caller, fingerprint: str) -> Video | None:
        """The job of the same request a moment ago: clients retry without a key."""
        since = self._clock() - timedelta(seconds=self._limits.dedupe_window_seconds)
        statement = (
            sa.select(Video)
            .where(
                Video.tenant_id == caller.tenant_id,
                Video.fingerprint == fingerprint,
                Video.created_at > since,
                Video.state.not_in(("deleted", "failed")),
            )
            .order_by(Video.created_at)
            .limit(1)
        )
        with self._database.read() as session:
            return session.scalars(statement).one_or_none()

    def _demand_room(self, session: Session, caller: Caller) -> None:
        waiting = session.scalar(
            sa.select(sa.func.count())
            .select_from(Video)
            .where(
                Video.tenant_id == caller.tenant_id, Video.state.in_(("queued", "in_progress"))
            )
        )
        if waiting is None or waiting >= self._limits.max_queued_per_tenant:
            raise RateLimited("Too many of your clips are waiting; try again later.")

    def _refuse(self, caller: Caller, prompt: str, verdict: Verdict) -> PromptRefused:
        subject = f"req_{secrets.token_hex(8)}"
        event = self._request_event(subject, caller, EventKind.REQUEST_REFUSED, prompt, verdict)
        with self._database.write() as session:
            session.add(verdict_row(subject, event.id, verdict, self._clock()))
            self._audit.record(session, event)
        refusal = refusal_of(verdict)
        return PromptRefused(
            str(refusal["message"]),
            param="prompt",
            extra={
                "stage": refusal["stage"],
                "category": refusal["category"],
                "rules": refusal["rules"],
                "policy": refusal["policy"],
                "reference": subject,
            },
        )

    def _request_event(
        self, subject: str, caller: Caller, kind: EventKind, prompt: str, verdict: Verdict
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
            personal={"prompt": prompt},
        )


@dataclass(frozen=True, kw_only=True)
class _Checked:
    prompt: str
    model: str
    seconds: int
    width: int
    height: int
    seed: int


def _fingerprint(caller: Caller, wish: Wish, checked: _Checked) -> str:
    """SHA-256 over what was asked; a seed that was drawn here does not count."""
    asked = {
        "tenant": caller.tenant_id,
        "prompt": checked.prompt,
        "model": checked.model,
        "seconds": checked.seconds,
        "size": f"{checked.width}x{checked.height}",
        "seed": wish.seed,
        "key": wish.idempotency_key,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
