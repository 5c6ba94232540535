"""What became of every record of a feed, from its checkpoints and the ends of its logs."""

from __future__ import annotations

import asyncio
from typing import Any

from contracts.definition import Feed
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.partition_reader import PartitionReader
from feature_store.redis_connection import async_client
from stream_processors.log_ends import end_offsets
from stream_processors.topics import describe_topics

COUNTERS = ("read", "folded", "duplicate", "late", "dead_lettered", "control", "gaps", "lag")


async def feed_status(feed: Feed, servers: Servers) -> dict[str, Any]:
    """{"partitions": [...], "totals": {...}, "balanced": bool}; a partition never folded has generation 0 and only a lag."""
    topic = events_topic(feed)
    state = (await asyncio.to_thread(describe_topics, [topic], servers.kafka)).get(topic)
    places = [(topic, p) for p in range(state.partitions if state else 0)]
    ends = await asyncio.to_thread(end_offsets, places, servers.kafka)
    redis = await async_client(servers.redis)
    try:
        rows = [await _partition(feed, partition, ends[topic, partition], redis) for _, partition in places]
    finally:
        await redis.aclose()
    totals = {name: sum(row[name] for row in rows) for name in COUNTERS}
    return {"partitions": rows, "totals": totals, "balanced": all(row.pop("balanced") for row in rows)}


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
