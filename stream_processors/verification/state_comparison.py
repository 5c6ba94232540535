"""The store's side of a verification: checkpoint, counters and served vectors against the state folded again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redis.asyncio import Redis

from feature_store.checkpoint import Checkpoint
from feature_store.partition_reader import PartitionReader
from feature_store.served_vector import unpack_vector
from stream_processors.log_fold import LogFold
from stream_processors.runner.place import Place
from stream_processors.runner.progress import Progress

PORTION = 1_000  # vectors compared at once


class StateComparison(NamedTuple):
    """What was compared and what differs."""

    compared: dict[str, int]
    differences: list[str]


async def compare_state(place: Place, fold: LogFold, progress: Progress, checkpoint: Checkpoint, redis: Redis) -> StateComparison:
    """Compares chunk by chunk, counter by counter, vector by vector; vectors served since the checkpoint are left out."""
    name = f"{place.topic}/{place.partition}"
    differences: list[str] = []
    chunks = fold.all_chunks()
    differences += [f"{name}: chunk {c} of the checkpoint differs" for c in sorted(chunks) if checkpoint.chunks.get(c) != chunks[c]]
    counters, stored = _comparable(fold.counters() | progress.counters()), _comparable(checkpoint.manifest.counters)
    differences += [f"{name}: counter {c} is {stored.get(c)}, folded again {v}" for c, v in counters.items() if stored.get(c) != v]
    served, expired = await _compare_vectors(name, place, fold, checkpoint, redis, differences)
    return StateComparison({"chunks": len(chunks), "vectors": served, "expired": expired}, differences)


def _comparable(counters: Mapping[str, int]) -> dict[str, int]:
    """Counters that do not depend on how the log was read: record by record, control records stand among the gaps."""
    others = {name: count for name, count in counters.items() if name not in ("control", "gaps")}
    return others | {"control + gaps": counters.get("control", 0) + counters.get("gaps", 0)}


async def _compare_vectors(
    name: str, place: Place, fold: LogFold, checkpoint: Checkpoint, redis: Redis, differences: list[str]
) -> tuple[int, int]:
    reader = PartitionReader(redis, place.feed.name, place.store_name)
    everything = fold.everything_served()
    same = expired = 0
    for start in range(0, len(everything.entities), PORTION):
        entities = everything.entities[start : start + PORTION]
        for entity, expected, found in zip(
            entities, everything.vectors[start : start + PORTION], await reader.vectors(entities), strict=True
        ):
            if found is None:
                expired += 1
            elif found == expected:
                same += 1
            elif unpack_vector(found).offset < checkpoint.manifest.offset:
                differences.append(f"{name}: the vector served for {entity.decode()} differs")
    return same, expired
