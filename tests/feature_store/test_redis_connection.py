"""Addresses, errors in words, and servers that may not hold state."""

from __future__ import annotations

import asyncio

import pytest
import redis
import redis.asyncio

from contracts.errors import ServerUnavailable, SettingsError
from contracts.settings import public_url
from feature_store.partition_reader import PartitionReader
from feature_store.partition_store import PartitionStore
from feature_store.redis_connection import async_client, in_words, judge_server, sync_client
from tests.feature_store.served import blobs


def test_a_server_that_may_evict_is_refused(redis_url: str) -> None:
    """A memory limit with an evicting policy is refused with the fix; without a limit nothing can be evicted."""

    async def connect() -> None:
        await (await async_client(redis_url)).aclose()

    with sync_client(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        asyncio.run(connect())
        client.config_set("maxmemory", "100mb")
        with pytest.raises(SettingsError, match=r"maxmemory-policy is allkeys-lru .*CONFIG SET maxmemory-policy noeviction"):
            asyncio.run(connect())
        client.config_set("maxmemory-policy", "noeviction")
        asyncio.run(connect())


def test_a_full_server_is_an_error_that_says_so(redis_url: str) -> None:
    """With noeviction a full server refuses the whole call, and the message names what to raise."""

    async def work() -> None:
        client = await async_client(redis_url)
        try:
            store = PartitionStore(client, "pumps", 0)
            await store.take(1)
            await client.config_set("maxmemory", "1")
            with pytest.raises(ServerUnavailable, match=r"is full .*raise maxmemory"):
                await store.serve(1, [b"a"], blobs([1]))
            await client.config_set("maxmemory", "0")
            assert (await store.serve(1, [b"a"], blobs([1]))) == (1, False)
        finally:
            await client.aclose()

    asyncio.run(work())


@pytest.mark.parametrize(("version", "fits"), [("6.2.14", False), ("7.0.15", True), ("7.2.4", True), ("8.0.1", True), ("10.1.0", True)])
def test_the_version_decides(version: str, fits: bool) -> None:
    """Redis before 7.0 is refused by name; Valkey says 7.2.4 of itself."""
    if fits:
        judge_server({"redis_version": version}, "here")
    else:
        with pytest.raises(SettingsError, match=r"version 6\.2\.14; install Redis 7\.0"):
            judge_server({"redis_version": version}, "here")


@pytest.mark.parametrize("url", ["http://localhost", "redis://localhost:port", "redis://localhost/0?no_such_option=1"])
def test_a_wrong_address_is_refused_with_what_to_write(url: str) -> None:
    """Scheme, port and options that mean nothing are a SettingsError, for both kinds of client."""
    with pytest.raises(SettingsError, match="write redis://HOST:PORT"):
        sync_client(url)
    with pytest.raises(SettingsError, match="write redis://HOST:PORT"):
        asyncio.run(async_client(url))


def test_tls_is_used_where_the_address_says_so() -> None:
    """rediss:// makes TLS connections, with the certificates of its options."""
    client = redis.Redis.from_url("rediss://user:secret@example.org:6380?ssl_ca_certs=ca.pem")
    assert issubclass(client.connection_pool.connection_class, redis.SSLConnection)
    with pytest.raises((ServerUnavailable, SettingsError), match="rediss://localhost:1"):
        sync_client("rediss://localhost:1?ssl_ca_certs=missing.pem")


def test_messages_show_no_password() -> None:
    """User, password and options are left out of the address."""
    assert public_url("rediss://user:p%40ss@example.org:6380/1?ssl_keyfile=k") == "rediss://example.org:6380/1"


def test_commands_that_lose_the_server_say_so() -> None:
    """What reads checkpoints and vectors without owning them ends in a sentence too when the server goes away."""
    reader = PartitionReader(redis.asyncio.Redis(port=1, retry=None), "pumps", 0)
    for call in (reader.manifest, reader.checkpoint, lambda: reader.vectors([b"a"])):
        with pytest.raises(ServerUnavailable, match="localhost:1 does not answer"):
            asyncio.run(call())


def test_each_refusal_has_its_sentence() -> None:
    """Kinds of errors are told apart: no answer, replica, a call that the server refuses."""
    assert "ssl_ca_certs=FILE" in str(in_words(redis.ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "here"))
    assert "is a replica" in str(in_words(redis.ReadOnlyError("READONLY You can't write"), "here"))
    assert "does not answer (reset)" in str(in_words(OSError("reset"), "here"))
    assert "refused a call (MISCONF no disk)" in str(in_words(redis.ResponseError("MISCONF no disk."), "here"))


def test_commands_packed_in_c_are_what_the_server_expects(redis_url: str) -> None:
    """Text, bytes, numbers and two-word commands arrive as redis-py's own packer sends them."""

    async def work() -> None:
        client = await async_client(redis_url)
        await client.set("ü", b"\x00\xff")
        await client.hset("h", mapping={"i": 1, "f": 0.5})
        assert await client.get("ü") == b"\x00\xff" and await client.hgetall("h") == {b"i": b"1", b"f": b"0.5"}
        assert len(await client.script_load("return 1")) == 40
        await client.aclose()

    asyncio.run(work())
