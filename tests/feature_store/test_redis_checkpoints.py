"""Checkpoints on real servers: what is kept, collected, damaged, and flipped too late."""

from __future__ import annotations

import pytest

from contracts.errors import StateError
from feature_store.checkpoint import MAX_CHUNK_BYTES
from feature_store.partition_store import PartitionStore
from tests.feature_store.partition import KEYS, Client, manifest, part_ids, run, taken


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
