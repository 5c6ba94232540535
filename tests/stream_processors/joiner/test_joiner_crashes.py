"""Joiners that die amid publishing, on random scores and labels."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_processors.archive.score_decoding import ScoreRecord
from stream_processors.joiner.labels import ScoreName
from stream_processors.joiner.told import EventName
from tests.stream_processors.joiner.joining import Bench, oracle
from tests.stream_processors.joiner.label_streams import stream


class Topics:
    """What stands on the output topics, and the checkpoint in the store; both outlive a joiner."""

    def __init__(self, scores: list[ScoreRecord], labels: list[dict[str, object]], draw: random.Random) -> None:
        self.examples: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []
        self.draw = draw
        self._scores = [[s for s in scores if s.partition == p] for p in range(2)]
        self._known = [0, 0]  # scores on the topic so far
        self._labels = labels
        self._stored: dict[str, bytes] = {}
        self._at = (0, 0, 0)  # of the checkpoint: next label, ends of examples and of letters

    def life(self, steps: int) -> Bench:
        """A joiner from the checkpoint on, for so many steps, the last of which is published in part. −1: to the end of all."""
        bench = Bench()
        bench.offset, first, first_letter = self._at
        if self._stored:
            bench.fold.restore(self._stored)
        ends = len(self.examples), len(self.letters)
        bench.fold.recall(
            [msgspec.json.encode(e) for e in self.examples[first:]],
            [msgspec.json.encode(e) for e in self.letters[first_letter:]],
            [],
            bench.offset,
        )
        bench.hear(*(s for p in range(2) for s in self._scores[p][: self._known[p]]))
        self._publish(bench, ends)
        while steps and (bench.offset < len(self._labels) or any(self._known[p] < len(self._scores[p]) for p in range(2))):
            self._step(bench)
            steps -= 1
            self._publish(bench, ends, whole=steps != 0)
            if steps and self.draw.random() < 0.2:
                self._stored |= bench.fold.changed_chunks()
                tails = (first, first_letter) if bench.fold.joiner.recorded else (len(self.examples), len(self.letters))
                self._at = (bench.offset, *tails)
        return bench

    def _step(self, bench: Bench) -> None:
        which, n = self.draw.randrange(3), self.draw.randrange(1, 12)
        if which == 2:
            bench.tell(*self._labels[bench.offset : bench.offset + n])
        else:
            bench.hear(*self._scores[which][self._known[which] : self._known[which] + n])
            self._known[which] += n

    def _publish(self, bench: Bench, ends: tuple[int, int], whole: bool = True) -> None:
        for topic, made in ((self.examples, bench.examples), (self.letters, bench.letters)):
            topic += made if whole else made[: self.draw.randrange(len(made) + 1)]
            made.clear()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_crashes_lose_no_label_and_repeat_no_example(seed: int, order: int, apart: bool) -> None:
    """Joiners die amid publishing; each successor begins at a checkpoint, knows more scores than its predecessor did, and reads
    what stands there. Every label is counted once, no pair of label and score stands twice, and the last value on the topic is
    what the joiner believes."""
    scores, labels = stream(seed, apart)
    topics = Topics(scores, labels, random.Random(order))
    for steps in (12, 3, 6, 2, 12):
        topics.life(steps)
    bench = topics.life(-1)
    for records in (topics.examples, topics.letters):
        ids = [record["id"] for record in records]
        assert len(ids) == len(set(ids))
    pairs = [(e["id"].split("/")[3], e["score"]) for e in topics.examples]
    assert len(pairs) == len(set(pairs))
    assert not {pair[0] for pair in pairs} & {str(letter["offset"]) for letter in topics.letters}
    assert bench.offset == len(labels)
    assert bench.balanced()
    assert not bench.fold.joiner.recorded
    assert bench.counts()["waiting"] == 0
    newest = {e["score"]: e["value"][0] for e in topics.examples}
    assert {name: told(bench, name) for name in newest} == newest
    if apart:
        expected = oracle(scores, labels)
        assert {(int(label), name) for label, name in pairs} == {pair[:2] for pair in expected.pairs}


def told(bench: Bench, name: str) -> float | None:
    """What the joiner believes of the event of a score."""
    partition, offset = (int(part) for part in name.split("/")[2:4])
    found = bench.index.by_name(ScoreName(1, partition, offset))
    assert found is not None
    return bench.fold.joiner.told.value(EventName(partition, offset), found.event_time)
