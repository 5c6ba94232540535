"""A broker and a store of one's own: no Docker, no Java, nothing left behind."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts.errors import ServerUnavailable
from contracts.settings import FILE_SUFFIX, KAFKA_VARIABLE, REDIS_VARIABLE, KafkaSettings, Servers
from stream_processors.waiting import Say, silent, wait_for_kafka, wait_for_redis
from streamgauge.local_stack.broker import BROKER_GRACE, broker_command
from streamgauge.local_stack.child import Child
from streamgauge.local_stack.store import STORE_GRACE, store_command

START_SECONDS = 15.0  # either server is up in 0.1 s; a machine at full load was seen to take some seconds
PORT_TRIES = 5  # between choosing a free port and the server's binding it, another process may take it


class LocalStack:
    """Context manager: an embedded broker and store on free loopback ports, in a private directory.

    Both end with this process, however it ends; the directory (mode 0700) is removed on a regular exit, unless `keeps_logs`.
    `servers` is valid inside the ``with`` block only.

    Args:
        kafka, redis: servers that are there already and take the place of the embedded one.
        say: gets a sentence if such a server has to be waited for.

    Raises:
        ServerUnavailable: on entry, where a server is not installed or does not start; its log's end is in the message.
    """

    servers: Servers
    directory: Path
    keeps_logs = False  # set where something ended by itself: its log is all that tells why

    def __init__(self, kafka: KafkaSettings | None = None, redis: str | None = None, say: Say = silent) -> None:
        self._kafka, self._redis, self._say = kafka, redis, say
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="streamgauge-"))
        try:
            kafka = self._kafka or KafkaSettings.parse(f"127.0.0.1:{self._start('broker', broker_command, BROKER_GRACE)}")
            redis = self._redis or f"redis://127.0.0.1:{self._start('store', store_command, STORE_GRACE)}"
            self.servers = Servers(kafka, redis)
            wait_for_kafka(self.servers.kafka, say=self._say, fix=_fix("--kafka", KAFKA_VARIABLE))
            wait_for_redis(self.servers.redis, say=self._say, fix=_fix("--redis", REDIS_VARIABLE))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def started(self) -> dict[str, str]:
        """Of `servers.environment` what leads to servers of this stack's own, which ask for no password."""
        named = {KAFKA_VARIABLE: self._kafka, REDIS_VARIABLE: self._redis}
        return {name: address for name, address in self.servers.environment.items() if not named[name]}

    def stop(self) -> None:
        """End both servers and remove the directory, unless its logs are kept; harmless when repeated."""
        for child in self._children:
            child.ask_to_stop()
        while self._children:
            self._children.pop().stop()
        if not self.keeps_logs:
            shutil.rmtree(self.directory, ignore_errors=True)

    def check(self) -> None:
        """Raise ServerUnavailable, with the end of its log, if one of the servers has ended by itself; the logs are kept then."""
        for child in self._children:
            if child.poll() is not None:
                self.keeps_logs = True
                raise ServerUnavailable(f"the embedded {child.last_words()}")

    def _start(self, name: str, command: Callable[[int], list[str]], grace: float) -> int:
        for _ in range(PORT_TRIES):
            port = free_port()
            child = Child(name, command(port), self.directory, grace)
            if _listens(child, port):
                self._children.append(child)
                return port
            child.stop()
        raise ServerUnavailable(f"the embedded {name} did not start:\n{child.log_tail()}")


def _fix(option: str, variable: str) -> str:
    """For whoever named a server that does not answer to the one command that can start its own."""
    return f"start it, or leave {option} out and unset {variable} and {variable}{FILE_SUFFIX}: then one is started here"


def free_port() -> int:
    """A loopback TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(child: Child, port: int) -> bool:
    """Whether the child came to listen on the port; False as soon as it has ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            return False
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return child.poll() is None
        time.sleep(0.01)
    return False
