"""Follows all partitions of `<feed>.scores` beside the folds, and hands out the records that labels are joined to."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.definition import Feed
from contracts.errors import ServerUnavailable
from contracts.outage import Outage
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from feature_store.feature_plan import feature_names
from stream_processors.archive.score_decoding import ScoreRecord, decode_scores, vector_of
from stream_processors.joiner.score_heads import ScoreHead, head_of, score_heads
from stream_processors.joiner.score_index import CAPACITY, Heard, ScoreIndex
from stream_processors.log_ends import end_offset
from stream_processors.runner.clients import batch_consumer, free_consumer, stopped
from stream_processors.topics import describe_topics
from stream_processors.verification.log_reader import read_batches, read_portions, read_switches

PORTION = 1_000  # records of one round, some milliseconds: the folds of the same process wait for it
WAIT_MS = 100
RECENT_BYTES = 64_000_000
"""Of whole records kept in memory. Labels for older ones cost a fetch for each group of neighbours; more memory would save that."""
RECORD_BYTES = 600  # of a record besides its vector, as Python objects, measured
NEIGHBOURS = 500  # records that are read along with wanted ones rather than sought past

Of = TypeVar("Of", ScoreRecord, ScoreHead)
log = logging.getLogger("streamgauge.joiner")


class ScoreFollower:
    """The side input of all joiners of one feed in this process. Use it from one event loop.

    Args:
        capacity: scores that are remembered of each partition, and read again at the start.
    """

    def __init__(self, feed: Feed, kafka: KafkaSettings, capacity: int = CAPACITY, recent_bytes: int = RECENT_BYTES) -> None:
        self.index = ScoreIndex(capacity)
        self._feed = feed
        self._definition = feed.hash
        self._vector_bytes = 8 * len(feature_names(feed))
        self._kafka = kafka
        self._topic = topic_name(feed, "scores")
        self._capacity = capacity
        self._recent = _RecentRecords(recent_bytes)
        self._most_recent = recent_bytes // (RECORD_BYTES + self._vector_bytes)  # whole records that are kept
        self._listeners: list[Callable[[Heard], None]] = []
        self._generations: dict[tuple[int, int], str] = {}  # (partition, generation) -> definition
        self._reading = asyncio.Lock()
        self._places: list[TopicPartition] = []
        self._behind: dict[TopicPartition, tuple[int, int]] = {}  # from and to: what is read as bytes before the records behind it
        self._read_to: dict[TopicPartition, int] = {}  # what lies before is in the index
        self._task: asyncio.Task[None] | None = None
        self._connected = False
        self._outage = Outage("Kafka", log)

    async def start(self, listener: Callable[[Heard], None]) -> dict[TopicPartition, int]:
        """Begins to follow, for one more listener; returns the ends of the topic, up to which the index is to be filled (`holds`).

        Raises:
            ServerUnavailable: the broker does not hand out its records.
        """
        self._listeners.append(listener)
        await self._connect()
        found = (await asyncio.to_thread(describe_topics, [self._topic], self._kafka))[self._topic]
        async with self._reading:
            fresh = [TopicPartition(self._topic, p) for p in range(len(self._places), found.partitions)]
            ends = {place: await end_offset(self._reader, place) for place in [*self._places, *fresh]}
            first = await self._reader.beginning_offsets(fresh) if fresh else {}
        if fresh:
            await self._assign(fresh, {place: (max(first[place], ends[place] - self._capacity), ends[place]) for place in fresh})
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"scores-{self._feed.name}")
        return ends

    def holds(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether the index holds what stands before the ends."""
        return all(self._read_to.get(place, 0) >= end for place, end in ends.items())

    async def _connect(self) -> None:
        """Once; anew where a broker that was gone did not let it."""
        if self._connected:
            return
        self._consumer, self._reader = free_consumer(self._kafka), free_consumer(self._kafka)
        try:
            await self._consumer.start()
            await self._reader.start()
        except BaseException:
            await asyncio.gather(stopped(self._consumer), stopped(self._reader))
            raise
        self._connected = True

    async def _assign(self, fresh: list[TopicPartition], bounds: dict[TopicPartition, tuple[int, int]]) -> None:
        positions = {place: await self._consumer.position(place) for place in self._places}
        for place in fresh:
            start, end = bounds[place]
            positions[place] = max(start, end - self._most_recent)
            self._behind[place] = (start, positions[place])
            self.index.begin(place.partition, start == 0)
        self._places += fresh
        self._consumer.assign(self._places)
        for place, at in positions.items():
            self._consumer.seek(place, at)
        self._consumer.pause(*self._behind)

    def leave(self, listener: Callable[[Heard], None]) -> None:
        """One listener less."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def stop(self) -> None:
        """Closes the clients."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._connected:
            await asyncio.gather(stopped(self._consumer), stopped(self._reader))

    def check(self) -> None:
        """Raises what ended the following, if anything did."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def records(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], ScoreRecord]:
        """Whole records by partition and position, without those that Kafka no longer has."""
        found = {place: record for place in places if (record := self._recent.get(place))}
        wanted = sorted(set(places) - found.keys())
        if wanted:
            async with self._reading:
                for partition, first, last in _runs(wanted):
                    found |= await self._read(partition, first, last, set(wanted))
        return found

    async def _read(self, partition: int, first: int, last: int, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], ScoreRecord]:
        at = TopicPartition(self._topic, partition)
        first = max(first, (await self._reader.beginning_offsets([at]))[at])
        found = {}
        async for records in read_portions(self._reader, self._topic, partition, first, last + 1):
            for record in self._decoded([r for r in records if (partition, r.offset) in wanted]):
                found[partition, record.position] = record
        return found

    async def _follow(self) -> None:
        while True:
            try:
                if self._behind:
                    await self._catch_up()
                fetched = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=PORTION)
                for records in fetched.values():
                    await self._take_records(records)
                for place in self._places:
                    self._read_to[place] = await self._consumer.position(place)
            except (KafkaError, ServerUnavailable) as error:
                await self._outage.wait(error)
            else:
                self._outage.over()

    async def _catch_up(self) -> None:
        """Reads what lies so far back that it would not be kept whole: as bytes, in a fraction of the time."""
        consumer = batch_consumer(self._kafka)
        try:
            await consumer.start()
            for place, (start, end) in list(self._behind.items()):
                async for fetched in read_batches(consumer, self._topic, place.partition, start, end):
                    heads = score_heads(self._feed, fetched.batch)
                    while portion := list(islice(heads, PORTION)):
                        self._hear(await self._of_definition(portion))
                        await asyncio.sleep(0)  # the folds go on
                    self._behind[place] = (fetched.next_offset, end)
                del self._behind[place]
                self._consumer.resume(place)
        finally:
            await stopped(consumer)

    async def _take_records(self, records: list[Any]) -> None:
        scores = [s for s in self._decoded(records) if s.vector is not None and len(s.vector) == self._vector_bytes]
        ours = await self._of_definition(scores)
        for score in ours:
            self._recent.add((score.partition, score.position), score)
        self._hear([head_of(score) for score in ours])

    async def _of_definition(self, scores: Sequence[Of]) -> list[Of]:
        """Those of generations of the feed's present definition."""
        if any((s.partition, s.generation) not in self._generations for s in scores):
            await self._read_generations()
        return [s for s in scores if self._generations.get((s.partition, s.generation)) == self._definition]

    def _hear(self, heads: list[ScoreHead]) -> None:
        heard = self.index.take(heads)
        for listener in self._listeners:
            listener(heard)

    async def _read_generations(self) -> None:
        """What the switches say; a generation's switch is on its topic before the first of its scores.

        A broker that fails is asked again: the scores that need the answer have been fetched, and would be lost.
        """
        while True:
            try:
                found = await read_switches(self._feed, self._kafka)
                break
            except (KafkaError, ServerUnavailable) as error:
                await self._outage.wait(error)
        for _, switch in found:
            if switch.kind == "generation" and switch.log == topic_name(self._feed, "events"):
                self._generations[switch.partition, switch.generation] = switch.definition

    def _decoded(self, records: list[Any]) -> list[ScoreRecord]:
        values, vectors = [r.value for r in records], [vector_of(r.headers) for r in records]
        return decode_scores(self._feed, values, vectors, [r.offset for r in records])


class _RecentRecords:
    """The newest whole records, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._records: OrderedDict[tuple[int, int], ScoreRecord] = OrderedDict()

    def add(self, place: tuple[int, int], record: ScoreRecord) -> None:
        self._records[place] = record
        self._bytes += _size(record)
        while self._bytes > self._most:
            self._bytes -= _size(self._records.popitem(last=False)[1])

    def get(self, place: tuple[int, int]) -> ScoreRecord | None:
        return self._records.get(place)


def _size(record: ScoreRecord) -> int:
    return RECORD_BYTES + len(record.vector or b"")


def _runs(places: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """(partition, first, last) of groups of neighbours among sorted places."""
    partition, first = places[0]
    last = first
    for p, position in places[1:]:
        if p != partition or position > last + NEIGHBOURS:
            yield partition, first, last
            partition, first = p, position
        last = position
    yield partition, first, last
