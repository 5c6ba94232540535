"""What the trainer reads and writes: one-partition logs of a feed, from one offset to another, archive and log as one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from contracts.definition import Feed
from contracts.errors import ServerUnavailable
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from feature_store.history_files import HistoryFiles
from stream_processors.archive.archived_log import ArchivedLog
from stream_processors.archive.whole_log import archived_records
from stream_processors.log_ends import log_bounds
from stream_processors.topics import describe_topics

READ_SECONDS = 60.0  # without a record; an open transaction is ended by the broker before
SEND_SECONDS = 60.0


class Record(NamedTuple):
    """A record's place and value."""

    offset: int
    value: bytes


class FeedLogs:
    """The one-partition topics of a feed by kind: examples, models, retrain.

    Args:
        history: URL where the archiver writes; what it holds is read before what Kafka holds. None: Kafka alone is read.
    """

    def __init__(self, feed: Feed, kafka: KafkaSettings, history: str | None = None) -> None:
        self.feed, self.kafka = feed, kafka
        self._files = HistoryFiles(history) if history is not None else None
        self._topic_ids: dict[str, str | None] = {}

    def bounds(self, kind: str) -> tuple[int, int]:
        """Offsets [first, end) that archive and log hold together.

        Raises:
            ServerUnavailable: the broker did not answer.
            HistoryError: the history cannot be reached.
        """
        place = (topic_name(self.feed, kind), 0)
        first, end = log_bounds([place], self.kafka)[place]
        archived = self._archived(kind)
        return (first if archived is None else archived.begin(first)), end

    def read(self, kind: str, first: int, end: int) -> Iterator[Record]:
        """Committed records of offsets first ≤ offset < end.

        Raises:
            ServerUnavailable: the broker stopped handing them out.
            HistoryError: a file cannot be read.
        """
        archived = self._archived(kind) if first < end else None
        if archived is not None:
            reached = min(archived.end(first), end)
            for part in archived.read(first, reached):
                yield from (Record(record.offset, record.value or b"") for record in archived_records(part.batch))
            first = reached
        place = TopicPartition(topic_name(self.feed, kind), 0)
        if first >= end:
            return
        consumer = self._consumer()
        try:
            consumer.assign([place])
            consumer.seek(place, first)
            position, moved = first, time.monotonic()
            while position < end:
                for record in consumer.poll(200).get(place, []):
                    if record.offset < end:
                        yield Record(record.offset, record.value or b"")
                if (now := consumer.position(place)) > position:
                    position, moved = now, time.monotonic()
                if time.monotonic() - moved > READ_SECONDS:
                    raise ServerUnavailable(f"{place.topic}: Kafka did not hand out offset {position} within {READ_SECONDS:.0f} s")
        finally:
            consumer.close()

    def follow(self, kind: str, first: int, until: float) -> Iterator[Record | None]:
        """Committed records from `first` on as they come, and None after each look, until `until` on the monotonic clock."""
        place = TopicPartition(topic_name(self.feed, kind), 0)
        consumer = self._consumer()
        try:
            consumer.assign([place])
            consumer.seek(place, first)
            while time.monotonic() < until:
                for record in consumer.poll(200).get(place, []):
                    yield Record(record.offset, record.value or b"")
                yield None
        finally:
            consumer.close()

    def append(self, kind: str, value: bytes) -> int:
        """Puts one record at the end of a log, and returns its offset; acknowledged by all replicas when this returns.

        Raises:
            ServerUnavailable: it was not acknowledged.
        """
        producer = KafkaProducer(
            **self.kafka.client_options(), acks="all", enable_idempotence=False, max_in_flight_requests_per_connection=1
        )  # a repeat after a lost acknowledgement has the same id, and readers drop it
        try:
            sent = producer.send(topic_name(self.feed, kind), key=self.feed.name.encode(), value=value, partition=0)
            return int(sent.get(SEND_SECONDS).offset)
        except KafkaError as error:
            raise ServerUnavailable(f"{topic_name(self.feed, kind)}: Kafka did not take a record ({error})") from error
        finally:
            producer.close()

    def _archived(self, kind: str) -> ArchivedLog | None:
        """What files hold of a log as the broker has it now; None where there are none."""
        if self._files is None or not self._files.listed(f"{self._files.root}/{self.feed.name}/{kind}"):
            return None
        topic = topic_name(self.feed, kind)
        if topic not in self._topic_ids:
            self._topic_ids[topic] = describe_topics([topic], self.kafka)[topic].topic_id
        return ArchivedLog(self._files, self.feed, kind, self._topic_ids[topic], 0)

    def _consumer(self) -> KafkaConsumer:
        return KafkaConsumer(
            **self.kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
        )
