"""Scores and labels of a small feed in plain Python, a joiner driven by hand, and an oracle that knows everything from the start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from contracts.definition import Classification, Regression
from contracts.durations import SECOND
from contracts.records import Score
from stream_processors.archive.score_decoding import ScoreRecord
from stream_processors.decoding.batches import raw_batch
from stream_processors.joiner.joiner_fold import JoinerFold
from stream_processors.joiner.score_heads import head_of
from stream_processors.joiner.score_index import ScoreIndex
from stream_processors.log_fold import Outputs
from tests.stream_processors.stream_fold.streams import START, small_feed

FEED = small_feed("joined", target=Regression("power", unit="kW"), lateness="30s", partitions=2)
STATES = small_feed("joined", target=Classification("state", ["good", "bad"]), lateness="30s", partitions=2)
MINUTE = 60 * SECOND


def score(
    entity: str, time: int, offset: int, partition: int = 0, generation: int = 1, position: int | None = None, feed: Any = FEED
) -> ScoreRecord:
    """A score of an event; its vector says which one it is."""
    name = f"{feed.name}/{generation}/{partition}/{offset}/score/0"
    found = Score(id=name, entity=entity, event_time=time, score=None, p_value=None, model="m/1", predictions={"v1": [float(offset)]})
    return ScoreRecord(
        generation, partition, offset, found, bytes([generation, partition]) + bytes(6), offset if position is None else position
    )


def score_id(offset: int, partition: int = 0, generation: int = 1, feed: Any = FEED) -> str:
    return f"{feed.name}/{generation}/{partition}/{offset}/score/0"


class Bench:
    """One joiner, its index, all scores that were handed over, and what came of it."""

    def __init__(self, feed: Any = FEED, capacity: int = 1 << 19) -> None:
        self.feed = feed
        self.index = ScoreIndex(capacity)
        self.scores: dict[tuple[int, int], ScoreRecord] = {}
        self.examples: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []
        self.remarks: list[dict[str, Any]] = []
        self.stored: dict[str, bytes] = {}
        self.offset = 0
        self.now = START
        self.fold = self.new_fold()

    def new_fold(self) -> JoinerFold:
        fold = JoinerFold(self.feed, 0, 1)
        fold.join_with(self.index)
        return fold

    def hear(self, *scores: ScoreRecord) -> None:
        """The index takes scores; the joiner looks at what waits for them."""
        self.scores |= {(s.partition, s.position): s for s in scores}
        self.fold.joiner.heard(self.index.take(map(head_of, scores)))
        self.settle()

    def tell(self, *labels: dict[str, Any] | bytes) -> None:
        """Labels are read, as one batch."""
        values = [label if isinstance(label, bytes) else json.dumps(label).encode() for label in labels]
        offsets = list(range(self.offset, self.offset + len(labels)))
        self.offset += len(labels)
        self.fold.now = self.now
        self.keep(self.fold.fold(raw_batch(offsets, [self.now] * len(labels), [b"key"] * len(labels), values)))
        self.settle()

    def settle(self, limit: int = 1_000) -> None:
        self.fold.now = self.now
        while steps := self.fold.plan(limit):
            self.keep(self.fold.settle(steps, self.scores))

    def keep(self, outputs: Outputs) -> None:
        self.examples += [json.loads(item.value) for item in outputs.records.get("examples", ())]
        self.letters += [json.loads(item.value) for item in outputs.records.get("dead-letters", ())]
        self.remarks += [json.loads(item.value) for item in outputs.records.get("remarks", ())]

    def restart(self) -> None:
        """A checkpoint of what changed is put over the one before, and a new fold goes on from it."""
        self.stored |= self.fold.changed_chunks()
        self.fold = self.new_fold()
        self.fold.restore(self.stored)

    def pairs(self) -> list[tuple[int, str, float, float | None]]:
        """(label, score, value, previous value) of each example."""
        return [(int(e["id"].split("/")[3]), e["score"], e["value"][0], (e.get("previous") or [None])[0]) for e in self.examples]

    def reasons(self) -> dict[int, str]:
        return {letter["offset"]: letter["reason"] for letter in self.letters}

    def counts(self) -> dict[str, int]:
        found = self.fold.counters()
        return {name: found[name] for name in ("joined", "duplicate", "correction", "too_late", "unmatched", "waiting")}

    def balanced(self) -> bool:
        return sum(self.counts().values()) + self.fold.counters()["remarks"] == self.offset


class Expected(NamedTuple):
    """What the oracle says."""

    pairs: set[tuple[int, str, float]]
    outcomes: dict[int, str]


def oracle(scores: Sequence[ScoreRecord], labels: Iterable[dict[str, Any]]) -> Expected:
    """Every label against all scores at once, by looking at each: no index, no waiting, no bounds. Labels by order of offset."""
    first: dict[tuple[int, int], ScoreRecord] = {}
    for record in scores:
        first.setdefault((record.partition, record.offset), record)
    told: dict[str, float] = {}
    pairs, outcomes = set(), {}
    for offset, label in enumerate(labels):
        if "score" in label:
            matched = [s for s in first.values() if s.score.id == label["score"]]
        else:
            until = label.get("until", label["event_time"] + 1)
            matched = [s for s in first.values() if s.score.entity == label["entity"] and label["event_time"] <= s.score.event_time < until]
            if "until" not in label:
                matched = sorted(matched, key=lambda s: (s.partition, s.offset))[:1]
        ends = set()
        for record in matched:
            before = told.get(record.score.id)
            if before == label["value"]:
                ends.add("duplicate")
                continue
            ends.add("joined" if before is None else "correction")
            told[record.score.id] = label["value"]
            pairs.add((offset, record.score.id, float(label["value"])))
        outcomes[offset] = next((name for name in ("joined", "correction", "duplicate") if name in ends), "unmatched")
    return Expected(pairs, outcomes)


__all__ = ["FEED", "MINUTE", "SECOND", "START", "STATES", "Bench", "oracle", "score", "score_id"]
