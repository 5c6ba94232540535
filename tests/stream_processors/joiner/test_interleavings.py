"""Random interleavings of scores and labels against an oracle that knows all scores from the start."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_processors.archive.score_decoding import ScoreRecord
from tests.stream_processors.joiner.joining import Bench, oracle
from tests.stream_processors.joiner.label_streams import stream


def interleaved(bench: Bench, scores: list[ScoreRecord], labels: list[dict[str, object]], seed: int, restarts: bool = False) -> None:
    """Hands over both in a random order that keeps that of each log, in random portions."""
    draw = random.Random(seed)
    queues = [[s for s in scores if s.partition == p] for p in range(2)]
    rest = list(labels)
    while rest or any(queues):
        which = draw.randrange(3)
        n = draw.randrange(1, 12)
        if which == 2:
            bench.tell(*rest[:n])
            del rest[:n]
        else:
            bench.hear(*queues[which][:n])
            del queues[which][:n]
        if restarts and draw.random() < 0.2:
            bench.restart()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_any_interleaving_gives_the_oracles_examples(seed: int, order: int, restarts: bool) -> None:
    """Whatever comes first, and wherever the joiner is restarted: the same pairs of label and score, the same counts."""
    scores, labels = stream(seed)
    bench = Bench()
    interleaved(bench, scores, labels, order, restarts)
    expected = oracle(scores, labels)
    assert {pair[:3] for pair in bench.pairs()} == expected.pairs
    assert len(bench.pairs()) == len(expected.pairs)
    counts = bench.counts()
    assert counts == {name: list(expected.outcomes.values()).count(name) for name in counts}
    assert bench.balanced()


def test_how_labels_are_cut_into_batches_changes_nothing():
    """With the scores known, the same labels give the same examples, dead letters and state in one batch and one by one."""
    scores, labels = stream(5)
    one, many = Bench(), Bench()
    for bench in (one, many):
        bench.hear(*scores)
    one.tell(*labels)
    for label in labels:
        many.tell(label)
    assert sorted(one.pairs()) == sorted(many.pairs())
    assert one.reasons() == many.reasons()
    assert (one.fold.counters(), one.fold.all_chunks()) == (many.fold.counters(), many.fold.all_chunks())
