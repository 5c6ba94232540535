"""Reads `<feed>.examples` up to its present end, archive and log as one."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.definition import Feed
from contracts.record_reader import RecordReader
from contracts.records import Arrival, Decision, Example
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from stream_processors.topics import describe_topics
from stream_processors.trainer.logs import FeedLogs

_RECORDS = RecordReader[Example | Arrival | Decision](Example | Arrival | Decision)


def read_examples(feed: Feed, kafka: KafkaSettings, history: str | None = None) -> Iterator[tuple[int, Example]]:
    """(offset, example) in the order of the log; repeats and other records are passed over, and there is none without the topic.

    Args:
        history: URL where the archiver writes; None: what Kafka holds.

    Raises:
        ServerUnavailable: the broker did not answer.
        HistoryError: the history cannot be read.
    """
    topic = topic_name(feed, "examples")
    if topic not in describe_topics([topic], kafka):
        return
    logs = FeedLogs(feed, kafka, history)
    seen: set[str] = set()
    for record in logs.read("examples", *logs.bounds("examples")):
        example = _RECORDS.read(record.value)
        if isinstance(example, Example) and example.id not in seen:
            seen.add(example.id)
            yield record.offset, example
