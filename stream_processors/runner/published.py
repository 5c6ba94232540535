"""What a predecessor has already put on an output partition, so that exactly that is not sent again."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.errors import ServerUnavailable
from stream_processors.log_ends import end_offset

READ_TIMEOUT = 60.0  # seconds; a transaction left open holds read-committed readers until the broker ends it


def id_of(value: bytes | None) -> str | None:
    """The id that a record begins with, or None."""
    if value is None or not value.startswith(b'{"id":"'):
        return None
    end = value.find(b'"', 7)
    return value[7:end].decode(errors="replace") if end > 0 else None


async def published_ids(
    consumer: AIOKafkaConsumer, topic: str, partition: int, start: int, prefix: str
) -> tuple[set[tuple[int, int]], int]:
    """(source offset, n) of every record from `start` to the end whose id begins with `prefix`, and that end.

    `consumer` belongs to no group and reads committed records only.

    Raises:
        ServerUnavailable: the tail could not be read in time.
    """
    place = TopicPartition(topic, partition)
    end = await end_offset(consumer, place)
    first = (await consumer.beginning_offsets([place]))[place]
    found: set[tuple[int, int]] = set()
    position = max(start, first)
    if position >= end:
        return found, end
    consumer.assign([place])
    consumer.seek(place, position)
    deadline = asyncio.get_running_loop().time() + READ_TIMEOUT
    while position < end:
        for records in (await consumer.getmany(place, timeout_ms=200, max_records=10_000)).values():
            for record in records:
                name = id_of(record.value)
                if name and name.startswith(prefix):
                    offset, kind, n = name[len(prefix) :].split("/")
                    if kind != "idle":  # an observation of the owner's timer, no output of the fold
                        found.add((int(offset), int(n)))
        position = await consumer.position(place)
        if asyncio.get_running_loop().time() > deadline:
            raise ServerUnavailable(
                f"{topic} partition {partition}: the records up to offset {end} could not be read in {READ_TIMEOUT:.0f} s"
            )
    return found, end
