"""How far a feed has come: the event time of the last readings in its topic, read from each partition's end."""

from __future__ import annotations

import time

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from contracts.definition import Feed
from contracts.errors import ServerUnavailable
from contracts.outcomes import Reason
from contracts.settings import KafkaSettings
from contracts.topics import events_topic
from stream_processors.decoding.strict import decode_value
from stream_processors.topics import describe_topics

GLANCE_SECONDS = 3.0  # a partition that ends with a transaction's mark has no last record, and would be waited for without end


def newest_event_time(feed: Feed, kafka: KafkaSettings) -> int | None:
    """µs; the greatest of the last record of each partition. None where there is none, or nobody may read it.

    A record that is a dead letter says nothing, and neither does one whose device's clock is ahead.
    """
    topic = events_topic(feed)
    try:
        state = describe_topics([topic], kafka).get(topic)
        consumer = KafkaConsumer(**kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            return _newest(feed, consumer, [TopicPartition(topic, p) for p in range(state.partitions if state else 0)])
        finally:
            consumer.close()
    except (KafkaError, ServerUnavailable):
        return None


def _newest(feed: Feed, consumer: KafkaConsumer, places: list[TopicPartition]) -> int | None:
    first, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
    waiting = {place for place in places if ends[place] > first[place]}
    consumer.assign(list(waiting))
    for place in waiting:
        consumer.seek(place, ends[place] - 1)
    found: list[int] = []
    deadline = time.monotonic() + GLANCE_SECONDS
    while waiting and time.monotonic() < deadline:
        for place, records in consumer.poll(200).items():
            waiting.discard(place)
            for record in records:
                decoded = decode_value(feed, record.key, record.value)
                ahead = decoded.event_time - record.timestamp * 1000 > feed.clock_tolerance_us
                if decoded.reason is Reason.NONE and not ahead:
                    found.append(decoded.event_time)
    return max(found, default=None)
