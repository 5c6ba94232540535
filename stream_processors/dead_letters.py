"""Reads dead letters, and sends the originals again once the cause is mended."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from contracts.definition import Feed
from contracts.record_reader import RecordReader
from contracts.records import DeadLetter
from contracts.settings import KafkaSettings
from contracts.topics import events_topic, topic_name
from stream_processors.log_ends import end_offsets
from stream_processors.topics import describe_topics

_LETTERS = RecordReader[DeadLetter](DeadLetter)
REDRIVEN_HEADER = "streamgauge-redriven-from"  # marks a record as sent again: topic/partition/offset of the original
ORIGINAL_SECONDS = 10.0  # for one original to be read by its offset


class Redriven(NamedTuple):
    """What became of the dead letters since the last redrive."""

    sent: int
    late: int  # left to backfill: they would be late again, or their labels too late
    gone: int  # the original is no longer in Kafka, and the letter holds only a part of it


def read_dead_letters(feed: Feed, kafka: KafkaSettings) -> Iterator[DeadLetter]:
    """Every dead letter up to the present end, partition by partition; repeated ids are dropped."""
    topic = topic_name(feed, "dead-letters")
    state = describe_topics([topic], kafka).get(topic)
    consumer = _consumer(kafka, None)
    try:
        for partition in range(state.partitions if state else 0):
            place = TopicPartition(topic, partition)
            yield from (letter for _, letter in _letters(consumer, place, end_offsets([place], kafka)[place], None))
    finally:
        consumer.close()


def read_letter(value: bytes | None) -> DeadLetter | None:
    """The dead letter in a record, its key and original readable; None where the record is none."""
    letter = _LETTERS.read(value)
    try:
        for text in () if letter is None else (letter.key, letter.original):
            base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        return None
    return letter


def redrive_dead_letters(feed: Feed, kafka: KafkaSettings) -> Redriven:
    """Sends each original since the last redrive as a new record on the log that it came from, events or labels.

    The redrive's position is that of a consumer group of its own.

    The position moves on only after the record was acknowledged; a crash between the two sends it again, which the fold
    tells as a duplicate.
    """
    topic = topic_name(feed, "dead-letters")
    state = describe_topics([topic], kafka).get(topic)
    letters, originals = _consumer(kafka, f"streamgauge-redrive-{feed.name}"), _consumer(kafka, None)
    producer = KafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=False, max_in_flight_requests_per_connection=1)
    sent = late = gone = 0
    try:
        for partition in range(state.partitions if state else 0):
            place = TopicPartition(topic, partition)
            position = letters.committed(place)
            for offset, letter in _letters(letters, place, end_offsets([place], kafka)[place], position):
                if letter.reason in ("late", "label_too_late"):
                    late += 1
                elif (original := _original(originals, letter, kafka)) is None:
                    gone += 1
                else:
                    mark = f"{letter.topic}/{letter.partition}/{letter.offset}".encode()
                    key = None if letter.key is None else base64.b64decode(letter.key)
                    # labels of one event must meet in one partition, wherever their sender's partitioner put them
                    to = (letter.topic, letter.partition) if letter.topic == topic_name(feed, "labels") else (events_topic(feed), None)
                    producer.send(to[0], partition=to[1], key=key, value=original, headers=[(REDRIVEN_HEADER, mark)]).get()
                    sent += 1
                letters.commit({place: OffsetAndMetadata(offset + 1, "", -1)})
        return Redriven(sent, late, gone)
    finally:
        producer.close()
        letters.close()
        originals.close()


def _consumer(kafka: KafkaSettings, group: str | None) -> KafkaConsumer:
    return KafkaConsumer(
        **kafka.client_options(), group_id=group, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
    )


def _letters(consumer: KafkaConsumer, place: TopicPartition, end: int, start: int | None) -> Iterator[tuple[int, DeadLetter]]:
    consumer.assign([place])
    if start is None:
        consumer.seek_to_beginning(place)
    else:
        consumer.seek(place, start)
    seen: set[str] = set()
    while consumer.position(place) < end:
        for record in consumer.poll(200).get(place, []):
            letter = read_letter(record.value)
            if letter is not None and letter.id not in seen and record.offset < end:
                seen.add(letter.id)
                yield record.offset, letter


def _original(consumer: KafkaConsumer, letter: DeadLetter, kafka: KafkaSettings) -> bytes | None:
    """The whole original, by its offset; from the letter where that holds all of it."""
    if letter.original is not None and not letter.truncated:
        return base64.b64decode(letter.original)
    place = TopicPartition(letter.topic, letter.partition)
    consumer.assign([place])
    consumer.seek(place, letter.offset)
    records = consumer.poll(int(ORIGINAL_SECONDS * 1000), max_records=1).get(place, [])
    if records and records[0].offset == letter.offset and hashlib.sha256(records[0].value or b"").hexdigest() == letter.sha256:
        return records[0].value
    return None
