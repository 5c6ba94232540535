"""A proxy between clients and a server on loopback that a test makes slow, deaf or rude; it runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Self

from streamgauge.local_stack import free_port

CHUNK_BYTES = 65_536
CUT_BYTES = 64  # of a reply that is cut: within its header, or within its first record


class TcpProxy:
    """Context manager: connections to `port` of 127.0.0.1 are carried on to the server's port."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.cut = 0  # replies that were cut so far
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{target}", daemon=True)
        self._connections: set[_Connection] = set()
        self._dead: set[_Connection] = set()
        self._delay = 0.0
        self._deaf = False  # new connections are taken and never answered
        self._cuts = 0  # replies that are to be cut
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._loop.stop)
        self._thread.join(10.0)

    @contextlib.contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Every piece of data is held for so long, either way."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    @contextlib.contextmanager
    def lost(self) -> Iterator[None]:
        """Nothing passes and nothing is closed; afterwards what was held passes on, as TCP sends it again."""
        self._call(lambda: self._hold(True))
        try:
            yield
        finally:
            self._call(lambda: self._hold(False))

    @contextlib.contextmanager
    def half_open(self) -> Iterator[None]:
        """New connections are taken and never answered, and those there are stay silent for good, also afterwards."""
        self._call(self._silence)
        try:
            yield
        finally:
            self._deaf = False

    def cut_replies(self, count: int) -> None:
        """The next `count` replies break off: some bytes come, then the connection is reset."""
        self._cuts = count

    def _call(self, what: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(what)

    def _hold(self, hold: bool) -> None:
        self._deaf = hold
        for connection in self._connections:
            (connection.open.clear if hold else connection.open.set)()

    def _silence(self) -> None:
        self._hold(True)
        self._dead |= self._connections  # kept: with the last reference to it a connection would be closed
        self._connections.clear()  # nobody opens them again

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", self.port))
        self._started.set()
        self._loop.run_forever()
        server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # at the end; asyncio would tell of each
            await self._carried(reader, writer)

    async def _carried(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self._connections.add(connection)
        if self._deaf:
            connection.open.clear()
        await connection.open.wait()
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
        else:
            connection.onward = onward
            await asyncio.gather(self._pump(connection, reader, onward, False), self._pump(connection, there, writer, True))
        self._connections.discard(connection)

    async def _pump(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await connection.open.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if replies and self._cuts > 0 and len(data) > 1:
                    self._cuts -= 1
                    self.cut += 1
                    writer.write(data[: min(len(data) // 2, CUT_BYTES)])
                    await writer.drain()
                    break
                writer.write(data)
                await writer.drain()
        connection.close()


class _Connection:
    """Both ends of what is carried."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.onward: asyncio.StreamWriter | None = None
        self.open = asyncio.Event()
        self.open.set()

    def close(self) -> None:
        """With what was written before; the rest is gone."""
        for end in (self.writer, self.onward):
            if end is not None:
                end.close()
