"""Reads `<feed>.examples` with an ordinary kafka-python consumer, up to its present end."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from kafka import KafkaConsumer, TopicPartition

from contracts.definition import Feed
from contracts.records import Arrival, Decision, Example
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from stream_processors.log_ends import end_offsets
from stream_processors.topics import describe_topics

_DECODER = msgspec.json.Decoder(Example | Arrival | Decision)


def read_examples(feed: Feed, kafka: KafkaSettings) -> Iterator[tuple[int, Example]]:
    """(offset, example) in the order of the log; repeats and other records are passed over, and there is none without the topic.

    Raises:
        ServerUnavailable: the broker did not answer.
    """
    place = TopicPartition(topic_name(feed, "examples"), 0)
    if place.topic not in describe_topics([place.topic], kafka):
        return
    end = end_offsets([place], kafka)[place]
    consumer = KafkaConsumer(
        **kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    try:
        consumer.assign([place])
        seen: set[str] = set()
        while consumer.position(place) < end:
            for record in consumer.poll(200).get(place, []):
                try:
                    example = _DECODER.decode(record.value or b"")
                except msgspec.DecodeError:
                    continue
                if isinstance(example, Example) and example.id not in seen and record.offset < end:
                    seen.add(example.id)
                    yield record.offset, example
    finally:
        consumer.close()
