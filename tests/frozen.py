"""A connection that freezes: what is in front of a database that hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import sqlalchemy as sa


@dataclass
class Wire:
    """Passes bytes on until ``frozen``; then it takes them and gives nothing back."""

    url: str
    frozen: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def _pass(self, there: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while block := await there.read(65_536):
                if not self.frozen:
                    back.write(block)
                    await back.drain()
        with suppress(OSError, RuntimeError):
            back.close()


@contextmanager
def wire(url: str) -> Iterator[Wire]:
    """A wire to the PostgreSQL of this address, with an address of its own."""
    real = sa.make_url(url)
    folder = real.query.get("host")
    port = real.port or 5432
    made = Wire(url="")
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if folder is not None:
            ends = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        else:
            ends = await asyncio.open_connection(real.host, port)
        for there, back in ((reader, ends[1]), (ends[0], writer)):
            task = asyncio.ensure_future(made._pass(there, back))
            made._tasks.add(task)

    async def run() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        own = server.sockets[0].getsockname()[1]
        address = real.set(host="127.0.0.1", port=own, query={})
        made.url = address.render_as_string(hide_password=False)
        ready.set()
        await stop.wait()
        server.close()
        for task in made._tasks:
            task.cancel()
        await asyncio.gather(*made._tasks)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
