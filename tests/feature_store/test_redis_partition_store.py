"""The fenced writer against real servers: guards, fencing, checkpoints, and a server that forgets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from contracts.errors import Fenced, SettingsError, StateError
from feature_store.checkpoint import MAX_CHUNK_BYTES, Manifest
from feature_store.partition_store import PartitionStore
from feature_store.redis_connection import async_client
from feature_store.redis_layout import DIRECTORY_ENTRY, partition_keys
from feature_store.served_vector import unpack_vector
from tests.feature_store.served import blobs

KEYS = partition_keys("pumps", 0)
Client = redis.asyncio.Redis


def run(url: str, body: Callable[[Client], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with connected(url) as client:
            await body(client)

    asyncio.run(inside())


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    client = await async_client(url)
    try:
        yield client
    finally:
        await client.aclose()


def manifest(offset: int = 7, generation: int = 1, **more: Any) -> Manifest:
    return Manifest(generation=generation, offset=offset, definition="0123456789abcdef", fold_version=1, epoch=1, **more)


async def taken(client: Client, epoch: int = 1) -> PartitionStore:
    store = PartitionStore(client, "pumps", 0)
    await store.take(epoch)
    return store


async def stored_offset(client: Client, entity: str = "a") -> tuple[int, int]:
    vector = unpack_vector(await client.get(KEYS.vector + entity.encode()))
    return vector.generation, vector.offset


async def part_ids(client: Client) -> set[str]:
    """Ids of the chunks there are, after proving that the set of ids and the keys agree."""
    keys = {key.removeprefix(KEYS.chunk).decode() async for key in client.scan_iter(KEYS.chunk.replace(b"{", b"\\{") + b"*")}
    assert keys == {part.decode() for part in await client.smembers(KEYS.chunks)}
    return keys


def test_a_vector_is_never_replaced_by_an_older_one(redis_url: str) -> None:
    """(generation, offset) decides, generation first; an equal one may be rewritten."""

    async def body(client: Client) -> None:
        store = await taken(client)
        for generation, offset, written in [(1, 10, 1), (1, 10, 1), (1, 9, 0), (1, 11, 1), (2, 3, 1), (1, 99, 0), (2, 2, 0)]:
            served = await store.serve(generation, [b"a"], blobs([offset], generation))
            assert (served.written, served.forgot) == (written, False), (generation, offset)
        assert await stored_offset(client) == (2, 3)
        assert await client.get(KEYS.generation) == b"2"

    run(redis_url, body)


def test_offsets_beyond_32_bits_are_compared_whole(redis_url: str) -> None:
    """The script's numbers are doubles; offsets up to 2^53 keep their order."""

    async def body(client: Client) -> None:
        store = await taken(client)
        for offset, written in [(2**52 + 1, 1), (2**52, 0), (2**52 + 2, 1), (2**32, 0)]:
            assert (await store.serve(1, [b"a"], blobs([offset]))).written == written

    run(redis_url, body)


def test_many_vectors_are_served_in_slices(redis_url: str) -> None:
    """A batch larger than a slice arrives whole, each vector with a life."""

    async def body(client: Client) -> None:
        store = await taken(client)
        names = [b"pump-%d" % i for i in range(700)]
        assert (await store.serve(1, names, blobs(range(700)))).written == 700
        assert await stored_offset(client, "pump-699") == (1, 699)
        assert 0 < await client.ttl(KEYS.vector + b"pump-3") <= 7 * 86_400

    run(redis_url, body)


def test_a_generation_is_raised_without_a_vector(redis_url: str) -> None:
    """A generation that begins with an empty state is known to readers at once, and never falls."""

    async def body(client: Client) -> None:
        store = await taken(client)
        for generation, stored in [(3, b"3"), (2, b"3")]:
            await store.serve(generation, [], [])
            assert await client.get(KEYS.generation) == stored

    run(redis_url, body)


def test_a_follower_fences_the_owner_before_it_out_of_every_call(redis_url: str) -> None:
    """After a greater epoch took the partition each call of the lower one raises Fenced and changes nothing."""

    async def body(client: Client) -> None:
        old, new = await taken(client, 1), await taken(client, 2)
        await new.serve(1, [b"a"], blobs([5]))
        for call in (
            old.serve(1, [b"a"], blobs([6])),
            old.serve_directory(1, [(b"a", 5)]),
            old.checkpoint(manifest(), {"x": b"1"}),
            old.take(1),
        ):
            with pytest.raises(Fenced, match="epoch 2, ours is 1"):
                await call
        assert await stored_offset(client) == (1, 5)
        assert not await part_ids(client) and not await client.exists(KEYS.manifest)

    run(redis_url, body)


def test_a_take_repeated_after_a_lost_reply_is_no_other_owner(redis_url: str) -> None:
    """An epoch is an offset of `switches`, so an equal one is the same owner."""

    async def body(client: Client) -> None:
        store = PartitionStore(client, "pumps", 0)
        assert (await store.take(4)).forgot
        assert not (await store.take(4)).forgot

    run(redis_url, body)


def test_a_checkpoint_restores_what_was_kept_and_what_changed(redis_url: str) -> None:
    """Manifest and chunks come back equal; chunks above the size of a part are cut and joined."""

    async def body(client: Client) -> None:
        store = await taken(client)
        large = bytes(range(256)) * (MAX_CHUNK_BYTES // 100)
        first = manifest(7, output_ends={("pumps.scores", 3): 12}, counters={"read": 7}, topic_id="t", extra={"note": [1, "ü"]})
        assert await store.checkpoint(first, {"small": b"s1", "large": large, "empty": b""}) == (1, False)
        assert await store.checkpoint(manifest(9), {"small": b"s2"}) == (1, False)
        successor = PartitionStore(client, "pumps", 0)
        found = await successor.restore(await successor.take(2))
        assert found and found.manifest.offset == 9 and not found.fell_back
        assert found.chunks == {"small": b"s2", "large": large, "empty": b""}
        assert max(map(len, [await client.get(KEYS.chunk + part.encode()) for part in await part_ids(client)])) == MAX_CHUNK_BYTES
        assert await successor.checkpoint(first, {}, kept=["small"]) == (1, False)
        again = await successor.restore(await successor.take(3))
        assert again and again.chunks == {"small": b"s2"}
        assert (again.manifest.output_ends, again.manifest.counters, again.manifest.topic_id) == (first.output_ends, {"read": 7}, "t")
        assert again.manifest.extra == {"note": [1, "ü"]}

    run(redis_url, body)


def test_chunks_that_no_manifest_names_are_collected(redis_url: str) -> None:
    """After each flip exactly the parts of the two newest manifests are there, leftovers of a crashed staging included."""

    async def body(client: Client) -> None:
        store = await taken(client)
        for i in range(4):
            await store.checkpoint(manifest(i), {"a": b"%d" % i, "b": b"%d" % i} if i == 0 else {"a": b"%d" % i})
            assert len(await part_ids(client)) == (2 if i == 0 else 3)
        await store._stage([(store._part(99, b"crashed"), b"crashed")])
        successor = PartitionStore(client, "pumps", 0)
        await successor.restore(await successor.take(2))
        assert len(await part_ids(client)) == 4
        await successor.checkpoint(manifest(5), {"a": b"5"})
        assert len(await part_ids(client)) == 3

    run(redis_url, body)


def test_a_new_generation_keeps_no_chunk_of_the_one_before(redis_url: str) -> None:
    """Left out, `kept` means the chunks of the same generation."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.checkpoint(manifest(1), {"a": b"1", "b": b"1"})
        await store.checkpoint(manifest(2, generation=2), {"a": b"2"})
        found = await store.restore(await store.take(2))
        assert found and found.chunks == {"a": b"2"}

    run(redis_url, body)


def test_a_new_generation_owes_no_chunk_of_the_one_before(redis_url: str) -> None:
    """A server that forgets between two generations does not ask for chunks that the new one does not have."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.checkpoint(manifest(1), {"a": b"1", "b": b"1"})
        await client.flushall()
        assert (await store.serve(2, [b"a"], blobs([1], 2))).forgot
        await store.serve_directory(2, [])
        assert await store.checkpoint(manifest(2, generation=2), {"a": b"2"}) == (1, False)

    run(redis_url, body)


@pytest.mark.parametrize("damage", ["missing", "changed", "manifest"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(redis_url: str, damage: str) -> None:
    """A missing chunk, a flipped bit in one, or in the manifest, is noticed; the one before is used and its reason said."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.checkpoint(manifest(1), {"a": b"one"})
        await store.checkpoint(manifest(2), {"a": b"two"})
        newest = (store._current or manifest()).part_ids[0].encode()
        if damage == "missing":
            await client.delete(KEYS.chunk + newest)
        elif damage == "changed":
            await client.set(KEYS.chunk + newest, b"twp")
        else:
            text = await client.get(KEYS.manifest)
            await client.set(KEYS.manifest, text.replace(b'"offset":2', b'"offset":3'))
        successor = PartitionStore(client, "pumps", 0)
        found = await successor.restore(await successor.take(2))
        assert found and found.manifest.offset == 1 and found.chunks == {"a": b"one"} and found.fell_back
        assert await successor.checkpoint(manifest(3), {"b": b"three"}) == (1, False)
        assert b'"offset":1' in await client.get(KEYS.previous)
        again = await successor.restore(await successor.take(3))
        assert again and again.chunks == {"a": b"one", "b": b"three"}
        await client.delete(KEYS.manifest)
        fallen = await successor.restore(await successor.take(4))
        assert fallen and fallen.manifest.offset == 1 and "no manifest" in fallen.fell_back

    run(redis_url, body)


def test_two_damaged_checkpoints_are_an_error_that_says_why(redis_url: str) -> None:
    """Nothing is made up: StateError names both reasons; with no checkpoint at all there is none."""

    async def body(client: Client) -> None:
        store = PartitionStore(client, "pumps", 0)
        assert await store.restore(await store.take(1)) is None
        await store.checkpoint(manifest(1), {"a": b"one"})
        await store.checkpoint(manifest(2), {"b": b"two"})
        for part in await part_ids(client):
            await client.delete(KEYS.chunk + part.encode())
        with pytest.raises(StateError, match=r"chunk a .* is missing.*the one before: chunk a .* is missing"):
            await store.restore(await store.take(2))

    run(redis_url, body)


def test_only_chunks_of_the_checkpoint_before_can_be_kept(redis_url: str) -> None:
    """A name that was never stored is refused before anything is written."""

    async def body(client: Client) -> None:
        store = await taken(client)
        with pytest.raises(StateError, match="chunk ghost is in no checkpoint"):
            await store.checkpoint(manifest(), {"a": b"1"}, kept=["ghost"])
        assert not await part_ids(client)

    run(redis_url, body)


def test_a_flushed_server_is_noticed_by_the_next_call(redis_url: str) -> None:
    """`forgot` is said once by `serve`, and by each checkpoint until all chunks are handed in anew."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.serve(1, [b"a"], blobs([5]))
        await store.checkpoint(manifest(1), {"a": b"1", "b": b"1"})
        await client.flushall()
        assert (await store.serve(1, [b"a"], blobs([6]))).forgot
        assert not (await store.serve(1, [b"a"], blobs([6]))).forgot
        assert (await store.serve_directory(1, [(b"a", 5)])).forgot
        assert not (await store.serve_directory(1, [(b"a", 5)])).forgot
        assert await store.checkpoint(manifest(2), {"a": b"2"}) == (0, True)
        assert not await client.exists(KEYS.manifest)
        assert await store.checkpoint(manifest(2), {"a": b"2", "b": b"1"}) == (1, False)
        found = await store.restore(await store.take(2))
        assert found and found.chunks == {"a": b"2", "b": b"1"}

    run(redis_url, body)


def test_a_server_flushed_between_checkpoints_flips_nothing(redis_url: str) -> None:
    """A checkpoint that is the first to notice leaves no manifest that names lost chunks."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.checkpoint(manifest(1), {"a": b"1", "b": b"1"})
        await client.flushall()
        assert await store.checkpoint(manifest(2), {"a": b"2"}) == (0, True)
        assert not await client.exists(KEYS.manifest)
        await store.serve_directory(1, [])
        assert await store.checkpoint(manifest(3), {"a": b"3", "b": b"3"}) == (1, False)
        assert len(await part_ids(client)) == 2

    run(redis_url, body)


def test_a_lost_chunk_stops_the_flip(redis_url: str) -> None:
    """A kept chunk that is gone is found out at the flip, not at the restore after the next crash."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.checkpoint(manifest(1), {"a": b"1", "b": b"1"})
        lost = (store._current or manifest()).chunks["b"][0].id
        await client.delete(KEYS.chunk + lost.encode())
        assert await store.checkpoint(manifest(2), {"a": b"2"}) == (0, True)
        assert b'"offset":1' in await client.get(KEYS.manifest)
        assert await store.checkpoint(manifest(2), {"a": b"2", "b": b"2"}) == (1, False)

    run(redis_url, body)


def test_a_replica_that_lagged_is_noticed_by_its_counter(redis_url: str) -> None:
    """A store put back to an earlier moment holds the owner's epoch with a lower counter, and an older manifest."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.checkpoint(manifest(1), {"a": b"1"})
        earlier = {key: (await client.dump(key)) async for key in client.scan_iter("*")}
        await store.checkpoint(manifest(2), {"a": b"2"})
        await client.flushall()
        for key, dumped in earlier.items():
            await client.restore(key, 0, dumped)
        assert (await store.serve(1, [b"a"], blobs([1]))).forgot
        assert await store.checkpoint(manifest(3), {}) == (0, True)
        assert await store.checkpoint(manifest(3), {"a": b"3"}) == (1, True), "the directory has a counter of its own"
        assert await store.checkpoint(manifest(3), {"a": b"3"}) == (1, False)
        found = await store.restore(await store.take(2))
        assert found and found.chunks == {"a": b"3"}

    run(redis_url, body)


def test_a_write_of_a_fenced_owner_after_a_flush_does_not_hide_it(redis_url: str) -> None:
    """A zombie that writes first into the emptied store leaves its lower epoch there, so the owner still sees the loss."""

    async def body(client: Client) -> None:
        zombie, owner = await taken(client, 1), await taken(client, 2)
        for offset in range(5):
            await owner.serve(1, [b"a"], blobs([offset]))
        await client.flushall()
        for _ in range(9):
            await zombie.serve(1, [b"a"], blobs([3]))
        assert (await owner.serve(1, [b"a"], blobs([5]))).forgot
        with pytest.raises(Fenced):
            await zombie.serve(1, [b"a"], blobs([6]))

    run(redis_url, body)


@pytest.mark.parametrize("done", [True, False])
def test_a_checkpoint_goes_on_after_a_lost_reply(redis_url: str, done: bool) -> None:
    """Whether the flip whose reply was lost was done or not, the next checkpoint keeps the right chunks."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.checkpoint(manifest(1), {"a": b"1", "b": b"1"})
        before = store._flip, store._current, set(store._stored)
        if done:
            await store.checkpoint(manifest(2), {"a": b"2"})
            store._flip, store._current, store._stored = before
        store._doubtful = True
        assert await store.checkpoint(manifest(3), {"c": b"3"}) == (1, False)
        found = await store.restore(await store.take(2))
        assert found and found.chunks == {"a": b"2" if done else b"1", "b": b"1", "c": b"3"}

    run(redis_url, body)


def test_a_flip_that_comes_late_undoes_nothing(redis_url: str) -> None:
    """A repeat of an earlier flip, held up on the way, is refused by the flip that it expected to follow."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.checkpoint(manifest(1), {"a": b"1"})
        late = PartitionStore(client, "pumps", 0)
        await late.take(1)
        late._calls.counter = 50
        await store.checkpoint(manifest(2), {"a": b"2"})
        assert await late._flip_to(manifest(1)) is False
        assert b'"offset":2' in await client.get(KEYS.manifest)

    run(redis_url, body)


def test_the_script_is_sent_again_to_a_server_that_lost_it(redis_url: str) -> None:
    """SCRIPT FLUSH, as after a restart, costs one more round trip and nothing else."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await client.script_flush()
        assert await store.serve(1, [b"a"], blobs([1])) == (1, False)

    run(redis_url, body)


def test_a_directory_entry_belongs_to_the_greatest_event_time(redis_url: str) -> None:
    """Two partitions that claim an entity end the same in either order; a partition's own entry keeps its greatest time."""

    async def body(client: Client) -> None:
        stores = [PartitionStore(client, "pumps", partition) for partition in (0, 1)]
        for epoch, store in enumerate(stores):
            await store.take(epoch)
        claims = {"newer wins": [(0, 10), (1, 11)], "equal": [(0, 10), (1, 10)], "own": [(1, 12), (1, 11), (0, 11)]}
        for name, events in claims.items():
            for order in (events, events[::-1]):
                entity = f"{name} {order[0]}".encode()
                for partition, time in order:
                    await stores[partition].serve_directory(1, [(entity, time)])
                stored = DIRECTORY_ENTRY.unpack(await client.hget("sg:{pumps}:directory", entity))
                assert stored == (1, 1, max(time for _, time in events)), name

    run(redis_url, body)


def test_a_log_by_name_has_checkpoints_and_no_directory(redis_url: str) -> None:
    """The judge's state is kept under the name of its log."""

    async def body(client: Client) -> None:
        store = PartitionStore(client, "pumps", "evidence")
        assert (await store.take(1)).forgot
        assert await store.checkpoint(manifest(1), {"judge": b"1"}) == (1, False)
        assert {key async for key in client.scan_iter("*")} == {
            b"sg:{pumps:evidence}:" + name for name in (b"fence", b"manifest", b"chunks", b"chunk:1-0-0")
        }
        assert not (await store.take(2)).forgot

    run(redis_url, body)


def test_a_directory_that_was_lost_alone_is_noticed(redis_url: str) -> None:
    """On a cluster the directory's node may forget alone: the next checkpoint and the next take say so."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await store.serve_directory(1, [(b"a", 1)])
        await client.delete("sg:{pumps}:directory", "sg:{pumps}:directory:epochs")
        assert await store.checkpoint(manifest(1), {"a": b"1"}) == (1, True)
        await client.delete("sg:{pumps}:directory:epochs")
        assert (await store.take(2)).forgot

    run(redis_url, body)


def test_each_call_stays_in_one_slot(cluster_port: int) -> None:
    """On a cluster, which refuses keys of two slots in a call, the whole life of a partition works."""

    async def body(client: Client) -> None:
        store = await taken(client)
        assert (await store.serve(1, [b"a", b"b"], blobs([1, 2]))).written == 2
        assert (await store.serve_directory(1, [(b"a", 1), (b"b", 1)])).written == 2
        for i in range(3):
            assert await store.checkpoint(manifest(i), {"a": b"%d" % i}) == (1, False)
        assert (await store.restore(await store.take(2))) is not None

    run(f"redis://127.0.0.1:{cluster_port}", body)


def test_a_client_that_decodes_replies_is_refused(redis_url: str) -> None:
    """decode_responses would corrupt vectors, so it is an error with the fix."""

    async def body(client: Client) -> None:
        with pytest.raises(SettingsError, match="decode_responses"):
            PartitionStore(redis.asyncio.Redis(decode_responses=True), "pumps", 0)

    run(redis_url, body)
