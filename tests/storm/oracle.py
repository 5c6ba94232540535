"""What a storm has cost: lost, doubled and changed, from verify and from the labels' own records."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition

from contracts.definition import Feed
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from feature_store.partition_reader import PartitionReader
from feature_store.redis_connection import async_client
from stream_processors.joiner.joiner_fold import labels_place
from stream_processors.log_ends import end_offsets
from stream_processors.status import feed_status
from stream_processors.verification.on_cores import verify_on_cores
from stream_processors.verification.verification import NOT_CHECKABLE, FeedReport
from tests.storm.plants import DEVICES


class Verdict(NamedTuple):
    """Counts, and the first lines that say which."""

    lost: int
    doubled: int
    changed: int
    lines: list[str]

    def __add__(self, other: Verdict) -> Verdict:  # type: ignore[override]
        """Both."""
        sums = (mine + yours for mine, yours in zip(self[:3], other[:3], strict=True))
        return Verdict(*sums, [*self.lines, *other.lines])


class Expected(NamedTuple):
    """What must stand on the logs, and in which generation each place must be where it is not the first."""

    events: int
    labels: int
    generations: Mapping[str, int]


class _Named(msgspec.Struct):
    id: str = ""


def judge(feed: Feed, servers: Servers, history: str, transactions: bool, expected: Expected) -> Verdict:
    """Folds the logs again, and counts; all that was sent must have been folded.

    Args:
        transactions: whether the broker has them; without them consumers drop repeated ids, so a repeat doubles nothing.
        expected: what was sent to logs that still stand.
    """
    report = asyncio.run(verify_on_cores(feed, servers, history, lambda *_: None))
    lines = [line for place in report.places for line in place.differences]
    tally = _tally(report)
    if report.verdict == NOT_CHECKABLE:
        return Verdict(1, 0, 0, [report.reason])
    lost, changed = tally["lost"], tally["changed"] + tally["extra"]
    begun = [
        place for place in report.places if place.generation not in (0, expected.generations.get(place.place, 1))
    ]  # 0: never read from
    lines += [f"{place.place}: generation {place.generation} had to begin" for place in begun]
    status = asyncio.run(feed_status(feed, servers))
    found, labels = status["totals"], status["labels"]
    repeats, examples = example_ids(feed, servers, report)
    repeats += tally["repeated"]
    if repeats:
        lines.append(f"{repeats} records stand twice")
    missing = [
        ("events", expected.events, found["read"] + sum(row["start_offset"] for row in status["partitions"])),
        ("labels", expected.labels, labels["read"] + sum(place.first for place in report.places if "labels" in place.place)),
        ("examples", labels["joined"] + labels["correction"], examples),
    ]
    lines += [f"{what}: {sent} sent or due, {read} there" for what, sent, read in missing if sent != read]
    lost += sum(abs(sent - read) for _, sent, read in missing)
    if not (status["balanced"] and labels["balanced"]):
        lost += 1
        lines.append(f"not balanced: {json.dumps(status)}")
    return Verdict(lost, repeats if transactions else 0, changed + len(begun), lines)


def _tally(report: FeedReport) -> Counter[str]:
    total: Counter[str] = Counter()
    for place in report.places:
        for counts in place.tally.values():
            total.update(counts)
    return total


def example_ids(feed: Feed, servers: Servers, report: FeedReport) -> tuple[int, int]:
    """Repeated ids of examples, and distinct ones of the newest generations; decisions and arrivals stand there, too, and are left out."""
    ids: Counter[str] = Counter()
    for value in read_topic(feed, servers, "examples"):
        name = msgspec.json.decode(value, type=_Named).id
        ids[name] += "/example/" in name
    labels = topic_name(feed, "labels")
    places = [(*place.place.rpartition("/")[::2], place.generation) for place in report.places]
    newest = tuple(f"{feed.name}/{generation}/{labels_place(int(p))}/" for topic, p, generation in places if topic == labels)
    return sum(count - 1 for count in ids.values() if count), sum(1 for name, count in ids.items() if count and name.startswith(newest))


def read_topic(feed: Feed, servers: Servers, kind: str, partition: int = 0) -> list[bytes]:
    """All committed records of a partition."""
    place = TopicPartition(topic_name(feed, kind), partition)
    options: dict[str, Any] = {"enable_auto_commit": False, "auto_offset_reset": "earliest", "isolation_level": "read_committed"}
    end = end_offsets([tuple(place)], servers.kafka)[tuple(place)]
    consumer = KafkaConsumer(**servers.kafka.client_options(), **options)
    try:
        consumer.assign([place])
        found: list[bytes] = []
        while consumer.position(place) < end:
            for records in consumer.poll(200).values():
                found += [record.value for record in records]
        return found
    finally:
        consumer.close()


def ends(feed: Feed, servers: Servers, partitions: int = 0) -> dict[int, int]:
    """End offset of each partition of events, of which there may be more by now than the definition says."""
    found = end_offsets([(events_topic(feed), p) for p in range(partitions or feed.partitions)], servers.kafka)
    return {partition: end for (_, partition), end in found.items()}


async def progress(feed: Feed, servers: Servers, partitions: int) -> tuple[list[str], list[tuple[str, int, int]]]:
    """Places whose checkpoint has not come to the end of their log; and of every place where it stands and what waits there."""
    logs = _places(partitions)
    found = await asyncio.to_thread(end_offsets, [(topic_name(feed, log), p) for log, p, _ in logs], servers.kafka)
    redis = await async_client(servers.redis, holds_state=False)
    lines, stand = [], []
    try:
        for log, partition, name in logs:
            manifest = await PartitionReader(redis, feed.name, name).manifest()
            end, at = found[topic_name(feed, log), partition], manifest.offset if manifest else 0
            if at < end:
                lines.append(f"{log}/{partition} at {at} of {end}")
            stand.append((name, at, manifest.counters.get("waiting", 0) if manifest else 0))
    finally:
        await redis.aclose()
    return lines, stand


async def generations(feed: Feed, servers: Servers, partitions: int) -> dict[str, int]:
    """By topic and partition, the generation of each place's checkpoint; 0 where there is none."""
    redis = await async_client(servers.redis, holds_state=False)
    try:
        found = {}
        for log, partition, name in _places(partitions):
            manifest = await PartitionReader(redis, feed.name, name).manifest()
            found[f"{topic_name(feed, log)}/{partition}"] = manifest.generation if manifest else 0
        return found
    finally:
        await redis.aclose()


def _places(partitions: int) -> list[tuple[str, int, str]]:
    """Log, partition and what the store calls it."""
    logs = [("events", p, str(p)) for p in range(partitions)]
    logs += [("labels", p, labels_place(p)) for p in range(partitions)]
    return [*logs, ("evidence", 0, "evidence"), ("examples", 0, "examples")]


async def served(feed: Feed, servers: Servers, partitions: int) -> dict[int, int]:
    """The newest offset that a served vector of each partition of events bears."""
    from feature_store.readers import AsyncFeatureReader

    redis = await async_client(servers.redis, holds_state=False)
    try:
        table = await AsyncFeatureReader(redis, feed).read(DEVICES)
    finally:
        await redis.aclose()
    return dict.fromkeys(range(partitions), -1) | table.newest_offsets()
