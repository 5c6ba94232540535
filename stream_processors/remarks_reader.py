"""Reads what people said, verdicts and tags, with an ordinary kafka-python consumer, up to its present end.

With a target it stands on `<feed>.remarks`, where the joiner puts it; without one, on `<feed>.labels` itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition

from contracts.definition import Feed
from contracts.ids import RecordId, is_id, parse_id
from contracts.record_reader import RecordReader
from contracts.records import Label, Remark
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from stream_processors.joiner.joiner_fold import labels_place
from stream_processors.joiner.labels import read_label
from stream_processors.log_ends import end_offsets
from stream_processors.topics import describe_topics

_REMARKS = RecordReader[Remark](Remark)


class Remarks(NamedTuple):
    """In the order in which they were said: by Kafka timestamp, then partition and offset of the label."""

    said: list[Remark]
    unreadable: int  # records of labels that are no remark, without a target; with one they are dead letters


def read_remarks(feed: Feed, kafka: KafkaSettings) -> Remarks:
    """Every remark once, also where a later generation of the joiner has put it there again; none without the topic.

    Raises:
        ServerUnavailable: the broker did not answer.
    """
    found: dict[tuple[int, str, int], Remark] = {}
    unreadable = 0
    for record in _records(topic_name(feed, "labels" if feed.target is None else "remarks"), kafka):
        remark = _remark(feed, record)
        if remark is None:
            unreadable += 1
        else:
            name = parse_id(remark.id)
            found.setdefault((remark.when, name.partition, name.offset), remark)
    return Remarks([found[key] for key in sorted(found)], unreadable if feed.target is None else 0)


def _remark(feed: Feed, record: Any) -> Remark | None:
    if feed.target is None:
        label = read_label(feed, record.value)
        name = RecordId(feed.name, 0, labels_place(record.partition), record.offset, "remark", 0)
        return Remark(id=str(name), when=record.timestamp * 1000, label=label) if isinstance(label, Label) else None
    remark = _REMARKS.read(record.value)
    return remark if remark is not None and is_id(remark.id) else None


def _records(topic: str, kafka: KafkaSettings) -> Iterator[Any]:
    existing = describe_topics([topic], kafka)
    places = [TopicPartition(topic, partition) for partition in range(existing[topic].partitions if topic in existing else 0)]
    ends = end_offsets([(topic, place.partition) for place in places], kafka)
    consumer = KafkaConsumer(
        **kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    try:
        consumer.assign(places)
        while any(consumer.position(place) < ends[topic, place.partition] for place in places):
            for fetched in consumer.poll(200).values():
                yield from (record for record in fetched if record.offset < ends[topic, record.partition])
    finally:
        consumer.close()
