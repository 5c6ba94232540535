"""The fenced writer against real servers: guards, fencing, the directory."""

from __future__ import annotations

import pytest
import redis.asyncio

from contracts.errors import Fenced, SettingsError
from feature_store.partition_store import PartitionStore
from feature_store.redis_layout import DIRECTORY_ENTRY
from tests.feature_store.partition import KEYS, Client, manifest, part_ids, run, stored_offset, taken
from tests.feature_store.served import blobs


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
