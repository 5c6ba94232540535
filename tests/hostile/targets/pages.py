"""The worker's pages over a real socket: whatever is sent, it answers or closes, and goes on answering others."""

from __future__ import annotations

import asyncio
import random
import select
import socket
import threading
from typing import ClassVar

from contracts.settings import Servers
from stream_processors.faust_app import PlantApp, bare_app
from streamgauge.local_stack import free_port
from tests.hostile.target import Target

ANSWER_SECONDS = 20.0  # on a machine shared with other work; an answer takes a millisecond
SILENCE_SECONDS = 0.02
_REQUESTS = [
    b"GET /live/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /ready/ HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: close\r\n\r\n",
    b"GET /metrics/?a=b&c=%41#x HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\nRange: bytes=0-5\r\nConnection: close\r\n\r\n",
    b"POST /live/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 7\r\nConnection: close\r\n\r\n" + b'{"a":1}',
    b"POST /live/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Key: x\r\n\r\n",
]


class Pages(Target):
    """Raw requests; at the end of a round /live/ still answers 200."""

    name = "pages"
    refuses = ()
    share = 0.02
    seconds = 4.0
    tokens: ClassVar[list[bytes]] = [
        *b"GET POST HEAD CONNECT / // /../ /%2e%2e/ %00 %ff ? # HTTP/1.0 HTTP/9.9 Host: Content-Length: chunked -1 \x00 \xff".split(b" "),
        *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b": ", b"9" * 30, b"Expect: 100-continue\r\n", b"A: " + b"x" * 9_000),
    ]

    def corpus(self) -> list[bytes]:
        if not hasattr(self, "_port"):
            self._port = free_port()
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(ANSWER_SECONDS)
        return _REQUESTS

    async def _start(self) -> None:
        self._app: PlantApp = bare_app("hostile", Servers.resolve("127.0.0.1:1", "redis://127.0.0.1:1"), web_port=self._port)
        self._app.web.init_server()
        await self._app.web.start_server()

    def take(self, data: bytes, draw: random.Random) -> None:
        self._ask(data)

    def _ask(self, data: bytes, patient: bool = False) -> bytes:
        """What the server says until it closes. After a silence it is told that nothing more will come, unless one is `patient`."""
        answer = bytearray()
        with socket.create_connection(("127.0.0.1", self._port), ANSWER_SECONDS) as connection:
            try:
                connection.sendall(data)
                if not patient and not select.select([connection], [], [], SILENCE_SECONDS)[0]:
                    connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65_536):
                    answer += part
                    if not patient:
                        connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError) as error:
                assert not isinstance(error, TimeoutError), "neither answers nor closes"  # else it had heard enough
        assert b"Traceback" not in answer, "an answer shows the inside"
        return bytes(answer)

    def end(self) -> None:
        answer = self._ask(_REQUESTS[0], patient=True)
        assert answer.startswith(b"HTTP/1.1 200"), f"/live/ says {answer[:60]!r}"

    def close(self) -> None:
        if hasattr(self, "_port"):
            asyncio.run_coroutine_threadsafe(self._app.web.stop_server(), self._loop).result(ANSWER_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(ANSWER_SECONDS)


PAGE_TARGETS = [Pages]
