"""The storm's Redis: one server, a primary with replica and Sentinel, or a cluster of three masters; each keeps what it acknowledged."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import redis

from tests.redis_topologies import Cluster, Node, Watched, wait_for

KEEPS = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")


class OneStore:
    """One redis-server."""

    def __init__(self, directory: Path) -> None:
        self.node = Node(directory, "--save", "", *KEEPS)

    @property
    def url(self) -> str:
        """Where processes find it."""
        return f"redis://127.0.0.1:{self.node.port}"

    def primaries(self) -> list[Node]:
        """Those that take writes."""
        return [self.node]

    def nodes(self) -> list[Node]:
        """All servers."""
        return [self.node]

    def wait_until_whole(self) -> None:
        """Until every key can be written."""

    def master_of(self, key: bytes) -> Node:
        """The server that has a key."""
        return self.node


class WatchedStore(Watched):
    """With Sentinel; the replica lags behind only while it is cut off."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, *KEEPS)

    def primaries(self) -> list[Node]:
        """The one that takes writes."""
        return [self.primary]

    def wait_until_whole(self) -> None:
        """It is when it answers."""

    def master_of(self, key: bytes) -> Node:
        """The primary has all keys."""
        return self.primary


class ClusterStore(Cluster):
    """Three masters without replicas."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, *KEEPS)

    def primaries(self) -> list[Node]:
        """All of them."""
        return self.masters


Store = OneStore | WatchedStore | ClusterStore
STORES: dict[str, type[OneStore] | type[WatchedStore] | type[ClusterStore]] = {
    "one": OneStore,
    "sentinel": WatchedStore,
    "cluster": ClusterStore,
}


def restart(store: Store, kill: bool, forget: bool, chance: random.Random) -> None:
    """Ends one of the servers that take writes and starts it again; `forget`: it comes back with nothing."""
    node = chance.choice(store.primaries())
    (node.kill if kill else node.stop)()
    if forget:
        node.forget()
    node.start()
    store.wait_until_whole()


def flush(store: Store) -> None:
    """Everything is gone."""
    for node in store.primaries():
        with node.client() as client:
            client.flushall()


def cut_connections(store: Store) -> None:
    """Cuts every client's connection, whatever it is waiting for."""
    for node in store.primaries():
        with node.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)


def limit_memory(store: Store, limited: bool) -> None:
    """Leaves no room for another byte, or as much as there is."""
    for node in store.primaries():
        with node.client() as client:
            client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 0.9) if limited else 0)


def keep_busy(store: Store, seconds: float) -> None:
    """A stranger's script that runs for ever is killed after so many seconds; who calls meanwhile is told BUSY."""
    (node, *_) = store.primaries()
    with node.client() as stranger, node.client() as killer:
        killer.config_set("busy-reply-threshold", 50)
        stranger.connection_pool.connection_kwargs["socket_timeout"] = seconds
        with contextlib.suppress(redis.TimeoutError):
            stranger.eval("while true do end", 0)
        killer.script_kill()
        be_patient(killer)


def be_patient(client: redis.Redis) -> None:
    """Scripts may take their time again; a server that is about to end one still says BUSY."""
    wait_for(lambda: bool(client.config_set("busy-reply-threshold", 5000)))
