"""A proxy before a store's unix socket that loses replies, hangs, or is not there, as the test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

CHUNK = 1 << 16


class Proxy:
    """Forwards bytes; `lose_reply_to` and `hold` say what goes wrong."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._doomed, self._kept = b"", 0
        self.lost = 0  # replies
        self.port = 0

    async def listen(self) -> None:
        """Takes connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Closes every connection and takes none."""
        assert self._server
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await asyncio.sleep(0)

    def hold(self) -> None:
        """Connections stay, and nothing comes back."""
        self._flows.clear()

    def flow(self) -> None:
        """Ends `hold`."""
        self._flows.set()

    def lose_reply_to(self, word: bytes, keep: int = 0) -> None:
        """Of the reply to the next request that contains `word` only `keep` bytes arrive before the connection is cut."""
        self._doomed, self._kept = word, keep

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        store_reader, store_writer = await asyncio.open_unix_connection(self._path, limit=1 << 22)
        self._open |= {writer, store_writer}
        cutting = asyncio.Event()
        back = asyncio.create_task(self._back(store_reader, writer, cutting))
        try:
            while data := await reader.read(CHUNK):
                if self._doomed and self._doomed in data:
                    self._doomed = b""
                    cutting.set()
                store_writer.write(data)
        finally:
            back.cancel()
            for one in (writer, store_writer):
                one.close()
                self._open.discard(one)

    async def _back(self, store: asyncio.StreamReader, writer: asyncio.StreamWriter, cutting: asyncio.Event) -> None:
        while data := await store.read(CHUNK):
            await self._flows.wait()
            if cutting.is_set():
                self.lost += 1
                writer.write(data[: self._kept])
                await writer.drain()
                writer.close()
                return
            writer.write(data)


@contextlib.asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    """A listening proxy to the store at a unix:// URL."""
    proxy = Proxy(url.removeprefix("unix://"))
    await proxy.listen()
    try:
        yield proxy
    finally:
        proxy.flow()
        await proxy.refuse()
