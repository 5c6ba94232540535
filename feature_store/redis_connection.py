"""Clients of Redis made from an address, errors in words, and what a server must be to hold state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from contracts.errors import ServerUnavailable, SettingsError, StateError, StreamgaugeError
from contracts.settings import public_url
from feature_store.redis_addresses import CLIENT_ERRORS, AnyClient, as_cluster, is_cluster, make_async_client, make_client

CONNECT_SECONDS = 5.0  # without it a host that drops packets holds a command for minutes
REPLY_SECONDS = 10.0  # without it a hung server holds a partition for ever; less than that, and a slow fork of its own is an outage
READ_BYTES = 262_144  # redis-py reads 32 KB at a time: two more system calls for the reply of a hundred vectors
OLDEST = (7, 0)  # of Redis, and of what Valkey says it is compatible with

_PASSING = ("MISCONF", "BUSY", "UNKILLABLE", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN")
"""What a server says in a state that ends: it cannot save, runs a script, lacks replicas or a primary, elects one, moves slots."""

_OPTIONS: dict[str, Any] = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": REPLY_SECONDS, "socket_read_size": READ_BYTES}


def sync_client(url: str) -> AnyClient:
    """A client of ``redis://``, ``rediss://`` (TLS) or ``unix://``, with ``user:password@`` for an ACL user; it answers PING.

    ``redis+sentinel://HOST:PORT,HOST:PORT/SERVICE`` is the primary that Sentinels name, ``redis+cluster://HOST:PORT,HOST:PORT``
    a cluster, which is also recognised by one of its nodes (and ``rediss+…`` of either with TLS). Query options are
    redis-py's, such as ``ssl_ca_certs=FILE``, ``ssl_certfile=FILE``, ``ssl_keyfile=FILE`` or ``db=1``; those of the
    Sentinels' own connections begin with ``sentinel_``, as ``sentinel_password=…``.

    Raises:
        SettingsError: the address or the credentials are wrong.
        ServerUnavailable: no answer.
    """
    client: AnyClient | None = None
    try:
        client = make_client(url, **_OPTIONS)
        binary_only(client)
        client.ping()
        if not is_cluster(client) and _says_cluster(lambda: client.info("cluster")):  # type: ignore[union-attr]
            client.close()
            client = make_client(as_cluster(url), **_OPTIONS)
    except (ValueError, TypeError, *CLIENT_ERRORS) as error:
        if client is not None:
            client.close()
        raise in_words(error, public_url(url)) from error
    return client


def _says_cluster(info: Callable[[], Mapping[str, Any]]) -> bool:
    with contextlib.suppress(redis.exceptions.NoPermissionError):
        return bool(info().get("cluster_enabled"))
    return False


async def async_client(url: str, holds_state: bool = True) -> Any:
    """The same for asyncio. For a worker the server is also checked to be one that can hold state (`check_server`)."""
    client: Any = None
    try:
        client = make_async_client(url, **_OPTIONS, retry=_once_more())
        binary_only(client)
        await client.ping()
        if not is_cluster(client) and await _is_node(client):
            await client.aclose()
            client = make_async_client(as_cluster(url), **_OPTIONS, retry=_once_more())
        if holds_state:
            await check_server(client)
    except (ValueError, TypeError, StreamgaugeError, *CLIENT_ERRORS) as error:
        if client is not None:
            await client.aclose()
        if isinstance(error, StreamgaugeError):
            raise
        raise in_words(error, public_url(url)) from error
    return client


async def _is_node(client: Any) -> bool:
    """Whether the server is one of a cluster; not known where the user may not ask."""
    try:
        found = await client.info("cluster")
    except redis.exceptions.NoPermissionError:
        return False
    return bool(found.get("cluster_enabled"))


def _once_more() -> Retry:
    """A connection that the server has closed meanwhile is opened again at once; more is for whoever knows how long to wait."""
    return Retry(NoBackoff(), 1, (redis.ConnectionError,))


async def drop_connections(client: Any) -> None:
    """Closes what is open, so that the next call looks the address up again. A cluster's client does so by itself."""
    pool = getattr(client, "connection_pool", None)
    if pool is not None:
        await pool.disconnect(inuse_connections=False)


async def check_server(client: Any) -> None:
    """Refuses a server that is too old, or that may evict state; of a cluster, each primary.

    Raises:
        SettingsError: with the fix.
        ServerUnavailable: no answer.
    """
    where = client_address(client)
    try:
        if not is_cluster(client):
            judge_server(await client.info("server") | await client.info("memory"), where)
            return
        await client.initialize()
        for node in client.get_primaries():
            found = [await client.info(section, target_nodes=node) for section in ("server", "memory")]
            judge_server(found[0] | found[1], node.name)
    except CLIENT_ERRORS as error:
        raise in_words(error, where) from error


def judge_server(info: Mapping[str, Any], where: str) -> None:
    """`check_server` on what INFO said: sections server and memory. Without a memory limit nothing can be evicted."""
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise SettingsError(f"Redis at {where} is version {version}; install Redis {OLDEST[0]}.{OLDEST[1]} or newer, or Valkey")
    policy, limit = str(info.get("maxmemory_policy", "noeviction")), int(info.get("maxmemory", 0))
    if limit > 0 and policy != "noeviction":
        raise SettingsError(
            f"Redis at {where} may evict state: maxmemory-policy is {policy} with maxmemory {limit}; "
            "set it to noeviction (redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf), or use another server"
        )


def binary_only(client: Any) -> None:
    """Refuses a client that decodes replies: packed vectors are not text."""
    pool = getattr(client, "connection_pool", None)
    if (pool.connection_kwargs if pool else client.get_connection_kwargs()).get("decode_responses"):
        raise SettingsError("this Redis client has decode_responses=True, which corrupts packed vectors; make one without it")


def in_words(error: Exception, where: str) -> StreamgaugeError:
    """The error of redis-py as one of ours, which names the server and the fix."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    if isinstance(error, StreamgaugeError):
        return error
    if isinstance(error, (redis.AuthenticationError, redis.exceptions.AuthorizationError)):
        return SettingsError(f"Redis at {where} refused the credentials ({text}); write redis://USER:PASSWORD@HOST:PORT")
    if isinstance(error, redis.exceptions.NoPermissionError):
        return SettingsError(f"Redis at {where}: the user lacks a right ({text}); docs/security.md lists the commands to allow")
    if isinstance(error, (ValueError, TypeError)):
        return SettingsError(f"Redis address {where} cannot be used ({text}); write redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return SettingsError(
            f"Redis at {where} has a certificate that is not trusted; name its authority: rediss://HOST:PORT?ssl_ca_certs=FILE"
        )
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return ServerUnavailable(f"Redis at {where} is full ({text}); raise maxmemory, or lower max_entities in the definition")
    if isinstance(error, redis.ReadOnlyError):
        return ServerUnavailable(f"Redis at {where} is a replica and takes no writes; name the primary")
    if isinstance(error, redis.BusyLoadingError):
        return ServerUnavailable(f"Redis at {where} is loading its data ({text}); it answers when it has done so")
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError, redis.exceptions.RedisClusterException)):
        return ServerUnavailable(f"Redis at {where} does not answer ({text}); start one with: streamgauge up, or name one with --redis URL")
    if text.startswith(_PASSING) or "Script killed" in text or isinstance(error, redis.exceptions.ClusterError):
        return ServerUnavailable(f"Redis at {where} refused a call ({text})")
    return StateError(f"Redis at {where} refused a call ({text}); does another program write keys that begin with sg: there?")


def client_address(client: Any) -> str:
    """Where a client is connected, for messages."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return "the cluster"
    if isinstance(pool, (redis.sentinel.SentinelConnectionPool, redis.asyncio.sentinel.SentinelConnectionPool)):
        return f"the primary of {pool.service_name}"
    options = pool.connection_kwargs
    return f"unix://{options['path']}" if "path" in options else f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
