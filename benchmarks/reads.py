"""Reads of served features through feature_store's readers: 100 entities × 50 features, and 1 × 10."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from benchmarks.job import ENTITIES, FIVE, PARTITIONS, START_MS
from benchmarks.latency_probes import percentiles
from contracts.definition import Feed, Number
from feature_store.feature_plan import feature_names
from feature_store.partition_store import PartitionStore
from feature_store.readers import FeatureReader
from feature_store.redis_connection import async_client
from stream_processors.decoding.batches import raw_batch
from stream_processors.stream_fold.fold import StreamFold

FIELDS = 10  # of five features each: fifty
READINGS = 3  # of each entity
WARM_READS = 200  # the reader learns where the entities are
TURNS = 1_000  # choices of a hundred entities, drawn before


def wide_feed() -> Feed:
    """Ten fields, one window, fifty features."""
    return Feed(
        "wide",
        entity="id",
        time="ts",
        fields=[Number(f"f{n}", features=FIVE) for n in range(FIELDS)],
        windows=["1m"],
        lateness="30s",
        false_alarms_per_week=1,
        partitions=PARTITIONS,
        time_features=False,
        season=None,
    )


def entity_names() -> list[str]:
    """Those that are served."""
    return [f"device-{entity:05d}" for entity in range(ENTITIES)]


async def serve(redis: str, feed: Feed) -> None:
    """Folds a few readings of every entity and serves them as a worker does."""
    client = await async_client(redis)
    fields = ",".join(f'"f{n}":{n + 0.5}' for n in range(FIELDS))
    for partition in range(PARTITIONS):
        keys, values = [], []
        for reading in range(READINGS):
            for entity in range(partition, ENTITIES, PARTITIONS):
                keys.append(b"device-%05d" % entity)
                values.append(f'{{"id":"device-{entity:05d}","ts":{START_MS + reading * 1000},{fields}}}'.encode())
        out = StreamFold(feed, partition, 1).fold(raw_batch(range(len(keys)), [-1] * len(keys), keys, values))
        store = PartitionStore(client, feed.name, partition)
        await store.take(0)
        await store.serve(1, out.entities, out.vectors)
        await store.serve_directory(1, out.created)
    await client.aclose()


def read_figures(redis: str, seconds: float) -> dict[str, Any]:
    """Latency of either read, and reads a second of the large one, from one process with one connection."""
    feed = wide_feed()
    asyncio.run(serve(redis, feed))
    names, rng = entity_names(), np.random.default_rng(2)
    hundreds = [[names[at] for at in rng.choice(ENTITIES, 100, replace=False)] for _ in range(TURNS)]
    ten = feature_names(feed)[:10]
    with FeatureReader(redis, feed) as reader:
        table = reader.read(names)
        assert table.values.shape == (ENTITIES, 50) and not np.isnan(table.values).any(), "every value is there"
        large = _time(lambda turn: reader.read(hundreds[turn % TURNS]), seconds)
        small = _time(lambda turn: reader.read([names[turn % ENTITIES]], ten), seconds / 2)
    return {
        "read_100x50_ms": percentiles(large),
        "read_1x10_ms": percentiles(small),
        "reads_100x50_per_s": round(len(large) / sum(large) * 1000, 1),
    }


def _time(read: Any, seconds: float) -> list[float]:
    """Milliseconds of each read, one after the other."""
    for turn in range(WARM_READS):
        read(turn)
    out = []
    end = time.perf_counter() + seconds
    turn = 0
    while (begun := time.perf_counter()) < end:
        read(turn)
        out.append((time.perf_counter() - begun) * 1000)
        turn += 1
    return out
