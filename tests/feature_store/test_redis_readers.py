"""The readers against real servers: what a value is worth, round trips, generations, entities that move, clusters."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from contracts.definition import Feed, Number
from contracts.errors import InputError, ServerUnavailable, SettingsError
from feature_store.feature_table import EntityFeatures, FeatureTable, Worth
from feature_store.partition_store import PartitionStore
from feature_store.readers import AsyncFeatureReader, FeatureReader
from feature_store.redis_connection import async_client, sync_client
from feature_store.redis_layout import partition_keys
from tests.feature_store.served import DIMENSION, FEED, NOW, blobs, serve

SECOND = 1_000_000


def serve_once(url: str, partition: int, epoch: int, names: Sequence[str], vectors: Sequence[bytes], **more: Any) -> None:
    async def inside() -> None:
        client = await async_client(url)
        await serve(client, partition, epoch, names, vectors, **more)
        await client.aclose()

    asyncio.run(inside())


def read(url: str, entities: Sequence[str], feed: Feed = FEED, **more: Any) -> FeatureTable:
    with FeatureReader(url, feed) as reader:
        return reader.read(entities, now=NOW + SECOND, **more)


def commands(client: redis.Redis) -> int:
    """Commands that the server has executed, without this one."""
    return int(client.info("stats")["total_commands_processed"])


def test_a_value_says_where_it_came_from(redis_url: str) -> None:
    """Event time, Kafka time, partition, offset and generation of each entity are those that were served."""
    serve_once(redis_url, 0, 1, ["a"], blobs([7], value=1.5))
    serve_once(redis_url, 2, 1, ["b"], blobs([9], value=2.5))
    found = list(read(redis_url, ["b", "a"]))
    fresh = dict.fromkeys(("temperature_mean_1m", "temperature_mean_10m", "temperature_last"), (2.5, Worth.FRESH))
    assert found[0] == EntityFeatures("b", NOW, NOW + 5, SECOND, 2, 9, 1, fresh)
    assert found[1][:7] == ("a", NOW, NOW + 5, SECOND, 0, 7, 1)


def test_what_each_value_is_worth(redis_url: str) -> None:
    """Fresh, partial by window, stale against max_age, missing where NaN, never seen: each where it holds, the gravest said."""
    vectors = (
        blobs([1]) + blobs([2], partial=0b10) + blobs([3], time=NOW - 700 * SECOND, partial=0b10) + blobs([4], value=math.nan, partial=0b11)
    )
    serve_once(redis_url, 0, 1, ["fresh", "young", "old", "empty"], vectors)
    table = read(redis_url, ["fresh", "young", "old", "empty", "nobody"])
    f, p, s, m, n = Worth.FRESH, Worth.PARTIAL, Worth.STALE, Worth.MISSING, Worth.NEVER_SEEN
    assert table.worth.tolist() == [[f, f, f], [f, p, f], [s, s, s], [m, m, m], [n, n, n]]
    assert np.isnan(table.values[3:]).all() and table.event_time.tolist()[4] == -1
    assert read(redis_url, ["old"], max_age="1h").worth.tolist() == [[f, p, f]]
    assert read(redis_url, ["fresh"], max_age=SECOND - 1).worth.tolist() == [[s, s, s]]
    assert read(redis_url, ["fresh"], max_age=SECOND).worth.tolist() == [[f, f, f]]


def test_chosen_features_come_in_the_order_asked_for(redis_url: str) -> None:
    """A choice of features gives their columns and windows; an unknown one is refused with the nearest names."""
    serve_once(redis_url, 0, 1, ["a"], blobs([1], partial=0b01))
    table = read(redis_url, ["a"], features=["temperature_last", "temperature_mean_1m"])
    assert table.features == ("temperature_last", "temperature_mean_1m")
    assert table.worth.tolist() == [[Worth.FRESH, Worth.PARTIAL]]
    with pytest.raises(InputError, match="no feature 'temperature_mean_5m'; nearest are temperature_mean_1m"):
        read(redis_url, ["a"], features=["temperature_mean_5m"])


def test_a_vector_of_another_definition_is_not_guessed_at(redis_url: str) -> None:
    """Numbers written under another definition, even of the same dimension, are not handed out as these features."""
    other = Feed("pumps", entity="pump", time="ts", fields=[Number("pressure", features=["mean", "last"])], time_features=False)
    wide = blobs([1], dimension=DIMENSION + 1)
    serve_once(redis_url, 0, 1, ["same size", "other size"], blobs([1], feed=other) + wide)
    table = read(redis_url, ["same size", "other size"])
    assert np.isnan(table.values).all() and (table.worth == Worth.OTHER_DEFINITION).all()


def test_a_value_of_an_earlier_generation_is_a_miss(redis_url: str) -> None:
    """Once the partition's generation has risen, vectors of the one before are missing, until served anew."""
    serve_once(redis_url, 0, 1, ["a", "b"], blobs([8, 9]))
    with FeatureReader(redis_url, FEED) as reader:
        assert (reader.read(["a", "b"], now=NOW).worth == Worth.FRESH).all()
        serve_once(redis_url, 0, 2, ["b"], blobs([1], generation=2), generation=2)
        table = reader.read(["a", "b"], now=NOW)
    assert table.row_worth.tolist() == [Worth.MISSING, Worth.FRESH]
    assert table.generation.tolist() == [-1, 2] and np.isnan(table.values[0]).all()


def test_a_rise_of_the_generation_drops_the_cached_directory(redis_url: str) -> None:
    """When partitions are added an entity moves; the read that sees the rise finds it where it went."""
    serve_once(redis_url, 0, 1, ["a", "b"], blobs([8, 9]))
    with FeatureReader(redis_url, FEED) as reader:
        reader.read(["a", "b"], now=NOW)
        serve_once(redis_url, 0, 2, ["b"], blobs([1], generation=2), generation=2)
        serve_once(redis_url, 5, 2, ["a"], blobs([1], generation=2, time=NOW + 1), generation=2, time=NOW + 1)
        table = reader.read(["a", "b"], now=NOW + 1)
    assert table.partition.tolist() == [5, 0] and table.row_worth.tolist() == [0, 0]


def test_an_entity_that_moved_without_a_new_generation_is_found_in_time(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is looked up again after a while, in the same round as the vectors."""
    serve_once(redis_url, 0, 1, ["a"], blobs([8]))
    with FeatureReader(redis_url, FEED) as reader:
        assert reader.read(["a"], now=NOW).partition.tolist() == [0]
        serve_once(redis_url, 1, 1, ["a"], blobs([3], time=NOW + 1), time=NOW + 1)
        assert reader.read(["a"], now=NOW).partition.tolist() == [0]
        monkeypatch.setattr("feature_store.readers.LOOK_AGAIN_SECONDS", 0.0)
        assert reader.read(["a"], now=NOW).partition.tolist() == [1]


def test_a_read_of_known_entities_is_one_command(redis_url: str) -> None:
    """100 entities of 4 partitions: one MGET once the directory is known, two round trips the first time."""
    names = [f"pump-{i}" for i in range(100)]
    for partition in range(4):
        serve_once(redis_url, partition, 1, names[partition::4], blobs(range(25)))
    with FeatureReader(redis_url, FEED) as reader, sync_client(redis_url) as client:
        before = commands(client)
        assert (reader.read(names, now=NOW).row_worth == 0).all()
        first = commands(client)
        assert first - before - 1 == 2
        assert (reader.read(names[::-1], now=NOW).row_worth == 0).all()
        assert commands(client) - first - 1 == 1


def test_very_many_entities_are_read_in_slices(redis_url: str) -> None:
    """More entities than a slice come back whole and in order, repeats included."""
    names = [f"pump-{i}" for i in range(2500)]
    serve_once(redis_url, 0, 1, names, blobs(range(2500)))
    asked = [*names[::-1], "pump-3", "nobody", "pump-3"]
    table = read(redis_url, asked)
    assert table.offset.tolist() == [*range(2499, -1, -1), 3, -1, 3]
    assert list(table.entities) == asked


def test_the_async_reader_reads_the_same(redis_url: str) -> None:
    """Both readers give equal tables of known and unknown entities."""
    serve_once(redis_url, 0, 1, ["a", "b"], blobs([8, 9], value=0.1))

    async def inside() -> FeatureTable:
        async with AsyncFeatureReader(redis_url, FEED) as reader:
            await reader.read(["a"])
            return await reader.read(["b", "nobody", "a"], now=NOW + SECOND)

    found, expected = asyncio.run(inside()), read(redis_url, ["b", "nobody", "a"])
    assert [row for row in found if row.offset is not None] == [row for row in expected if row.offset is not None]
    for name in ("values", "worth", "event_time", "partition", "offset", "generation"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_reads_that_begin_together_share_one_client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is read by several tasks before it has connected makes one client: of two, one would never be closed."""
    serve_once(redis_url, 0, 1, ["a"], blobs([8], value=0.1))
    made = []

    async def noted(*arguments: Any, **options: Any) -> Any:
        made.append(await async_client(*arguments, **options))
        return made[-1]

    monkeypatch.setattr("feature_store.readers.async_client", noted)

    async def inside() -> list[FeatureTable]:
        async with AsyncFeatureReader(redis_url, FEED) as reader:
            return await asyncio.gather(*(reader.read(["a"]) for _ in range(5)))

    assert [table.offset.tolist() for table in asyncio.run(inside())] == [[8]] * 5
    assert len(made) == 1


def test_a_frame_has_a_row_an_entity(redis_url: str) -> None:
    """`frame` holds event times as UTC and values; `worth_frame` the words."""
    serve_once(redis_url, 0, 1, ["a"], blobs([8], value=0.5, partial=1))
    table = read(redis_url, ["a", "nobody"])
    frame, words = table.frame(), table.worth_frame()
    assert list(frame.columns) == ["event_time", "temperature_mean_1m", "temperature_mean_10m", "temperature_last"]
    assert frame.loc["a", "temperature_last"] == 0.5 and str(frame.loc["a", "event_time"]) == "2026-01-01 00:00:00+00:00"
    assert frame.loc["nobody"].isna().all()
    assert words.loc["a"].tolist() == ["partial", "fresh", "fresh"] and set(words.loc["nobody"]) == {"never seen"}


def test_no_entities_need_no_round_trip() -> None:
    """An empty read is an empty table, without a server."""
    reader = FeatureReader(redis.Redis(port=1), FEED)
    assert len(reader.read([])) == 0 and reader.read([]).frame().empty


def test_a_store_that_lost_everything_serves_no_old_value(redis_url: str) -> None:
    """After a flush a cached place gives missing, not the last value."""
    serve_once(redis_url, 0, 1, ["a"], blobs([8]))
    with FeatureReader(redis_url, FEED) as reader, sync_client(redis_url) as client:
        reader.read(["a"])
        client.flushall()
        assert reader.read(["a"]).row_worth.tolist() == [Worth.MISSING]
        client.set(partition_keys("pumps", 0).vector + b"a", b"garbage")
        assert reader.read(["a"]).row_worth.tolist() == [Worth.OTHER_DEFINITION]


def test_both_readers_work_on_a_cluster(cluster_port: int) -> None:
    """Keys of several partitions are asked for slot by slot, in one round of a pipeline."""
    url = f"redis://127.0.0.1:{cluster_port}"
    with sync_client(url) as client:
        client.flushall()
    for partition in range(3):
        serve_once(url, partition, 1, [f"pump-{partition}"], blobs([partition]))
    names = ["pump-2", "pump-0", "nobody", "pump-1"]
    cluster = redis.cluster.RedisCluster(host="127.0.0.1", port=cluster_port)
    assert FeatureReader(cluster, FEED).read(names).offset.tolist() == [2, 0, -1, 1]
    cluster.close()

    async def inside() -> list[int]:
        client = redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=cluster_port)
        table = await AsyncFeatureReader(client, FEED).read(names)
        await client.aclose()
        return table.offset.tolist()

    assert asyncio.run(inside()) == [2, 0, -1, 1]


def test_a_reader_names_the_server_that_does_not_answer() -> None:
    """A refused connection is one sentence with the address and the fix; a client that decodes replies is refused."""
    with pytest.raises(ServerUnavailable, match=r"Redis at redis://localhost:1 does not answer .*streamgauge up"):
        FeatureReader("redis://someone:secret@localhost:1", FEED)
    client = redis.Redis(port=1, retry=None)
    with pytest.raises(ServerUnavailable, match="localhost:1 does not answer"):
        FeatureReader(client, FEED).read(["a"])
    with pytest.raises(SettingsError, match="decode_responses"):
        FeatureReader(redis.Redis(decode_responses=True), FEED)


def test_writers_and_readers_agree_while_values_change(redis_url: str) -> None:
    """Reads between writes see whole vectors only: all values of one are equal, and offsets never fall."""

    async def inside() -> None:
        client = await async_client(redis_url)
        store = PartitionStore(client, FEED.name, 0)
        await store.take(1)
        await store.serve_directory(1, [(b"a", NOW)])
        await store.serve(1, [b"a"], blobs([0], value=0.0))

        async def write() -> None:
            for i in range(1, 200):
                await store.serve(1, [b"a"], blobs([i], value=float(i)))

        writing = asyncio.create_task(write())
        last = -1
        async with AsyncFeatureReader(redis_url, FEED) as reader:
            while not writing.done():
                table = await reader.read(["a"])
                assert set(table.values[0].tolist()) == {float(table.offset[0])} and table.offset[0] >= last
                last = int(table.offset[0])
        await writing
        await client.aclose()

    asyncio.run(inside())
