"""Leases: which workers are alive, by the clock of the database they share."""

from __future__ import annotations

import os
import secrets
import socket

import sqlalchemy as sa

from gateway.db import Database
from gateway.tables import WorkerRow

MAX_PLACE_CHARS = 200
LONGEST_SECONDS = 3_600.0


class Lease:
    """One worker's sign of life, good for ``seconds`` after each ``renew``.

    Only the database's clock counts, so that machines need not agree on the time. A lease
    that ran out is not an end: a worker that was frozen renews it and goes on. What keeps it
    from finishing a job that another took over meanwhile is the job's claim (``Record.claim``),
    not the lease.
    """

    def __init__(self, database: Database, *, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self.worker = f"worker-{secrets.token_hex(8)}"

    def renew(self) -> None:
        """Be alive for another ``seconds``; the first call takes the lease."""
        until = self._database.now() + self._seconds
        place = f"{socket.gethostname()}:{os.getpid()}"[:MAX_PLACE_CHARS]
        mine = sa.update(WorkerRow).where(WorkerRow.id == self.worker)
        with self._database.write() as session:
            known = session.execute(mine.values(expires=until).returning(WorkerRow.id)).all()
            if not known:
                values = {"id": self.worker, "place": place, "expires": until}
                session.execute(sa.insert(WorkerRow).values(**values))

    def release(self) -> None:
        """Be gone at once: what is left undone may be taken over now."""
        with self._database.write() as session:
            session.execute(sa.delete(WorkerRow).where(WorkerRow.id == self.worker))

    def living(self) -> frozenset[str]:
        """The workers whose lease runs; the rows of all others are removed."""
        now = self._database.now()
        # No lease is that long: the clock was ahead, and whoever lives renews it soon.
        over = (WorkerRow.expires <= now) | (WorkerRow.expires > now + LONGEST_SECONDS)
        with self._database.write() as session:
            session.execute(sa.delete(WorkerRow).where(over))
            return frozenset(session.scalars(sa.select(WorkerRow.id)))
