"""Clients of redis-py made from an address: one server, the primary that Sentinels name, or a cluster."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import hiredis
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.connection import parse_url
from redis.exceptions import RedisClusterException

CLIENT_ERRORS = (redis.RedisError, RedisClusterException, OSError)  # what a client raises; that of clusters is no RedisError
SENTINEL_PORT, PORT = 26_379, 6_379

AnyClient = redis.Redis | redis.cluster.RedisCluster
AnyAsyncClient = redis.asyncio.Redis | redis.asyncio.cluster.RedisCluster


class _Address(NamedTuple):
    kind: str  # "", "sentinel" or "cluster"
    nodes: list[tuple[str, int]]
    service: str  # the primary's name that Sentinels know
    options: dict[str, Any]  # of connections to the servers
    sentinel_options: dict[str, Any]


def make_client(url: str, **options: Any) -> AnyClient:
    """A client that may not have connected yet.

    Raises:
        ValueError: the address cannot be used.
        redis.RedisError, RedisClusterException, OSError: no node of a cluster answers.
    """
    found = _parsed(url)
    if found.kind == "sentinel":
        known_by = options | found.sentinel_options
        sentinel = redis.sentinel.Sentinel(found.nodes, sentinel_kwargs=known_by, **options | found.options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(found.service)  # type: ignore[no-untyped-call]
    if found.kind == "cluster":
        nodes = [redis.cluster.ClusterNode(*node) for node in found.nodes]  # type: ignore[no-untyped-call]
        return redis.cluster.RedisCluster(startup_nodes=nodes, **options | found.options)
    return redis.Redis.from_url(url, **options)


def make_async_client(url: str, **options: Any) -> AnyAsyncClient:
    """The same for asyncio, with commands packed by hiredis."""
    found = _parsed(url)
    if found.kind == "cluster":
        nodes = [redis.asyncio.cluster.ClusterNode(*node) for node in found.nodes]
        return redis.asyncio.cluster.RedisCluster(startup_nodes=nodes, **options | found.options)
    if found.kind == "sentinel":
        known_by = options | found.sentinel_options
        sentinel = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
            found.nodes, sentinel_kwargs=known_by, **options | found.options
        )
        client: redis.asyncio.Redis = sentinel.master_for(found.service)
    else:
        client = redis.asyncio.Redis.from_url(url, **options)
    client.connection_pool.connection_class = _packed_in_c(client.connection_pool.connection_class)
    return client


def as_cluster(url: str) -> str:
    """The address of the cluster that a node, given by its own address, is part of."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}+cluster://{rest}"


def is_cluster(client: Any) -> bool:
    """Whether keys of several partitions are in several places."""
    return isinstance(client, (redis.cluster.RedisCluster, redis.asyncio.cluster.RedisCluster))


def _parsed(url: str) -> _Address:
    scheme, _, kind = urlsplit(url).scheme.partition("+")
    if not kind:
        return _Address("", [], "", {}, {})
    if kind not in ("sentinel", "cluster") or scheme not in ("redis", "rediss"):
        raise ValueError(f"there is no scheme {scheme}+{kind}")
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    nodes = [_node(host, SENTINEL_PORT if kind == "sentinel" else PORT) for host in hosts.split(",") if host]
    service, _, database = parts.path.strip("/").partition("/")
    if not nodes or (kind == "sentinel" and not service):
        raise ValueError("Sentinels are named as redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, a cluster as redis+cluster://HOST:PORT")
    query = parse_qsl(parts.query)
    of_sentinels = {name.removeprefix("sentinel_"): value for name, value in query if name.startswith("sentinel_")}
    rest = urlencode([(name, value) for name, value in query if not name.startswith("sentinel_")])
    options: dict[str, Any] = dict(parse_url(f"{scheme}://{credentials}{at}host/{database}?{rest}"))  # type: ignore[no-untyped-call]
    secure = options.pop("connection_class", None) is not None
    for name in ("host", "port"):
        options.pop(name, None)
    if secure:
        options["ssl"] = True
    return _Address(kind, nodes, service if kind == "sentinel" else "", options, of_sentinels | ({"ssl": True} if secure else {}))


def _node(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":") if ":" in text.rpartition("]")[2] else (text, "", "")
    return host.strip("[]"), int(port) if colon else default


def _packed_in_c(connection: type[Any]) -> type[Any]:
    """redis-py's asyncio connections write commands in Python, which costs 1 µs a vector; hiredis does it in 0.3."""

    class PackedInC(connection):  # type: ignore[misc]
        def pack_command(self, *args: Any) -> list[bytes]:
            name = args[0]
            if (b" " if isinstance(name, bytes) else " ") in name:  # "SCRIPT LOAD" is two words on the wire
                args = (*name.split(), *args[1:])
            return [hiredis.pack_command(args)]

    return PackedInC
