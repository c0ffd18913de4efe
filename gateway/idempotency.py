"""Retries under one ``Idempotency-Key`` get the answer that the first try got.

The rule is Stripe's (https://docs.stripe.com/api/idempotent_requests), but for one thing: a
video is answered as it is now, not as it was at first.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gateway.db import Database
from gateway.errors import Conflict, InvalidRequest, PromptRefused
from gateway.settings import Limits
from gateway.tables import IdempotencyRow, Video

MAX_KEY_CHARS = 255
HEADER = "Idempotency-Key"
_FORM = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_CHARS}}}")


class Idempotency:
    """What was answered under each key of a tenant, for ``limits.idempotency_hours``.

    Kept in the transaction of the request itself: accepted, held, or refused by the prompt
    gate. A request that was malformed or over a limit leaves nothing, so that the same key
    serves when it is put right.
    """

    def __init__(
        self, database: Database, limits: Limits, clock: Callable[[], dt.datetime]
    ) -> None:
        self._database = database
        self._keep = dt.timedelta(hours=limits.idempotency_hours)
        self._clock = clock

    def earlier(self, tenant_id: str, key: str | None, asked: str) -> Video | None:
        """The job of the first try under this key, as it is now; None if there was none.

        ``asked`` is the fingerprint of the request. Raises PromptRefused as the first try
        did, Conflict when the key stood for another request or its video was deleted, and
        InvalidRequest for a key that is none.
        """
        if key is None:
            return None
        if not _FORM.fullmatch(key):
            raise InvalidRequest(
                f"The {HEADER} needs 1 to {MAX_KEY_CHARS} visible ASCII characters.",
                param=HEADER,
            )
        with self._database.read() as session:
            known = session.get(IdempotencyRow, (tenant_id, key))
            if known is None or known.created_at <= self._clock() - self._keep:
                return None
            if known.asked != asked:
                raise Conflict(f"The {HEADER} was used for another request.", param=HEADER)
            if known.refusal is not None:
                refusal = dict(known.refusal)
                raise PromptRefused(str(refusal.pop("message")), param="prompt", extra=refusal)
            row = session.get(Video, known.video_id)
        if row is None or row.state == "deleted":
            raise Conflict(f"The video of this {HEADER} was deleted.", param=HEADER)
        return row

    def note(
        self,
        session: Session,
        tenant_id: str,
        key: str | None,
        asked: str,
        *,
        video_id: str | None = None,
        refusal: PromptRefused | None = None,
    ) -> None:
        """Keep the answer in the caller's transaction, and forget the tenant's old ones.

        Two tries at the same time: the second one's transaction fails as a whole (the key is
        primary), and ``earlier`` then finds the first.
        """
        if key is None:
            return
        now = self._clock()
        over = IdempotencyRow.created_at <= now - self._keep
        session.execute(
            sa.delete(IdempotencyRow).where(IdempotencyRow.tenant_id == tenant_id, over)
        )
        told = None if refusal is None else {**refusal.extra, "message": refusal.message}
        values = {"asked": asked, "video_id": video_id, "refusal": told, "created_at": now}
        session.execute(
            sa.insert(IdempotencyRow).values(tenant_id=tenant_id, key=key, **values)
        )
