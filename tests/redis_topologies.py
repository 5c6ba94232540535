"""Debian's redis-server as a primary with a replica and a Sentinel, and as a cluster of three masters."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from streamgauge.local_stack import Child, free_port

WAIT_SECONDS = 60.0  # Sentinel itself waits 10 s between two looks at a replica, and the machine may be busy
SERVICE = "pumps-primary"
SLOTS = 16_384
GRACE_SECONDS = 5.0
REPLICATES = ("--user", "replicates", "on", ">word", "~*", "&*", "+@all", "--masteruser", "replicates", "--masterauth", "word")
"""Of both servers of a pair: a replica logs in as a user of its own, so that it alone can be shut out."""


class Node:
    """One server in a directory of its own, which ends with this process."""

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
        self._child = Child("redis", self._command, self._directory, GRACE_SECONDS)
        wait_for(lambda: bool(self.client().ping()))

    def client(self) -> redis.Redis:
        """A connection for the test itself."""
        return redis.Redis(port=self.port, retry=None)

    def kill(self) -> None:
        """As kill -9; harmless when repeated."""
        if self._child.poll() is None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.stop()

    def stop(self) -> None:
        """In order: what it keeps on disk is whole."""
        self._child.stop()

    def forget(self) -> None:
        """Of a server that is not running: removes the data on its disk; a cluster's node stays what it is."""
        for path in self._directory.iterdir():
            if path.suffix in (".rdb", ".aof"):
                path.unlink()
        shutil.rmtree(self._directory / "appendonlydir", ignore_errors=True)


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
    """A primary, its replica, and a Sentinel that makes the replica the primary when the primary is gone.

    Args:
        settings: of both servers.
    """

    def __init__(self, directory: Path, *settings: str) -> None:
        both = ("--save", "", "--repl-diskless-sync-delay", "0", *REPLICATES, *settings)
        self.primary = Node(directory, *both)
        self.replica = Node(directory, *both, "--replicaof", "127.0.0.1", str(self.primary.port))
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
            client.execute_command("ACL", "SETUSER", "replicates", "off")
            client.client_kill_filter(_type="replica")

    def fail_over(self) -> None:
        """The primary dies; returns when the replica has taken its place."""
        self.primary.kill()
        wait_for(lambda: self.replica.client().info("replication")["role"] == "master")

    def join_again(self) -> None:
        """After `fail_over`: the old primary comes back, as the replica of the one that it had, and the two change names."""
        wait_for(lambda: int(self.sentinel.client().sentinel_get_master_addr_by_name(SERVICE)[1]) == self.replica.port)
        self.primary.start()
        self.primary, self.replica = self.replica, self.primary
        with self.replica.client() as client:
            client.replicaof("127.0.0.1", self.primary.port)  # a Sentinel would do so after 8 s
        wait_for(lambda: self.replica.client().info("replication").get("master_link_status") == "up")

    def wait_until_watched(self) -> None:
        """Until the Sentinel, which asks every 10 s, knows of a replica that it would promote."""
        wait_for(lambda: self._sentinel_says("flags") == b"slave" and self._sentinel_says("master-link-status") == b"ok")

    def _sentinel_says(self, field: str) -> bytes:
        """Of the replica that has the replica's port; a Sentinel promotes none that it believes to be gone."""
        for row in self.sentinel.client().execute_command("SENTINEL", "REPLICAS", SERVICE):
            found = row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))
            found = {_bytes(key): _bytes(value) for key, value in found.items()}
            if found[b"port"] == b"%d" % self.replica.port:
                return found[field.encode()]
        return b""

    def nodes(self) -> list[Node]:
        return [self.sentinel, self.replica, self.primary]


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class Cluster:
    """Three masters, a third of the slots each.

    Args:
        settings: of all of them.
    """

    def __init__(self, directory: Path, *settings: str) -> None:
        fixed = ("--save", "", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.masters = [Node(directory, *fixed, *settings, "--cluster-port", str(free_port())) for _ in range(3)]
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
