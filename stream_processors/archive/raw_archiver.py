"""Follows logs of feeds and writes them as they stand: events, labels, switches, evidence, examples, models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from contracts.definition import Feed
from contracts.errors import HistoryError
from contracts.outage import Outage
from contracts.settings import KafkaSettings
from contracts.topics import feed_topics, topic_name
from feature_store.history_files import HistoryFiles
from stream_processors.archive.archived_log import ArchivedLog
from stream_processors.archive.consumers import raw_consumer
from stream_processors.archive.raw_cuts import RawCuts
from stream_processors.archive.rounds import FEW, WAIT_MS, pause
from stream_processors.decoding.batches import Fetched
from stream_processors.log_ends import end_offset
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.clients import stopped
from stream_processors.topics import TopicState

RAW_KINDS = ("events", "labels", "switches", "evidence", "examples", "models")
"""What verification, retraining and migration read. Alerts, requests and remarks are kept in Kafka for ever."""


def raw_kinds(feed: Feed) -> list[str]:
    """The logs that ``archive="raw"`` of a definition names."""
    return [kind for kind in RAW_KINDS if kind in feed_topics(feed)] if feed.archive == "raw" else []


class RawArchiver:
    """Writes logs under a URL until it is stopped; goes on where the files there end.

    Args:
        logs: (feed, kind) by topic.
        topics: what the broker says of each.
        files: where to.
        kafka_outage, history_outage: told when Kafka and the history are at hand again.
    """

    def __init__(
        self,
        logs: Mapping[str, tuple[Feed, str]],
        topics: Mapping[str, TopicState],
        kafka: KafkaSettings,
        files: HistoryFiles,
        kafka_outage: Outage,
        history_outage: Outage,
    ) -> None:
        self._logs, self._topics, self._kafka, self._files = logs, topics, kafka, files
        self._kafka_outage, self._history_outage = kafka_outage, history_outage
        self._cuts: dict[TopicPartition, RawCuts] = {}
        self._next: dict[TopicPartition, int] = {}  # offset that is read next
        self._ends: dict[TopicPartition, int] = {}  # of the logs, at the start

    @property
    def written(self) -> int:
        """Whole files since the start."""
        return sum(cuts.written for cuts in self._cuts.values())

    async def run(self, stopping: asyncio.Event, idle: Callable[[], bool]) -> None:
        """Archives until `stopping`; or until `idle` says so, asked once all has been read that stood there at the start."""
        consumer = raw_consumer(self._kafka)
        try:
            await consumer.start()
            await self._begin(consumer)
            self._kafka_outage.over()
            while not stopping.is_set():
                passed, before = await self._draw(consumer), self.written
                for at, fetched in passed:
                    self._cuts[at].take(fetched)
                    self._next[at] = fetched.next_offset
                for cuts in self._cuts.values():
                    cuts.write_open(time.monotonic())
                if self.written > before:
                    self._history_outage.over()
                if not passed and all(self._next[at] >= end for at, end in self._ends.items()) and idle():
                    break
                if sum(fetched.batch.n for _, fetched in passed) < FEW:
                    await pause(stopping)
        finally:
            await stopped(consumer)
        for cuts in self._cuts.values():
            cuts.write_open(time.monotonic(), at_once=True)

    async def _begin(self, consumer: PlainConsumer) -> None:
        """Opens every partition at the first record that is in no file."""
        places = [TopicPartition(topic, p) for topic in self._logs for p in range(self._topics[topic].partitions)]
        first = await consumer.beginning_offsets(places) if places else {}
        for at in places:
            self._ends[at] = await end_offset(consumer, at)
            feed, kind = self._logs[at.topic]
            archived = ArchivedLog(self._files, feed, kind, self._topics[at.topic].topic_id, at.partition)
            self._cuts[at] = RawCuts(archived, self._files, first[at], time.monotonic())
            self._next[at] = max(first[at], min(self._cuts[at].position, self._ends[at]))
        consumer.assign(places)
        self._seek(consumer)

    def _seek(self, consumer: PlainConsumer) -> None:
        for at, offset in self._next.items():
            consumer.seek(at, offset)

    async def _draw(self, consumer: PlainConsumer) -> list[tuple[TopicPartition, Fetched]]:
        try:
            return await consumer.getbatches(timeout_ms=WAIT_MS)
        except OffsetOutOfRangeError as error:
            await self._overtaken(consumer, list(error.args[0]))
            self._seek(consumer)  # all of them: what was drawn along with the error is read again
            return []

    async def _overtaken(self, consumer: PlainConsumer, places: Sequence[TopicPartition]) -> None:
        first = await consumer.beginning_offsets(places)
        for at in places:
            if first[at] <= self._next[at]:
                raise HistoryError(
                    f"{at.topic}/{at.partition} ends before offset {self._next[at]}, which is archived: "
                    "the topic was created anew or cut short; start the archiver again"
                )
            self._cuts[at].overtaken(first[at])
            self._next[at] = first[at]


def raw_logs(feeds: Sequence[Feed], chosen: Sequence[str] | None) -> dict[str, tuple[Feed, str]]:
    """(feed, kind) by topic of what is to be archived as it stands: what the definitions name, or the kinds chosen."""
    return {topic_name(feed, kind): (feed, kind) for feed in feeds for kind in (raw_kinds(feed) if chosen is None else chosen)}
