"""A store that is gone for a while is waited for: no call is skipped, done twice, or blind to what the store forgot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio

from contracts.errors import Fenced, ServerUnavailable, StateError
from contracts.outage import Outage
from feature_store import redis_connection
from feature_store.partition_store import PartitionStore, Served
from feature_store.redis_connection import async_client
from feature_store.redis_layout import DIRECTORY_ENTRY
from tests.feature_store.cut_connections import Proxy, proxy_to
from tests.feature_store.partition import KEYS, connected, manifest, part_ids, stored_offset
from tests.feature_store.served import blobs

LOG = logging.getLogger("test")
CALLS = ("serve", "direct", "stage", "flip")
Client = redis.asyncio.Redis
Scenario = Callable[[PartitionStore, Client, Outage, Proxy], Awaitable[None]]


def behind_a_proxy(url: str, scenario: Scenario) -> None:
    """Runs a scenario with an owner behind a proxy, and a client beside it."""

    async def inside() -> None:
        async with proxy_to(url) as proxy, connected(url) as client, connected(f"redis://127.0.0.1:{proxy.port}") as owner:
            outage = Outage("Redis", LOG)
            store = PartitionStore(owner, "pumps", 0, outage=outage)
            await store.take(1)
            async with asyncio.timeout(60):
                await scenario(store, client, outage, proxy)

    asyncio.run(inside())


async def eventually(done: Callable[[], bool]) -> None:
    while True:
        if done():
            return
        await asyncio.sleep(0.01)


WELL = (Served(1, False), False, Served(1, False))


async def one_of_each(store: PartitionStore, offset: int) -> tuple[Served, bool, Served]:
    """A vector, a directory entry (of which a repeat writes nothing) and a checkpoint of two chunks."""
    return (
        await store.serve(1, [b"a"], blobs([offset])),
        (await store.serve_directory(1, [(b"a", offset)])).forgot,
        await store.checkpoint(manifest(offset), {"a": b"%d" % offset, "b": b"1"}),
    )


async def assert_stored(client: Client, offset: int) -> None:
    """Exactly what an undisturbed owner would have left."""
    assert await stored_offset(client) == (1, offset)
    assert DIRECTORY_ENTRY.unpack(await client.hget("sg:{pumps}:directory", "a")) == (0, 1, offset)
    successor = PartitionStore(client, "pumps", 0)
    found = await successor.restore(await successor.take(2))
    assert found and not found.fell_back
    assert (found.manifest.offset, found.chunks) == (offset, {"a": b"%d" % offset, "b": b"1"})


@pytest.mark.parametrize("kept", [0, 3])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_whose_reply_was_lost_is_made_again(redis_url: str, call: str, kept: int) -> None:
    """Done, and its reply lost or cut in the middle, each call is repeated and leaves what one call would have left."""

    async def scenario(store: PartitionStore, client: Client, outage: Outage, proxy: Proxy) -> None:
        await one_of_each(store, 5)
        proxy.lose_reply_to(call.encode(), kept)
        assert await one_of_each(store, 6) == WELL
        assert proxy.lost == 1
        assert await one_of_each(store, 7) == WELL
        assert len(await part_ids(client)) == 4, "nothing is staged beside the chunks of two checkpoints"
        await assert_stored(client, 7)

    behind_a_proxy(redis_url, scenario)


@pytest.mark.parametrize("loss", ["everything", "the last seconds"])
@pytest.mark.parametrize("call", CALLS)
def test_a_lost_reply_does_not_hide_that_the_store_forgot(redis_url: str, call: str, loss: str) -> None:
    """The first call after a loss is done and its reply is lost: the call that is made again still says so."""

    async def scenario(store: PartitionStore, client: Client, outage: Outage, proxy: Proxy) -> None:
        await one_of_each(store, 5)
        earlier = {key: await client.dump(key) async for key in client.scan_iter("*")}
        await one_of_each(store, 6)
        await client.flushall()
        if loss == "the last seconds":
            for key, dumped in earlier.items():
                await client.restore(key, 0, dumped)
        proxy.lose_reply_to(call.encode())
        if call == "serve":
            assert (await store.serve(1, [b"a"], blobs([7]))).forgot
        elif call == "direct":
            assert (await store.serve_directory(1, [(b"a", 7)])).forgot
        elif call == "stage":
            assert await store.checkpoint(manifest(7), {"a": b"7"}) == (0, True)
        else:
            assert await store.checkpoint(manifest(7), {}) == (0, True)
        assert proxy.lost == 1
        for _ in range(3):  # as the runner does: everything again, until nothing was forgotten
            said = await one_of_each(store, 7)
        assert said == WELL
        await assert_stored(client, 7)

    behind_a_proxy(redis_url, scenario)


def test_a_take_whose_reply_was_lost_is_no_other_owner(redis_url: str) -> None:
    """The successor takes the place, its reply is lost, and the repeat finds the same checkpoint; the owner before is out."""

    async def scenario(store: PartitionStore, client: Client, outage: Outage, proxy: Proxy) -> None:
        await one_of_each(store, 5)
        async with connected(f"redis://127.0.0.1:{proxy.port}") as other:
            successor = PartitionStore(other, "pumps", 0, outage=Outage("Redis", LOG))
            proxy.lose_reply_to(b"take")
            found = await successor.restore(await successor.take(2))
            assert found and found.manifest.offset == 5
            assert proxy.lost == 1
            with pytest.raises(Fenced):
                await store.serve(1, [b"a"], blobs([6]))
            assert await one_of_each(successor, 7) == WELL

    behind_a_proxy(redis_url, scenario)


async def out_of_memory(client: Client, proxy: Proxy) -> None:
    await client.config_set("maxmemory", "1")


async def memory_again(client: Client, proxy: Proxy) -> None:
    await client.config_set("maxmemory", "0")


async def a_replica(client: Client, proxy: Proxy) -> None:
    await client.replicaof("127.0.0.1", "1")


async def a_primary(client: Client, proxy: Proxy) -> None:
    await client.replicaof("NO", "ONE")


async def no_replicas(client: Client, proxy: Proxy) -> None:
    await client.config_set("min-replicas-to-write", "1")


async def none_needed(client: Client, proxy: Proxy) -> None:
    await client.config_set("min-replicas-to-write", "0")


async def refusing(client: Client, proxy: Proxy) -> None:
    await proxy.refuse()


async def listening(client: Client, proxy: Proxy) -> None:
    await proxy.listen()


async def hanging(client: Client, proxy: Proxy) -> None:
    proxy.hold()


async def flowing(client: Client, proxy: Proxy) -> None:
    proxy.flow()


async def busy(client: Client, proxy: Proxy) -> None:
    """A script that does not end, as a person's at the prompt."""
    await client.config_set("busy-reply-threshold", "1")
    other = redis.asyncio.Redis(unix_socket_path=client.connection_pool.connection_kwargs["path"])
    asyncio.create_task(other.eval("while true do end", 0)).add_done_callback(lambda done: done.exception())
    while True:
        try:
            await client.ping()
            await asyncio.sleep(0.01)
        except redis.ResponseError:
            return


async def script_killed(client: Client, proxy: Proxy) -> None:
    await client.script_kill()


@pytest.mark.parametrize(
    ("broken", "mended", "reason"),
    [
        (refusing, listening, "does not answer"),
        (hanging, flowing, "does not answer"),
        (out_of_memory, memory_again, "is full"),
        (a_replica, a_primary, "is a replica"),
        (no_replicas, none_needed, "refused a call (NOREPLICAS"),
        (busy, script_killed, "refused a call (BUSY"),
    ],
)
def test_a_call_waits_until_the_store_is_back(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, broken: Any, mended: Any, reason: str
) -> None:
    """Whatever keeps the store from its work, each call ends when that is over, with what it would have come to before."""
    monkeypatch.setitem(redis_connection._OPTIONS, "socket_timeout", 0.2)

    async def scenario(store: PartitionStore, client: Client, outage: Outage, proxy: Proxy) -> None:
        await one_of_each(store, 5)
        await broken(client, proxy)
        work = asyncio.create_task(one_of_each(store, 6))
        await eventually(lambda: outage._tries >= 3)
        assert reason in outage.sentence
        assert outage.seconds > 0
        assert not work.done()
        await mended(client, proxy)
        assert await work == WELL
        assert (outage.reason, outage.sentence, outage.seconds) == ("", "", 0.0)
        await assert_stored(client, 6)

    behind_a_proxy(redis_url, scenario)


def test_scripts_lost_during_an_outage_are_sent_again(redis_url: str) -> None:
    """A server that was restarted knows no script: the first call brings it."""

    async def scenario(store: PartitionStore, client: Client, outage: Outage, proxy: Proxy) -> None:
        await one_of_each(store, 5)
        await proxy.refuse()
        work = asyncio.create_task(one_of_each(store, 6))
        await eventually(lambda: bool(outage.reason))
        await client.script_flush()
        await proxy.listen()
        assert await work == WELL

    behind_a_proxy(redis_url, scenario)


def test_a_wait_can_be_cut_short(redis_url: str) -> None:
    """Whoever is told to end, or to give the place up, does not wait: the call is cancelled, hung or between two tries."""

    async def scenario(store: PartitionStore, client: Client, outage: Outage, proxy: Proxy) -> None:
        for broken in (hanging, refusing):
            await broken(client, proxy)
            work = asyncio.create_task(store.serve(1, [b"a"], blobs([6])))
            await asyncio.sleep(0.3)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    behind_a_proxy(redis_url, scenario)


def test_what_would_be_refused_again_is_not_waited_for(redis_url: str) -> None:
    """A stranger's value under one of our keys ends in a sentence at once."""

    async def scenario(store: PartitionStore, client: Client, outage: Outage, proxy: Proxy) -> None:
        await client.delete(KEYS.fence)
        await client.set(KEYS.fence, "stranger")
        with pytest.raises(StateError, match="WRONGTYPE"):
            await store.serve(1, [b"a"], blobs([6]))

    behind_a_proxy(redis_url, scenario)


def test_without_somebody_who_waits_a_call_fails_at_once(redis_url: str) -> None:
    """A command of a person is told, and not held up."""

    async def body() -> None:
        async with proxy_to(redis_url) as proxy:
            client = await async_client(f"redis://127.0.0.1:{proxy.port}")
            store = PartitionStore(client, "pumps", 0)
            await store.take(1)
            await proxy.refuse()
            with pytest.raises(ServerUnavailable, match="does not answer"):
                await store.serve(1, [b"a"], blobs([6]))
            await client.aclose()

    asyncio.run(body())


def test_an_outage_is_said_once_and_again_when_its_reason_changes(caplog: pytest.LogCaptureFixture) -> None:
    """Not a line a try: at its beginning, with another reason, and at its end."""
    outage = Outage("Redis", LOG)
    with caplog.at_level(logging.INFO, "test"):
        for reason in ("Redis at a does not answer (refused 1)", "Redis at a does not answer (refused 2)", "Redis at a is loading (x)"):
            outage.failed(ServerUnavailable(reason))
        outage.over()
        outage.over()
    said = [record.message for record in caplog.records]
    assert len(said) == 3
    assert "waiting for Redis since" in said[0] and "UTC: Redis at a does not answer (refused 1)" in said[0]
    assert "is loading" in said[1] and "is back after" in said[2]
