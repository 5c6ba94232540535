"""Where a partition's log ends, on every broker.

A broker is asked for the latest offset (ListOffsets), and then for the high watermark of a fetch just before it: the
embedded broker answers the first question with the base offset of the last batch + 1, and only the second rightly.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection

import aiokafka.errors
import kafka
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka.errors import KafkaError, UnsupportedCodecError

from contracts.errors import ServerUnavailable
from contracts.settings import KafkaSettings

END_SECONDS = 30.0  # a broker that has just started answers fetches late


async def end_offset(consumer: AIOKafkaConsumer, place: TopicPartition) -> int:
    """The offset after the last record of one partition, records of open transactions and control records included.

    A log that holds nothing but an open transaction counts as empty where `consumer` reads committed records only.
    `consumer` belongs to no group; before and afterwards it is assigned to nothing: a fetch that waits at the end of a log
    would hold back every answer behind it on the same connection, 0.1 s each.

    Raises:
        ServerUnavailable: the broker did not answer a fetch in time.
    """
    consumer.assign([])
    first = (await consumer.beginning_offsets([place]))[place]
    listed = int((await consumer.end_offsets([place]))[place])
    if listed <= first:
        return listed
    consumer.assign([place])
    consumer.seek(place, listed - 1)
    deadline = asyncio.get_running_loop().time() + END_SECONDS
    while (end := consumer.highwater(place)) is None:
        with contextlib.suppress(aiokafka.errors.UnsupportedCodecError):  # the mark came with it; a reader says what it cannot open
            await consumer.getmany(place, timeout_ms=100, max_records=1)
        if asyncio.get_running_loop().time() > deadline:
            raise ServerUnavailable(
                f"{place.topic} partition {place.partition}: Kafka did not tell where it ends within {END_SECONDS:.0f} s"
            )
    consumer.assign([])
    return max(listed, int(end))


def end_offsets(places: Collection[tuple[str, int]], settings: KafkaSettings) -> dict[tuple[str, int], int]:
    """The offset after the last record of each (topic, partition), as `end_offset`.

    Raises:
        ServerUnavailable: the broker did not answer in time, or a topic does not exist.
    """
    return {place: end for place, (_, end) in log_bounds(places, settings).items()}


def log_bounds(places: Collection[tuple[str, int]], settings: KafkaSettings) -> dict[tuple[str, int], tuple[int, int]]:
    """The first offset that each (topic, partition) holds, and the one after its last record; raises as `end_offsets` does."""
    try:
        consumer = kafka.KafkaConsumer(**settings.client_options(), enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            return _bounds(consumer, [kafka.TopicPartition(*place) for place in places])
        finally:
            consumer.close()
    except KafkaError as error:
        raise ServerUnavailable(f"Kafka at {','.join(settings.servers)} did not tell where its topics end: {error}") from error


def _bounds(consumer: kafka.KafkaConsumer, places: list[kafka.TopicPartition]) -> dict[tuple[str, int], tuple[int, int]]:
    first, listed = consumer.beginning_offsets(places), consumer.end_offsets(places)
    waiting = [place for place in places if listed[place] > first[place]]
    consumer.assign(waiting)
    for place in waiting:
        consumer.seek(place, listed[place] - 1)
    deadline = time.monotonic() + END_SECONDS
    while any(consumer.highwater(place) is None for place in waiting):
        for place in waiting:  # those that have answered would crowd out the others
            if consumer.highwater(place) is not None:
                consumer.pause(place)
        with contextlib.suppress(UnsupportedCodecError):
            consumer.poll(100)
        if time.monotonic() > deadline:
            raise ServerUnavailable(f"Kafka did not tell within {END_SECONDS:.0f} s where {', '.join(p.topic for p in waiting)} end")
    marks = {place: int(consumer.highwater(place)) for place in waiting}
    return {(p.topic, p.partition): (int(first[p]), max(int(listed[p]), marks.get(p, 0))) for p in places}
