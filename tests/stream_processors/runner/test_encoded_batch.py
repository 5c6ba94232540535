"""Encoded record batches: what aiokafka itself makes of the same records, and what a broker hands out again."""

from __future__ import annotations

import asyncio
import dataclasses
import random

import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from contracts.settings import Servers
from stream_processors.log_fold import OutRecord
from stream_processors.record_columns import RecordColumns
from stream_processors.runner import encoded_batch
from stream_processors.runner.clients import free_consumer, has_transactions, plain_producer, transactional_producer
from stream_processors.runner.encoded_batch import encoded_batches, encodes
from stream_processors.runner.publisher import Publisher
from stream_processors.runner.record_batch_writer import HEADER_BYTES, write_records
from stream_processors.topics import ensure_topics
from tests.training.examples import regression

SIZES = (0, 1, 63, 64, 200, 8_191, 8_192, 20_000)  # around the places where a varint grows


def columns(seed: int, n: int) -> RecordColumns:
    """Records of random sizes out of buffers that hold other bytes between the keys."""
    chance = random.Random(seed)
    keys = [chance.randbytes(chance.choice(SIZES[:5])) for _ in range(n)]
    values = [chance.randbytes(chance.choice(SIZES)) for _ in range(n)]
    gaps = [chance.randbytes(3) for _ in range(n)]
    key_buffer = b"".join(gap + key for gap, key in zip(gaps, keys, strict=True))
    key_end = np.cumsum([3 + len(key) for key in keys])
    width = chance.choice((8, 64, 1_200))
    return RecordColumns(
        2,
        np.arange(n) * 3,
        np.frombuffer(key_buffer, np.uint8),
        key_end - [len(key) for key in keys],
        key_end,
        np.frombuffer(b"".join(values), np.uint8),
        np.cumsum([len(value) for value in values]),
        "vector",
        np.frombuffer(chance.randbytes(n * width), np.uint8).reshape(n, width),
        np.array([chance.random() < 0.7 for _ in range(n)]),
    )


def test_who_made_the_columns_compiles_nothing_anew() -> None:
    """Buffers that can be written to and those that cannot go through one compiled function: a worker stood still for half a second."""
    fixed = columns(1, 20)
    own = dataclasses.replace(fixed, keys=fixed.keys.copy(), values=fixed.values.copy(), header_values=fixed.header_values.copy())
    batches = [[batch._batch[HEADER_BYTES:] for batch in encoded_batches(records, 60_000, False)] for records in (fixed, own)]
    assert batches[0] == batches[1] and len(write_records.signatures) == 1


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_batches_are_those_that_the_client_makes(seed: int, transactional: bool) -> None:
    """Cut at the same records, and byte for byte those of aiokafka's own builder, whatever the sizes and the producer's state."""
    records = columns(seed, 300)
    encoded = list(encoded_batches(records, 60_000, transactional))
    assert len(encoded) > 10
    assert sum(batch.record_count() for batch in encoded) == 300
    rest = iter(records)
    for batch in encoded:
        own = BatchBuilder(60_000, 0, is_transactional=transactional)
        for _ in range(batch.record_count()):
            record = next(rest)
            assert own.append(timestamp=batch._time_ms, key=record.key, value=record.value, headers=list(record.headers)) is not None
        for builder in (batch, own):
            builder._set_producer_state(70_000, 3, 1_234)
        assert batch.size() == own.size()
        assert bytes(batch._build()) == bytes(own._build())


def test_a_record_larger_than_a_batch_has_one_of_its_own() -> None:
    """The limit cuts between records, never within one: the broker decides about what is too large."""
    records = columns(1, 50)
    encoded = list(encoded_batches(records, 500, False))
    assert sum(batch.record_count() for batch in encoded) == 50
    for batch in encoded:
        assert MemoryRecords(bytes(batch._build())).next_batch().validate_crc()
        assert batch.size() <= 500 or batch.record_count() == 1


def test_columns_are_a_sequence_of_their_records() -> None:
    """By number, by slice and one after the other they give the same records; out of range is an IndexError."""
    records = columns(3, 40)
    listed = list(records)
    assert [records[at] for at in range(40)] == listed == records[:] and records[-1] == listed[-1]
    assert records[5:9] == listed[5:9]
    assert all(isinstance(record, OutRecord) and record.partition == 2 for record in listed)
    with pytest.raises(IndexError):
        records[40]


@pytest.mark.integration
def test_the_broker_hands_out_what_was_sent(servers: Servers) -> None:
    """Published as columns, in transactions where there are any: every key, value and header comes back, and the end is known."""
    asyncio.run(publish_and_read(servers))


async def publish_and_read(servers: Servers) -> None:
    feed = regression("encoded")
    ensure_topics(feed, servers.kafka)
    transactional = await has_transactions(servers.kafka)
    producer = transactional_producer(servers.kafka, "encoded") if transactional else plain_producer(servers.kafka)
    await producer.start()
    publisher = Publisher(producer, transactional)
    consumer = free_consumer(servers.kafka)
    await consumer.start()
    place = TopicPartition("encoded.scores", 0)
    consumer.assign([place])
    consumer.seek(place, 0)
    sent: list[OutRecord] = []
    for seed in (5, 6):
        records = columns(seed, 400)
        object.__setattr__(records, "partition", 0)
        publisher.hand_over({"encoded.scores": records})
        sent += records
    await publisher.published()
    found: list[tuple[object, ...]] = []
    while len(found) < len(sent):
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            found += [(r.key, r.value, tuple(r.headers)) for r in batch]
    assert found == [(r.key, r.value, tuple(r.headers)) for r in sent]
    assert publisher.ends["encoded.scores", 0] == (await consumer.position(place)) - transactional
    await consumer.stop()
    await producer.stop()


def test_a_client_made_otherwise_is_handed_records_one_by_one(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where aiokafka's own batch has other bytes, it says so once and the plain way serves."""
    assert encodes()
    monkeypatch.setattr(encoded_batch, "record_batch", lambda *_: b"other bytes")
    encodes.cache_clear()
    try:
        assert not encodes() and not encodes()
        assert [record.message.split(":")[0] for record in caplog.records if "not made as expected" in record.message] == [
            caplog.records[0].message.split(":")[0]
        ]
    finally:
        monkeypatch.undo()
        encodes.cache_clear()
    assert encodes()
