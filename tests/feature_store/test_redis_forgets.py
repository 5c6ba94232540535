"""A server that forgot what it acknowledged is noticed: flushed, put back, restarted, in part."""

from __future__ import annotations

import pytest

from contracts.errors import Fenced
from tests.feature_store.partition import KEYS, Client, manifest, part_ids, run, taken
from tests.feature_store.served import blobs


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


def test_the_script_is_sent_again_to_a_server_that_lost_it(redis_url: str) -> None:
    """SCRIPT FLUSH, as after a restart, costs one more round trip and nothing else."""

    async def body(client: Client) -> None:
        store = await taken(client)
        await client.script_flush()
        assert await store.serve(1, [b"a"], blobs([1])) == (1, False)

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
