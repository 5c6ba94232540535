"""Reads the alert topics of feeds with an ordinary kafka-python consumer, and drops repeated ids."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
from kafka import KafkaConsumer, TopicPartition

from contracts.definition import Feed
from contracts.records import Alert
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from stream_processors.log_ends import end_offsets
from stream_processors.topics import describe_topics

TOPIC_SECONDS = 1.0  # between two looks for topics that no worker has made yet


def read_alerts(feeds: list[Feed], kafka: KafkaSettings, follow: bool, poll_ms: int = 200) -> Iterator[Alert]:
    """Alerts from the first on; ends at the present end unless `follow`. What is no alert is passed over."""
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
        seen: set[str] = set()
        while follow or any(consumer.position(p) < ends[p.topic, p.partition] for p in places):
            for records in consumer.poll(poll_ms).values():
                for record in records:
                    try:
                        alert = msgspec.json.decode(record.value or b"", type=Alert)
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        continue
                    if alert.id not in seen:
                        seen.add(alert.id)
                        yield alert
    finally:
        consumer.close()
