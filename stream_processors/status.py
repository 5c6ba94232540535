"""What became of every record of a feed, from its checkpoints and the ends of its logs."""

from __future__ import annotations

import asyncio
from typing import Any

from contracts.definition import Feed
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from feature_store.partition_reader import PartitionReader
from feature_store.redis_connection import async_client
from stream_processors.joiner.joiner_fold import labels_place
from stream_processors.log_ends import end_offsets
from stream_processors.topics import describe_topics

COUNTERS = ("read", "folded", "duplicate", "late", "dead_lettered", "control", "gaps", "lag")
LABEL_COUNTERS = ("joined", "duplicate", "correction", "too_late", "unmatched", "waiting", "remarks")  # they add up to those read


async def feed_status(feed: Feed, servers: Servers) -> dict[str, Any]:
    """{"partitions": [...], "totals": {...}, "balanced": bool}, and with a target "labels": what they ended as.

    A partition never folded has generation 0 and only a lag.
    """
    topic, labels = events_topic(feed), topic_name(feed, "labels")
    found = await asyncio.to_thread(describe_topics, [topic, labels], servers.kafka)
    places = [(topic, p) for p in range(found[topic].partitions if topic in found else 0)]
    told = [(labels, p) for p in range(found[labels].partitions if labels in found and feed.target is not None else 0)]
    ends = await asyncio.to_thread(end_offsets, [*places, *told], servers.kafka)
    redis = await async_client(servers.redis)
    try:
        rows = [await _partition(feed, partition, ends[topic, partition], redis) for _, partition in places]
        ended = [await _labels(feed, partition, ends[labels, partition], redis) for _, partition in told]
    finally:
        await redis.aclose()
    totals = {name: sum(row[name] for row in rows) for name in COUNTERS}
    balanced = [row.pop("balanced") for row in rows]
    status = {"partitions": rows, "totals": totals, "balanced": all(balanced)}
    if feed.target is not None:
        sums = {name: sum(row[name] for row in ended) for name in ("read", *LABEL_COUNTERS, "lag")}
        status["labels"] = sums | {"balanced": all(row["balanced"] for row in ended)}
    return status


async def _labels(feed: Feed, partition: int, end: int, redis: Any) -> dict[str, Any]:
    manifest = await PartitionReader(redis, feed.name, labels_place(partition)).manifest()
    if manifest is None:
        return dict.fromkeys(("read", *LABEL_COUNTERS), 0) | {"lag": end, "balanced": True}
    counters = manifest.counters
    row: dict[str, Any] = {name: counters[name] for name in ("read", *LABEL_COUNTERS)}
    return row | {"lag": end - manifest.offset, "balanced": row["read"] == sum(row[name] for name in LABEL_COUNTERS)}


async def _partition(feed: Feed, partition: int, end: int, redis: Any) -> dict[str, Any]:
    manifest = await PartitionReader(redis, feed.name, partition).manifest()
    row: dict[str, Any] = {"partition": partition, "generation": 0, "start_offset": 0, "end_offset": 0}
    if manifest is None:
        return row | dict.fromkeys(COUNTERS, 0) | {"lag": end, "balanced": True}
    counters = manifest.counters
    row |= {"generation": manifest.generation, "start_offset": counters["start_offset"], "end_offset": manifest.offset}
    row |= {name: counters.get(name, 0) for name in COUNTERS}
    row["lag"] = end - manifest.offset
    ended = row["folded"] + row["duplicate"] + row["late"] + row["dead_lettered"]
    passed = row["end_offset"] - row["start_offset"]
    row["balanced"] = ended == row["read"] and passed == row["read"] + row["control"] + row["gaps"]
    return row
