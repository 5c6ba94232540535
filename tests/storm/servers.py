"""The storm's servers: a broker, and a redis-server that keeps what it acknowledged; both can be ended and come back."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from contracts.settings import Servers
from stream_processors.waiting import wait_for_redis
from streamgauge.local_stack import Child, LocalStack, free_port
from tests.apache_kafka import ApacheKafka

GRACE_SECONDS = 5.0
STORE = [
    "redis-server",
    *("--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"),
]


class StormServers:
    """Context manager: `servers` is valid inside the ``with`` block."""

    servers: Servers

    def __init__(self, kafka: str) -> None:
        self.kind = kafka  # apache or embedded
        self.broker: ApacheKafka | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._directory = Path(tempfile.mkdtemp(prefix="storm-store-"))
            stack.callback(shutil.rmtree, self._directory, ignore_errors=True)
            self._port = free_port()
            self._start_store()
            stack.callback(lambda: self._store.stop())
            url = f"redis://127.0.0.1:{self._port}"
            if self.kind == "apache":
                self.broker = stack.enter_context(ApacheKafka())
            local = LocalStack(kafka=self.broker.settings if self.broker else None, redis=url)
            self.servers = stack.enter_context(local).servers
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def restart_store(self, kill: bool) -> None:
        """Ends redis-server and starts it again on the same append-only file."""
        if kill:
            os.kill(self._store.pid, signal.SIGKILL)
        self._store.stop()
        self._start_store()

    def flush(self) -> None:
        """Everything in the store is gone."""
        with redis.Redis(port=self._port) as client:
            client.flushall()

    def cut_connections(self) -> None:
        """Cuts every client's connection to the store, whatever it is waiting for."""
        with redis.Redis(port=self._port) as client:
            client.client_kill_filter(_type="normal", skipme=True)

    def restart_broker(self, kill: bool) -> None:
        """Ends Apache Kafka and starts it again on the same log."""
        assert self.broker is not None
        self.broker.restart(kill)

    def _start_store(self) -> None:
        command = [*STORE, "--dir", str(self._directory), "--port", str(self._port)]
        self._store = Child("redis", command, self._directory, GRACE_SECONDS)
        wait_for_redis(f"redis://127.0.0.1:{self._port}")
