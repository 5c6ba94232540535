"""Examples and retrain requests on a real broker."""

from __future__ import annotations

import base64
from collections import Counter

import msgspec
from kafka import KafkaProducer

from contracts.definition import Feed
from contracts.ids import RecordId
from contracts.records import Answer, Arrival, DatasetPin, Decision, Example, RetrainRequest, Rollout, Snapshot
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from stream_processors.trainer.logs import FeedLogs
from tests.training.examples import examples_of

ModelRecord = Snapshot | Rollout | Answer
MINUTE = 60_000_000


def put_examples(feed: Feed, kafka: KafkaSettings, n: int, first: int = 0) -> None:
    """Examples first ≤ i < n, one a second, each of its own score."""
    known = examples_of(feed, n)
    producer = KafkaProducer(**kafka.client_options(), enable_idempotence=False)
    for i in range(first, n):
        example = Example(
            id=str(RecordId(feed.name, 1, "labels-0", i, "example", 0)),
            score=str(RecordId(feed.name, 1, "0", i, "score", 0)),
            entity="line",
            event_time=int(known.event_times[i]),
            value=known.values[i].tolist(),
            vector=base64.b64encode(known.vectors[i].astype("<f8").tobytes()).decode(),
        )
        producer.send(topic_name(feed, "examples"), value=msgspec.json.encode(example), partition=0)
    producer.flush()
    producer.close()


def request(feed: Feed, n: int, event_time: int = 0, changed_from: int | None = None) -> bytes:
    """The n-th request of the feed's judge; `changed_from`: the example from which on another relation holds."""
    pin = DatasetPin(feed=feed.name, definition=feed.hash, generations={"0": 1}, offsets={"0": (0, 300)})
    wanted = RetrainRequest(id=request_id(feed, n), incident="", reason="a test", event_time=event_time, from_offset={}, pin=pin)
    if changed_from is not None:
        wanted.from_offset["examples"] = changed_from
    return msgspec.json.encode(wanted)


def request_id(feed: Feed, n: int) -> str:
    """Its id."""
    return str(RecordId(feed.name, 1, "evidence", n, "retrain", 0))


class Story:
    """All that a trainer has put on the logs of a feed, raw: repeats would show."""

    def __init__(self, logs: FeedLogs) -> None:
        models = [msgspec.json.decode(r.value, type=ModelRecord) for r in logs.read("models", *logs.bounds("models"))]
        examples = [
            msgspec.json.decode(r.value, type=Example | Arrival | Decision) for r in logs.read("examples", *logs.bounds("examples"))
        ]
        self.snapshots = [record for record in models if isinstance(record, Snapshot)]
        self.answers = [record for record in models if isinstance(record, Answer)]
        self.arrivals = [record for record in examples if isinstance(record, Arrival)]
        self.outcomes = [answer.outcome for answer in self.answers]
        self.final = Counter(answer.request for answer in self.answers if answer.outcome != "started")
