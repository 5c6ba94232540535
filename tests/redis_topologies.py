"""Debian's redis-server as a primary with a replica and a Sentinel, and as a cluster of three masters."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from streamgauge.local_stack import free_port

WAIT_SECONDS = 60.0
SERVICE = "pumps-primary"
SLOTS = 16_384


class Node:
    """One server in a directory of its own."""

    def __init__(self, directory: Path, *settings: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self._directory = directory / str(self.port)
        self._directory.mkdir(exist_ok=True)
        executable = shutil.which("redis-server")
        assert executable, "the tests marked kafka need redis-server on PATH; .ci/run installs it"
        self._command = [executable, *settings, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        self.start()

    def start(self) -> None:
        """Starts it, also again."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_for(lambda: bool(self.client().ping()))

    def client(self) -> redis.Redis:
        """A connection for the test itself."""
        return redis.Redis(port=self.port, retry=None)

    def kill(self) -> None:
        """As kill -9."""
        self._process.kill()
        self._process.wait()


def wait_for(done: Callable[[], bool]) -> None:
    """Polls until a deadline; what a server that is not there raises is no answer."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if done():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Watched:
    """A primary, its replica, and a Sentinel that makes the replica the primary when the primary is gone."""

    def __init__(self, directory: Path) -> None:
        self.primary = Node(directory, "--save", "")
        self.replica = Node(directory, "--save", "", "--replicaof", "127.0.0.1", str(self.primary.port))
        wait_for(lambda: self.replica.client().info("replication")["master_link_status"] == "up")
        file = directory / "sentinel.conf"
        file.write_text(
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 5000\n"
        )
        self.sentinel = Node(directory, str(file), "--sentinel")
        wait_for(lambda: len(self.sentinel.client().execute_command("SENTINEL", "REPLICAS", SERVICE)) == 1)

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self.sentinel.port}/{SERVICE}"

    def cut_off_the_replica(self) -> None:
        """What the primary takes from here on is lost with it: the replica can no longer log in."""
        with self.primary.client() as client:
            client.config_set("requirepass", "changed")
            client.client_kill_filter(_type="replica")

    def fail_over(self) -> None:
        """The primary dies; returns when the replica has taken its place."""
        self.primary.kill()
        wait_for(lambda: self.replica.client().info("replication")["role"] == "master")

    def nodes(self) -> list[Node]:
        return [self.sentinel, self.replica, self.primary]


class Cluster:
    """Three masters, a third of the slots each."""

    def __init__(self, directory: Path) -> None:
        settings = ("--save", "", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.masters = [Node(directory, *settings, "--cluster-port", str(free_port())) for _ in range(3)]
        for n, node in enumerate(self.masters):
            node.client().execute_command("CLUSTER", "ADDSLOTSRANGE", n * SLOTS // 3, (n + 1) * SLOTS // 3 - 1)
        for node in self.masters[1:]:
            bus = node._command[node._command.index("--cluster-port") + 1]
            self.masters[0].client().execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        self.wait_until_whole()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.masters)

    def wait_until_whole(self) -> None:
        for node in self.masters:
            wait_for(lambda node=node: node.client().cluster("INFO")["cluster_state"] == "ok")
            wait_for(lambda node=node: node.client().cluster("INFO")["cluster_known_nodes"] == "3")

    def master_of(self, key: bytes) -> Node:
        """The node that holds a key."""
        slot = int(self.masters[0].client().execute_command("CLUSTER", "KEYSLOT", key))
        return self.masters[min(slot * 3 // SLOTS, 2)]

    def nodes(self) -> list[Node]:
        return self.masters


@contextmanager
def running(kind: type[Watched] | type[Cluster]) -> Iterator[Watched | Cluster]:
    """Servers of that kind, all of which end with the block."""
    with tempfile.TemporaryDirectory(prefix="sg-") as directory, ExitStack() as ends:
        found = kind(Path(directory))
        for node in found.nodes():
            ends.callback(node.kill)
        yield found
