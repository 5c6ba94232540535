"""A partition's records from one offset to another, in portions, as raw batches or as published outputs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.definition import Feed
from contracts.errors import NotCheckable, ServerUnavailable
from contracts.settings import KafkaSettings
from contracts.topics import events_topic, topic_name
from stream_processors.decoding.batches import Fetched, raw_batch
from stream_processors.log_ends import end_offset
from stream_processors.models_log import Models
from stream_processors.record_sources import source_of
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.clients import free_consumer, stopped
from stream_processors.runner.switch_log import Recorded, decoded_switch, valid_switches
from stream_processors.topics import describe_topics
from stream_processors.verification.comparison import Published

PORTION = 5_000  # records: some megabytes in memory, whatever the length of the log
WAIT_MS = 200
READ_TIMEOUT = 60.0  # seconds without a record; an open transaction is ended by the broker before
Drawn = TypeVar("Drawn")


async def read_portions(consumer: AIOKafkaConsumer, topic: str, partition: int, start: int, end: int) -> AsyncIterator[list[Any]]:
    """Consumer records of offsets start ≤ offset < end.

    Raises:
        ServerUnavailable: the broker stopped handing them out.
    """
    place = TopicPartition(topic, partition)

    async def draw() -> list[list[Any]]:
        return list((await consumer.getmany(place, timeout_ms=WAIT_MS, max_records=PORTION)).values())

    async for records in _read_on(consumer, place, start, end, draw):
        if wanted := [r for r in records if r.offset < end]:
            yield wanted


async def read_batches(consumer: PlainConsumer, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Fetched]:
    """The same as a fold gets it, with what the offsets passed hold besides records; the last ends at `end`.

    Raises:
        ServerUnavailable: the broker stopped handing them out.
        UnreadableRecords: as `getbatches`.
    """
    place = TopicPartition(topic, partition)

    async def draw() -> list[Fetched]:
        return [fetched for _, fetched in await consumer.getbatches(place, timeout_ms=WAIT_MS)]

    at = start
    async for fetched in _read_on(consumer, place, start, end, draw):
        if fetched.start < end:
            wanted = fetched.cut(end)[0] if fetched.next_offset > end else fetched
            at = wanted.next_offset
            yield wanted
    if at < end:  # the plain way ends with the last record, whatever else was passed
        yield Fetched(at, end, raw_batch([], [], [], []), np.zeros(0, np.int64), end - at)


async def _read_on(
    consumer: AIOKafkaConsumer, place: TopicPartition, start: int, end: int, draw: Callable[[], Awaitable[list[Drawn]]]
) -> AsyncIterator[Drawn]:
    """What `draw` takes from the consumer, one after another, until its position has reached `end`."""
    position = start
    if position >= end:
        return
    consumer.assign([place])
    consumer.seek(place, start)
    loop = asyncio.get_running_loop()
    last = loop.time()
    while position < end:
        drawn = await draw()
        moved = await consumer.position(place)
        if moved > position:
            position, last = moved, loop.time()
        for one in drawn:
            yield one
            last = loop.time()  # the caller's time is not the broker's: a first fold may compile kernels for minutes
        if loop.time() - last > READ_TIMEOUT:
            raise ServerUnavailable(
                f"{place.topic} partition {place.partition}: no record from offset {position} on within {READ_TIMEOUT:.0f} s"
            )


def as_published(records: list[Any], prefix: str, first: int, end: int) -> list[Published]:
    """Those whose id begins with `prefix` and whose source offset lies in first ≤ offset < end; observations left out."""
    return [
        Published(*source, record.key, record.value, tuple(record.headers))
        for record in records
        if (source := source_of(record.value, prefix)) and first <= source[0] < end
    ]


async def partition_count(feed: Feed, kafka: KafkaSettings) -> int:
    """Partitions that the feed's events have; raises NotCheckable where there is no such topic."""
    topic = events_topic(feed)
    found = (await asyncio.to_thread(describe_topics, [topic], kafka)).get(topic)
    if found is None:
        raise NotCheckable(f"there is no topic {topic}; start a worker, or point --kafka at the broker that has it")
    return found.partitions


async def read_switches(feed: Feed, kafka: KafkaSettings) -> list[Recorded]:
    """Every valid switch of the feed; none before a worker has made the topic."""
    found: list[Recorded] = []
    async for record in _every_record(topic_name(feed, "switches"), kafka):
        found.extend(decoded_switch(record.offset, record.value))
    return valid_switches(found)


async def read_models(feed: Feed, kafka: KafkaSettings) -> Models:
    """What `<feed>.models` says; nothing of a feed without a target."""
    models = Models()
    if feed.target is not None:
        async for record in _every_record(topic_name(feed, "models"), kafka):
            models.take(record.value)
    return models


async def _every_record(topic: str, kafka: KafkaSettings) -> AsyncIterator[Any]:
    """The records of a topic of one partition; none where there is no such topic."""
    if topic not in await asyncio.to_thread(describe_topics, [topic], kafka):
        return
    consumer = free_consumer(kafka)
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        end = await end_offset(consumer, place)
        first = (await consumer.beginning_offsets([place]))[place]
        async for records in read_portions(consumer, topic, 0, first, end):
            for record in records:
                yield record
    finally:
        await stopped(consumer)
