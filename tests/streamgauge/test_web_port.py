"""Where a worker's pages are served: on the port that was named, or the first free one."""

from __future__ import annotations

import asyncio
import socket
import urllib.request

import pytest

from contracts.errors import SettingsError
from contracts.settings import Servers
from stream_processors.faust_app import bare_app
from streamgauge import web_port
from streamgauge.web_port import listen_for_pages

LOOPBACK = "127.0.0.1"


def test_a_taken_default_leads_to_the_next_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers without --web-port listen on different ports, the second above the first."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        monkeypatch.setattr(web_port, "DEFAULT_PORT", taken.getsockname()[1])
        with listen_for_pages(LOOPBACK, None) as first, listen_for_pages(LOOPBACK, None) as second:
            assert taken.getsockname()[1] < first.getsockname()[1] < second.getsockname()[1]


def test_a_taken_port_that_was_named_is_a_sentence() -> None:
    """It names the port and a free one."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} of --web-port is taken.* such as --web-port \d+, or leave"):
            listen_for_pages(LOOPBACK, port)


def test_an_address_of_another_machine_is_a_sentence() -> None:
    """192.0.2.1 is kept for documentation, so it is none of this machine's."""
    with pytest.raises(SettingsError, match=r"cannot be served on 192\.0\.2\.1 .*--web-bind"):
        listen_for_pages("192.0.2.1", None)


def test_pages_are_served_on_the_held_socket_with_and_without_the_last_slash() -> None:
    """The worker's web server answers /metrics as /metrics/, and so the other pages, on the socket it was given."""
    pages = listen_for_pages(LOOPBACK, None)
    port = pages.getsockname()[1]

    def status(path: str) -> int:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=20) as answer:
            return answer.status

    async def ask() -> list[int]:
        app = bare_app("pages", Servers.resolve("127.0.0.1:1", "redis://127.0.0.1:1"), port, pages=pages)
        app.web.init_server()
        await app.web.start_server()
        found = [await asyncio.to_thread(status, path) for path in ("/live", "/live/", "/metrics", "/metrics/")]
        await app.web.stop_server()
        return found

    assert asyncio.run(ask()) == [200] * 4
