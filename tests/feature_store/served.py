"""A feed, and vectors served to a store as a worker would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import redis.asyncio

from contracts.definition import Feed, Number
from feature_store.feature_plan import feature_names
from feature_store.partition_store import PartitionStore, Served
from feature_store.served_vector import VectorPacker

FEED = Feed(
    "pumps", entity="pump", time="ts", fields=[Number("temperature", features=["mean", "last"])], windows=["1m", "10m"], time_features=False
)
DIMENSION = len(feature_names(FEED))  # temperature_mean_1m, temperature_mean_10m, temperature_last
NOW = 1_767_225_600_000_000  # µs, 2026-01-01


def blobs(
    offsets: Sequence[int],
    generation: int = 1,
    value: float = 1.0,
    time: int = NOW,
    partial: int = 0,
    feed: Feed = FEED,
    dimension: int = DIMENSION,
) -> list[bytes]:
    """Vectors of the same value at some offsets."""
    n = len(offsets)
    whole = np.full(n, time)
    return VectorPacker(feed, generation).pack(np.array(offsets), whole, whole + 5, np.full(n, partial), np.full((n, dimension), value))


async def serve(
    client: redis.asyncio.Redis,
    partition: int,
    epoch: int,
    names: Sequence[str],
    vectors: Sequence[bytes],
    generation: int = 1,
    time: int = NOW,
) -> Served:
    """Takes a partition and serves vectors and directory entries."""
    store = PartitionStore(client, FEED.name, partition)
    await store.take(epoch)
    entities = [name.encode() for name in names]
    await store.serve_directory(generation, [(entity, time) for entity in entities])
    return await store.serve(generation, entities, vectors)
