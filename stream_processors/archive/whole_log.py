"""Archive and log as one: what files hold of a partition, and after it what Kafka holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.columns import RawBatch
from contracts.definition import Feed
from contracts.errors import HistoryError
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from feature_store.history_files import HistoryFiles
from stream_processors.archive.archived_log import ArchivedLog
from stream_processors.archive.raw_archiver import RAW_KINDS
from stream_processors.decoding.batches import Fetched, keys_and_values
from stream_processors.log_ends import end_offset
from stream_processors.models_log import Models
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.clients import free_consumer, stopped
from stream_processors.runner.switch_log import Recorded, decoded_switch, valid_switches
from stream_processors.topics import TopicState, describe_topics
from stream_processors.verification.log_reader import read_batches, read_portions


class ArchivedRecord(NamedTuple):
    """A record out of a file; as Kafka's clients hand them out, but without its time. Files keep no headers."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class FeedArchive:
    """The archived logs of one feed, each listed when it is first asked for.

    Args:
        files: the history.
        topics: the feed's topics as the broker has them now; their ids say which logs are meant.
    """

    def __init__(self, files: HistoryFiles, feed: Feed, topics: dict[str, TopicState]) -> None:
        self.topics = topics
        self._files, self._feed = files, feed
        self._logs: dict[tuple[str, int], ArchivedLog] = {}

    def log(self, kind: str, partition: int) -> ArchivedLog:
        """What is archived of one partition of a log."""
        if (kind, partition) not in self._logs:
            topic = self.topics.get(topic_name(self._feed, kind))
            self._logs[kind, partition] = ArchivedLog(self._files, self._feed, kind, topic.topic_id if topic else None, partition)
        return self._logs[kind, partition]


async def open_archive(feed: Feed, kafka: KafkaSettings, files: HistoryFiles) -> FeedArchive:
    """The archive of a feed whose topics the broker has; raises ServerUnavailable."""
    names = [topic_name(feed, kind) for kind in (*RAW_KINDS, "dead-letters", "scores")]
    return FeedArchive(files, feed, await asyncio.to_thread(describe_topics, names, kafka))


class WholeLog:
    """One partition of a log, for a consumer that reads it and nothing else meanwhile."""

    def __init__(self, archived: ArchivedLog, consumer: AIOKafkaConsumer, topic: str, partition: int) -> None:
        self._archived, self._consumer = archived, consumer
        self._at = TopicPartition(topic, partition)

    async def first(self) -> int:
        """The lowest offset from which on nothing is missing."""
        return self._archived.begin(await self._kafka_first())

    async def end(self) -> int:
        """The offset after Kafka's last."""
        return await end_offset(self._consumer, self._at)

    async def batches(self, start: int, end: int) -> AsyncIterator[Fetched]:
        """What a fold of start ≤ offset < end gets; the consumer must be one of batches.

        Raises:
            HistoryError: files end before Kafka begins, or cannot be read.
            ServerUnavailable, UnreadableRecords: as `read_batches`.
        """
        assert isinstance(self._consumer, PlainConsumer)
        reached = min(self._archived.end(start), end)
        for part in self._archived.read(start, reached):
            yield part
        if reached < end:
            await self._see_to_kafka(reached)
            async for fetched in read_batches(self._consumer, self._at.topic, self._at.partition, reached, end):
                yield fetched

    async def portions(self, start: int, end: int) -> AsyncIterator[list[Any]]:
        """The records of the same, in portions."""
        reached = min(self._archived.end(start), end)
        for part in self._archived.read(start, reached):
            yield list(archived_records(part.batch))
        if reached < end:
            await self._see_to_kafka(reached)
            async for records in read_portions(self._consumer, self._at.topic, self._at.partition, reached, end):
                yield records

    async def _see_to_kafka(self, offset: int) -> None:
        first = await self._kafka_first()
        if first > offset:
            raise HistoryError(f"{self._archived.name}: offsets {offset} to {first} are neither archived nor in Kafka")

    async def _kafka_first(self) -> int:
        return int((await self._consumer.beginning_offsets([self._at]))[self._at])


def archived_records(batch: RawBatch) -> Iterator[ArchivedRecord]:
    """The records of a batch one by one."""
    for offset, (key, value) in zip(batch.offset.tolist(), keys_and_values(batch), strict=True):
        yield ArchivedRecord(offset, key, value)


async def whole_switches(feed: Feed, kafka: KafkaSettings, archive: FeedArchive) -> list[Recorded]:
    """Every valid switch of the feed; none before a worker has made the topic."""
    found: list[Recorded] = []
    async for record in _every_record(feed, "switches", kafka, archive):
        found.extend(decoded_switch(record.offset, record.value))
    return valid_switches(found)


async def whole_models(feed: Feed, kafka: KafkaSettings, archive: FeedArchive) -> Models:
    """What `<feed>.models` says; nothing of a feed without a target."""
    models = Models()
    if feed.target is not None:
        async for record in _every_record(feed, "models", kafka, archive):
            models.take(record.value)
    return models


async def _every_record(feed: Feed, kind: str, kafka: KafkaSettings, archive: FeedArchive) -> AsyncIterator[Any]:
    topic = topic_name(feed, kind)
    if topic not in archive.topics:
        return
    consumer = free_consumer(kafka)
    await consumer.start()
    try:
        log = WholeLog(archive.log(kind, 0), consumer, topic, 0)
        end = await end_offset(consumer, TopicPartition(topic, 0))
        async for records in log.portions(await log.first(), end):
            for record in records:
                yield record
    finally:
        await stopped(consumer)
