"""Consumers of batches on real brokers: whole record batches and the plain way give the same, and the first tells control records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition, codec
from kafka.admin import KafkaAdminClient

from contracts.columns import RawBatch
from contracts.errors import UnreadableRecords
from contracts.settings import KafkaSettings, Servers
from stream_processors.decoding import unpacking
from stream_processors.log_ends import end_offset
from stream_processors.runner import fetch_seam
from stream_processors.runner.batch_consumer import PlainConsumer, batch_consumer_class
from stream_processors.runner.clients import FETCH_BYTES, batch_consumer, connection_options, free_consumer
from stream_processors.runner.fetch_seam import BatchConsumer
from stream_processors.verification.log_reader import read_batches
from tests.stream_processors.fetches import CODECS

pytestmark = pytest.mark.integration
NAMES = {0: None, 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


class Read(NamedTuple):
    """A whole partition."""

    rows: list[tuple[int, int, bytes | None, bytes | None]]
    control: int
    gaps: int
    next_offset: int


def make_topic(kafka: KafkaSettings, topic: str, **settings: str) -> TopicPartition:
    """A topic of one partition."""
    admin = KafkaAdminClient(**kafka.client_options())
    admin.create_topics({topic: {"num_partitions": 1, "configs": settings}}, wait_for_metadata=True)
    admin.close()
    return TopicPartition(topic, 0)


@asynccontextmanager
async def producing(kafka: KafkaSettings, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    """A producer."""
    producer = AIOKafkaProducer(**connection_options(kafka), acks="all", **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def write(producer: AIOKafkaProducer, place: TopicPartition, first: int, count: int) -> None:
    """Some records in one batch: every tenth without a key, every eleventh a tombstone, some with headers."""
    batch = producer.create_batch()
    for i in range(first, first + count):
        key, value = None if i % 10 == 9 else b"k%d" % i, None if i % 11 == 10 else b"value %d" % i * (i % 5)
        assert batch.append(key=key, value=value, timestamp=1_790_000_000_000 + i, headers=[("h", b"x")] * (i % 3))
    await (await producer.send_batch(batch, place.topic, partition=0))


async def read(kind: type[PlainConsumer], kafka: KafkaSettings, place: TopicPartition, first: int = 0, end: int | None = None) -> Read:
    """Reads a partition from an offset to another, or to its end."""
    consumer = kind(
        **connection_options(kafka),
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        end = end or await end_offset(consumer, place)
        rows, control, gaps, at = [], 0, 0, first
        async for found in read_batches(consumer, place.topic, 0, first, end):
            rows += rows_of(found.batch)
            control, gaps, at = control + len(found.control), gaps + found.gaps + found.start - at, found.next_offset
        return Read(rows, control, gaps, at)
    finally:
        await consumer.stop()


def rows_of(batch: RawBatch) -> list[tuple[int, int, bytes | None, bytes | None]]:
    def cells(buffer, ends, nulls):
        parts = np.split(buffer, ends[:-1])
        return [None if null else part.tobytes() for part, null in zip(parts, nulls, strict=True)] if len(ends) else []

    keys, values = cells(batch.keys, batch.key_end, batch.key_null), cells(batch.values, batch.value_end, batch.value_null)
    return list(zip(batch.offset.tolist(), batch.kafka_time.tolist(), keys, values, strict=True))


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_aiokafka_is_made_as_the_seam_expects() -> None:
    """With the locked version, whole batches are what workers read."""
    assert batch_consumer_class() is BatchConsumer


@pytest.mark.parametrize("packed", CODECS)
def test_both_ways_read_the_same(servers: Servers, packed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed or not, from the start, from within a batch and up to within one, in small portions: the same records, no gaps."""
    monkeypatch.setattr(fetch_seam, "MAX_RECORDS", 150)
    place = make_topic(servers.kafka, f"ways-{packed}")

    async def scenario() -> None:
        async with producing(servers.kafka, compression_type=NAMES[packed]) as producer:
            for first in range(0, 1_000, 100):
                await write(producer, place, first, 100)
        for first, end in ((0, None), (1, 999), (555, 560), (950, None)):
            plain = await read(PlainConsumer, servers.kafka, place, first, end)
            assert await read(BatchConsumer, servers.kafka, place, first, end) == plain
            assert [row[0] for row in plain.rows] == list(range(first, end or 1_000))
            assert plain[1:] == (0, 0, end or 1_000)

    run(scenario)


def test_other_consumers_go_on_to_hand_out_records(stack: Servers) -> None:
    """While a consumer of batches reads, one of the same process without that wish gets what aiokafka gives everybody."""
    place = make_topic(stack.kafka, "others")

    async def scenario() -> None:
        async with producing(stack.kafka) as producer:
            await write(producer, place, 0, 10)
        whole, other = batch_consumer(stack.kafka), free_consumer(stack.kafka)
        for consumer in (whole, other):
            await consumer.start()
            consumer.assign([place])
            consumer.seek(place, 0)
        [(_, found)] = await whole.getbatches(timeout_ms=10_000)
        records = (await other.getmany(timeout_ms=10_000))[place]
        assert rows_of(found.batch) == [(r.offset, r.timestamp * 1000, r.key, r.value) for r in records]
        await whole.stop()
        await other.stop()

    run(scenario)


@pytest.mark.parametrize("kind", [BatchConsumer, PlainConsumer])
def test_records_that_no_installed_library_opens_are_an_error(
    stack: Servers, kind: type[PlainConsumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the topic and what to install, and comes again at each call: nothing is passed over."""
    place = make_topic(stack.kafka, f"locked-{kind.__name__}")

    async def scenario() -> None:
        async with producing(stack.kafka, compression_type="gzip") as producer:
            await write(producer, place, 0, 10)
        monkeypatch.setattr(codec, "has_gzip", lambda: False)  # the one codec that is always there; others are missing likewise
        monkeypatch.delitem(unpacking._UNPACKED, 1)
        consumer = kind(**connection_options(stack.kafka), enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([place])
        for _ in range(2):
            with pytest.raises(UnreadableRecords, match=f"{place.topic}.*gzip.*not found.*pip install cramjam"):
                await consumer.getbatches(timeout_ms=10_000)
            assert await consumer.position(place) == 0
        await consumer.stop()

    run(scenario)


@pytest.mark.parametrize("stamp", ["LogAppendTime", "CreateTime"])
def test_both_ways_read_the_same_times(servers: Servers, stamp: str) -> None:
    """The broker's own stamps, and those of producers."""
    place = make_topic(servers.kafka, f"stamps-{stamp}", **{"message.timestamp.type": stamp})

    async def scenario() -> None:
        async with producing(servers.kafka) as producer:
            await write(producer, place, 0, 50)
        plain = await read(PlainConsumer, servers.kafka, place)
        assert await read(BatchConsumer, servers.kafka, place) == plain
        assert len(plain.rows) == 50

    run(scenario)


@pytest.mark.kafka
def test_control_records_are_told_from_gaps(kafka_stack: Servers) -> None:
    """Of committed and aborted transactions between plain batches: records the same both ways; markers and aborted records apart."""
    kafka, place = kafka_stack.kafka, make_topic(kafka_stack.kafka, "markers")

    async def scenario() -> None:
        async with producing(kafka, transactional_id="markers") as producer, producing(kafka) as outside:
            for turn in range(6):
                await producer.begin_transaction()
                await write(producer, place, turn * 100, 20)
                await write(outside, place, turn * 100 + 50, 10)
                await write(producer, place, turn * 100 + 70, 5)
                await (producer.abort_transaction() if turn % 3 == 2 else producer.commit_transaction())
        found, plain = await read(BatchConsumer, kafka, place), await read(PlainConsumer, kafka, place)
        assert found.rows == plain.rows
        assert (len(found.rows), found.control, found.gaps) == (4 * 35 + 2 * 10, 6, 2 * 25)
        assert found.next_offset == plain.next_offset == 6 * 36
        assert (plain.control, plain.gaps) == (0, found.control + found.gaps)

    run(scenario)


@pytest.mark.kafka
def test_what_compaction_leaves_is_read_and_the_rest_is_a_gap(kafka_stack: Servers) -> None:
    """On a compacted topic both ways read what is left, and offsets without a record are gaps."""
    settings = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.001",
        "segment.ms": "100",
        "max.compaction.lag.ms": "1",
        "delete.retention.ms": "0",
    }
    kafka, place = kafka_stack.kafka, make_topic(kafka_stack.kafka, "compacted", **settings)

    async def scenario() -> None:
        async with producing(kafka) as producer:
            count = 0
            while True:  # each batch begins a segment, and the cleaner takes all but the last
                for key in range(4):
                    await producer.send_and_wait(place.topic, b"%d" % count, key=b"%d" % key, partition=0)
                    count += 1
                found = await read(BatchConsumer, kafka, place)
                plain = await read(PlainConsumer, kafka, place)
                if found.gaps and found.rows == plain.rows:
                    assert len(found.rows) + found.gaps == count
                    assert (found.gaps, found.control, found.next_offset) == (plain.gaps, 0, count)
                    return

    run(lambda: asyncio.wait_for(scenario(), 120))
