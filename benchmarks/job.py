"""The same job for everybody: which events, what is computed of them, and how they come onto the topic.

Some 105 bytes of JSON with three numeric fields, 1,000 entities that read once a second, four partitions, 2 % of the records
delayed by up to ten readings. Of each event: a 60 s window advancing by 10 s (count, mean, std, min and max of each field), an
anomaly score, the entity's vector in Redis, a score record on a topic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed, Number
from contracts.settings import KafkaSettings
from stream_processors.runner.clients import plain_producer

FIVE = ("count", "mean", "std", "min", "max")
FIELDS = ("temperature", "vibration", "pressure")
ENTITIES = 1_000
PARTITIONS = 4
START_MS = 1_790_000_000_000  # event time of the first reading
LATE_SHARE = 0.02
LATE_SECONDS = 10  # the most that a record is delayed by, in event time; within every engine's grace of 30 s
CHUNK_ROWS = 200_000  # made and sent at once; whole corpora of texts would take gigabytes


class Events(NamedTuple):
    """Records in the order of the topic."""

    keys: list[bytes]
    values: list[bytes]
    partitions: list[int]


def bench_feed(name: str = "bench", topic: str | None = None, log_vectors: str = "all") -> Feed:
    """The stated configuration."""
    return Feed(
        name,
        entity="id",
        time="ts",
        fields=[Number(field, features=FIVE) for field in FIELDS],
        windows=["1m"],
        lateness="30s",
        false_alarms_per_week=1,
        partitions=PARTITIONS,
        topic=topic,
        log_vectors=log_vectors,
        time_features=False,
        season=None,  # with a daily season the drift detectors would still be learning when the run ends
    )


def make_events(count: int, seed: int = 1, entities: int = ENTITIES) -> Iterator[Events]:
    """Chunks of the corpus; each entity reads once a second, and the same seed gives the same bytes."""
    rng = np.random.default_rng(seed)
    rows = _disordered(count, rng, entities)
    noise = rng.standard_normal((count, len(FIELDS))) * (1.0, 0.1, 0.05) + (60.0, 2.0, 4.0)
    for at in range(0, count, CHUNK_ROWS):
        yield _texts(rows[at : at + CHUNK_ROWS], noise, entities)


def _disordered(count: int, rng: np.random.Generator, entities: int) -> NDArray[np.int64]:
    order = np.arange(count, dtype=np.float64)
    late = rng.random(count) < LATE_SHARE
    order[late] += rng.random(int(late.sum())) * LATE_SECONDS * entities
    return np.argsort(order, kind="stable")


def _texts(rows: NDArray[np.int64], noise: NDArray[np.float64], entities: int) -> Events:
    entity = rows % entities
    stamps = START_MS + rows // entities * 1000 + entity * 1000 // entities
    columns = zip(entity.tolist(), stamps.tolist(), noise[rows].tolist(), strict=True)
    values = [
        b'{"id":"device-%05d","ts":%d,"temperature":%.6f,"vibration":%.6f,"pressure":%.6f}' % (name, stamp, a, b, c)
        for name, stamp, (a, b, c) in columns
    ]
    return Events([b"device-%05d" % name for name in entity.tolist()], values, (entity % PARTITIONS).tolist())


def joined(chunks: Iterator[Events]) -> Events:
    """All chunks as one."""
    out = Events([], [], [])
    for chunk in chunks:
        for whole, part in zip(out, chunk, strict=True):
            whole.extend(part)  # type: ignore[attr-defined]
    return out


async def load(settings: KafkaSettings, topic: str, chunks: Iterator[Events]) -> int:
    """Puts events on the topic, in whole batches; returns how many."""
    producer = plain_producer(settings)
    await producer.start()
    count = 0
    for events in chunks:
        count += len(events.values)
        for partition in range(PARTITIONS):
            batch = producer.create_batch()
            for key, value, at in zip(*events, strict=True):
                if at != partition:
                    continue
                if batch.append(key=key, value=value, timestamp=None) is None:
                    await producer.send_batch(batch, topic, partition=partition)
                    batch = producer.create_batch()
                    batch.append(key=key, value=value, timestamp=None)
            await producer.send_batch(batch, topic, partition=partition)
    await producer.stop()
    return count
