"""Reads the alert topics of feeds with an ordinary kafka-python consumer, and drops repeated ids."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from contracts.definition import Feed
from contracts.errors import ServerUnavailable
from contracts.outage import PAUSES
from contracts.record_reader import RecordReader
from contracts.records import Alert
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from stream_processors.log_ends import end_offsets
from stream_processors.topics import describe_topics
from stream_processors.waiting import Say, silent

_ALERTS = RecordReader[Alert](Alert)
TOPIC_SECONDS = 1.0  # between two looks for topics that no worker has made yet


def read_alerts(feeds: list[Feed], kafka: KafkaSettings, follow: bool, poll_ms: int = 200, say: Say = silent) -> Iterator[Alert]:
    """Alerts from the first on; ends at the present end unless `follow`. What is no alert is passed over.

    Raises:
        ServerUnavailable: the broker failed; with `follow` it is waited for, which `say` is told.
    """
    seen: set[str] = set()
    failures = 0
    while True:
        try:
            for alert in _alerts(feeds, kafka, follow, poll_ms):
                failures = 0
                if alert.id not in seen:
                    seen.add(alert.id)
                    yield alert
            return
        except (KafkaError, ServerUnavailable) as error:
            sentence = str(error) if isinstance(error, ServerUnavailable) else f"Kafka at {','.join(kafka.servers)} failed ({error})"
            if not follow:
                raise ServerUnavailable(sentence) from error
            if failures == 0:
                say(f"{sentence}; waiting for it")
            time.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1


def _alerts(feeds: list[Feed], kafka: KafkaSettings, follow: bool, poll_ms: int) -> Iterator[Alert]:
    topics = [topic_name(feed, "alerts") for feed in feeds]
    while len(existing := describe_topics(topics, kafka)) < len(topics) and follow:
        time.sleep(TOPIC_SECONDS)
    places = [TopicPartition(topic, p) for topic in topics if topic in existing for p in range(existing[topic].partitions)]
    ends = {} if follow else end_offsets([(p.topic, p.partition) for p in places], kafka)
    consumer = KafkaConsumer(
        **kafka.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=20,
    )
    try:
        consumer.assign(places)
        while follow or any(consumer.position(p) < ends[p.topic, p.partition] for p in places):
            for records in consumer.poll(poll_ms).values():
                for record in records:
                    alert = _ALERTS.read(record.value)
                    if alert is not None:
                        yield alert
    finally:
        consumer.close()
