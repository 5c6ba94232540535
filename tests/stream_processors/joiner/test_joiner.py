"""What labels end as: one test a rule, then random interleavings against an oracle that knows all scores from the start."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.durations import DAY
from contracts.outcomes import LABEL_HORIZON
from stream_processors.archive.score_decoding import ScoreRecord
from stream_processors.joiner.labels import ScoreName
from stream_processors.joiner.told import EventName
from tests.stream_processors.joiner.joining import MINUTE, SECOND, START, STATES, Bench, oracle, score, score_id

A = [score("pump-a", START + i * SECOND, i) for i in range(100)]


def test_a_label_by_score_takes_that_scores_vector_and_predictions():
    """The example holds the vector and the predictions of the score that the label names, whatever came since."""
    bench = Bench()
    bench.hear(*A)
    bench.tell({"score": score_id(17), "value": 4.5})
    (example,) = bench.examples
    assert example == {
        "kind": "example",
        "id": "joined/1/labels-0/0/example/0",
        "score": score_id(17),
        "entity": "pump-a",
        "event_time": START + 17 * SECOND,
        "value": [4.5],
        "predictions": {"v1": [17.0]},
        "vector": "AQAAAAAAAAA=",
    }
    assert bench.counts() == {"joined": 1, "duplicate": 0, "correction": 0, "too_late": 0, "unmatched": 0, "waiting": 0}


@pytest.mark.parametrize("form", ["iso", "epoch"])
def test_a_label_by_entity_and_time_takes_the_first_reading_of_that_time(form):
    """Times are read as those of events are; of two readings at one time the one that was folded first is meant."""
    bench = Bench()
    bench.hear(score("pump-a", START, 0), score("pump-a", START, 1), score("pump-b", START, 2))
    bench.tell({"entity": "pump-a", "event_time": "2026-01-01T00:00:00Z" if form == "iso" else START, "value": 1})
    assert bench.pairs() == [(0, score_id(0), 1.0, None)]


def test_an_interval_is_closed_on_the_left_and_open_on_the_right():
    """Every reading of the entity at start ≤ t < until gets an example, in the order of time; the label counts once."""
    bench = Bench()
    bench.hear(*A, score("pump-b", START + 12 * SECOND, 200))
    bench.tell({"entity": "pump-a", "event_time": START + 10 * SECOND, "until": START + 15 * SECOND, "value": 2})
    assert [pair[1] for pair in bench.pairs()] == [score_id(i) for i in range(10, 15)]
    assert [e["id"] for e in bench.examples] == [f"joined/1/labels-0/0/example/{n}" for n in range(5)]
    assert bench.counts()["joined"] == 1


def test_an_interval_waits_until_no_reading_of_it_can_come():
    """Readings up to the lateness behind the entity's newest are still folded, so an interval is open until they would be late."""
    bench = Bench()
    bench.hear(*A[:20])
    bench.tell({"entity": "pump-a", "event_time": START + 10 * SECOND, "until": START + 15 * SECOND, "value": 2})
    bench.hear(*A[20:44])
    assert not bench.examples
    bench.hear(score("pump-a", START + 12 * SECOND, 44), score("pump-a", START + 45 * SECOND, 45))
    assert [pair[1] for pair in bench.pairs()] == [score_id(i) for i in (10, 11, 12, 44, 13, 14)]


def test_a_long_interval_is_joined_in_portions():
    """Where an interval has more events than are joined at once, all get their example, once, also over a restart in between."""
    bench = Bench()
    bench.hear(*A)
    values = {"entity": "pump-a", "event_time": START, "until": START + 50 * SECOND, "value": 2}
    bench.tell()
    bench.fold.now = bench.now
    bench.settle = lambda limit=7: None
    bench.tell(values)
    for _ in range(3):
        bench.keep(bench.fold.settle(bench.fold.plan(7), bench.scores))
    assert len(bench.examples) == 21
    bench.restart()
    del bench.settle
    bench.settle(7)
    assert [pair[1] for pair in bench.pairs()] == [score_id(i) for i in range(50)]
    assert [e["id"].split("/")[-1] for e in bench.examples] == [str(n) for n in range(50)]
    assert bench.counts()["joined"] == 1


def test_the_same_value_again_is_a_duplicate_and_another_a_correction():
    """A correction has an example of its own that names the value before; a duplicate has none."""
    bench = Bench()
    bench.hear(*A)
    bench.tell({"score": score_id(3), "value": 1.0}, {"entity": "pump-a", "event_time": START + 3 * SECOND, "value": 1})
    bench.tell({"score": score_id(3), "value": 2.0}, {"score": score_id(3), "value": 2.0}, {"score": score_id(3), "value": 1.0})
    assert bench.pairs() == [(0, score_id(3), 1.0, None), (2, score_id(3), 2.0, 1.0), (4, score_id(3), 1.0, 2.0)]
    assert bench.counts() == {"joined": 1, "duplicate": 2, "correction": 2, "too_late": 0, "unmatched": 0, "waiting": 0}


def test_a_label_that_comes_first_waits_for_its_event():
    """By score and by time; both end when the event has its score."""
    bench = Bench()
    bench.tell({"score": score_id(3), "value": 1.0}, {"entity": "pump-a", "event_time": START + 4 * SECOND, "value": 2})
    assert bench.counts()["waiting"] == 2
    bench.hear(*A[:4])
    assert bench.counts()["waiting"] == 1
    bench.restart()
    bench.hear(*A[4:5])
    assert bench.pairs() == [(0, score_id(3), 1.0, None), (1, score_id(4), 2.0, None)]


def test_a_label_without_event_is_unmatched_once_the_event_would_be_late():
    """The entity's newest reading is later by more than the lateness, so none can come; the original is in the dead letter."""
    bench = Bench()
    label = {"entity": "pump-a", "event_time": START + 500_000, "value": 2}
    bench.hear(*A[:31])
    bench.tell(label, {"score": score_id(40), "value": 1})
    assert bench.counts()["waiting"] == 2
    bench.hear(*A[31:32])
    assert bench.reasons() == {0: "label_unmatched"}
    assert (bench.letters[0]["id"], bench.letters[0]["topic"]) == ("joined/1/labels-0/0/dead-letter/0", "joined.labels")
    bench.hear(score("pump-b", START, 41))
    assert bench.reasons() == {0: "label_unmatched", 1: "label_unmatched"}, "its partition has passed the offset without a score"
    assert bench.balanced()


def test_nothing_waits_for_ever():
    """An unknown entity, a silent one and an id that never comes are given up a day later: of the partitions' clocks, or the wall's."""
    bench = Bench()
    bench.hear(*A[:5], score("pump-b", START, 0, 1))
    labels = [{"entity": "nobody", "event_time": START, "value": 1}, {"entity": "pump-a", "event_time": START + MINUTE, "value": 1}]
    bench.tell(*labels, {"score": score_id(10**9), "value": 1}, {"entity": "nobody", "event_time": START, "until": START + 1, "value": 1})
    bench.hear(score("pump-c", START + DAY + 2 * MINUTE, 5))
    assert bench.counts()["waiting"] == 4, "the other partition's clock has not passed"
    bench.hear(score("pump-c", START + DAY + 2 * MINUTE, 1, 1))
    assert bench.counts()["waiting"] == 4, "a replay at a thousandfold speed passes days in seconds"
    bench.now += MINUTE
    bench.settle()
    assert bench.reasons() == dict.fromkeys([0, 1, 3], "label_unmatched")
    bench.restart()
    bench.now += DAY
    bench.settle()
    assert bench.reasons()[2] == "label_unmatched"
    assert bench.balanced()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"value": 1}',
        b'{"value": 1, "entity": "pump-a"}',
        b'{"value": 1, "event_time": 1767225600}',
        b'{"value": 1, "entity": "", "event_time": 1767225600}',
        b'{"value": 1, "entity": "pump-a", "event_time": "soon"}',
        b'{"value": 1, "entity": "pump-a", "event_time": 1767225600, "until": 1767225600}',
        b'{"value": 1, "score": "joined/1/0/3"}',
        b'{"value": 1, "score": "other/1/0/3/score/0"}',
        b'{"value": 1, "score": "joined/1/0/3/evidence/0"}',
        b'{"value": 1, "score": "joined/1/-1/3/score/0"}',
        b'{"value": "1", "score": "joined/1/0/3/score/0"}',
        b'{"value": 1e999, "score": "joined/1/0/3/score/0"}',
        b'{"value": true, "score": "joined/1/0/3/score/0"}',
        b'{"entity": "pump-a", "event_time": 1767225600}',
    ],
)
def test_what_cannot_be_read_is_a_dead_letter_at_once(value):
    """Counted as unmatched, with the reason that says so."""
    bench = Bench()
    bench.hear(*A)
    bench.tell(value)
    assert bench.reasons() == {0: "label_unreadable"}
    assert bench.counts() == {"joined": 0, "duplicate": 0, "correction": 0, "too_late": 0, "unmatched": 1, "waiting": 0}


def test_classes_are_told_by_name():
    """An example has 1 at the class and 0 elsewhere; another name does not fit the target."""
    bench = Bench(STATES)
    bench.hear(*A)
    bench.tell({"score": score_id(1), "value": "bad"}, {"score": score_id(1), "value": "good"}, {"score": score_id(1), "value": "worse"})
    bench.tell({"score": score_id(1), "value": 1})
    assert [(e["value"], e.get("previous")) for e in bench.examples] == [([0.0, 1.0], None), ([1.0, 0.0], [0.0, 1.0])]
    assert bench.reasons() == {2: "label_unreadable", 3: "label_unreadable"}


HOURS = {"entity": "pump-a", "event_time": START, "until": START + 8 * 60 * MINUTE}
REMARKS = [
    {"incident": "x", "verdict": "confirm", "by": "ana"},
    {"incident": "x", "verdict": "dismiss", "tags": ["rain"]},
    {"incident": "x", "tags": ["rain"]},
    {"entity": "pump-a", "event_time": START, "tags": ["rain"]},
    {"score": score_id(1), "tags": ["rain"]},
    HOURS | {"tags": ["rain"]},
    HOURS | {"verdict": "fine"},
    HOURS | {"verdict": "missed", "note": "bearing"},
]


def test_tags_and_verdicts_are_handed_on():
    """They are no truth: each is counted apart and put on the remarks as it stands, and nothing waits for it."""
    bench = Bench()
    bench.tell(*REMARKS)
    assert bench.fold.counters()["remarks"] == len(REMARKS)
    assert bench.balanced()
    assert [remark["label"] for remark in bench.remarks] == REMARKS
    assert [remark["id"] for remark in bench.remarks] == [f"joined/1/labels-0/{i}/remark/0" for i in range(len(REMARKS))]
    assert {remark["when"] for remark in bench.remarks} == {bench.now}


@pytest.mark.parametrize(
    "value",
    [
        {"verdict": "confirm"},
        {"entity": "pump-a", "event_time": START, "verdict": "dismiss"},
        {"incident": "x", "verdict": "fine"},
        {"entity": "pump-a", "event_time": START, "verdict": "missed"},
        HOURS | {"verdict": "perhaps"},
        HOURS | {"until": START, "verdict": "fine"},
        {"tags": ["rain"]},
        {"score": "no id", "tags": ["rain"]},
        {"incident": "x"},
    ],
)
def test_a_remark_about_nothing_is_a_dead_letter(value):
    """A verdict without an incident or a span, a tag without anything to be on."""
    bench = Bench()
    bench.tell(value)
    assert bench.reasons() == {0: "label_unreadable"}
    assert bench.remarks == []
    assert bench.balanced()


def test_a_remark_that_stands_there_is_not_repeated():
    """A successor that starts before labels whose remarks are published hands on the others only, and says when it has passed them."""
    first, second = Bench(), Bench()
    first.tell(*REMARKS)
    second.fold.recall([], [], [msgspec.json.encode(remark) for remark in first.remarks[:5]] + [b"no remark"], 2)
    second.offset = 2
    assert second.fold.recorded
    second.tell(*REMARKS[2:])
    assert second.remarks == first.remarks[5:]
    assert not second.fold.recorded


def test_labels_beyond_the_horizon_are_too_late():
    """90 days behind the newest reading; by score, by time and by interval; one that reaches into the horizon is not."""
    bench = Bench()
    old, new = START, START + LABEL_HORIZON + MINUTE
    bench.hear(score("pump-a", old, 0), score("pump-a", old + 5 * MINUTE, 1), score("pump-a", new, 2))
    bench.tell({"score": score_id(0), "value": 1}, {"entity": "pump-a", "event_time": old, "value": 1})
    bench.tell({"entity": "pump-a", "event_time": old, "until": old + 1, "value": 1})
    bench.tell({"entity": "pump-a", "event_time": old + 5 * MINUTE, "value": 1})
    assert bench.reasons() == dict.fromkeys(range(3), "label_too_late")
    assert bench.pairs() == [(3, score_id(1), 1.0, None)]


def test_what_is_no_longer_remembered_is_too_late_and_not_unmatched():
    """The index keeps so many scores a partition; labels for older ones say too late, by id and by time, of entities known or not."""
    bench = Bench(capacity=8)
    bench.hear(score("gone", START, 0), *[score("pump-a", START + i * SECOND, i) for i in range(1, 60)])
    bench.tell({"score": score_id(3), "value": 1}, {"entity": "pump-a", "event_time": START + 3 * SECOND, "value": 1})
    bench.tell({"entity": "gone", "event_time": START, "value": 1}, {"score": score_id(59), "value": 1})
    bench.tell({"entity": "pump-a", "event_time": START + 59 * SECOND, "value": 1})
    assert bench.reasons() == dict.fromkeys(range(3), "label_too_late")
    assert bench.pairs() == [(3, score_id(59), 1.0, None)]
    assert bench.counts()["duplicate"] == 1


def test_a_reading_folded_again_is_one_event():
    """A later generation scores the same readings again; their labels go to the first score, and count once."""
    bench = Bench()
    again = [score("pump-a", START + i * SECOND, i, generation=2, position=100 + i) for i in range(100)]
    bench.hear(*A, *again)
    bench.tell({"score": score_id(3, generation=2), "value": 1}, {"score": score_id(3), "value": 1})
    bench.tell({"entity": "pump-a", "event_time": START + 2 * SECOND, "until": START + 5 * SECOND, "value": 1})
    assert [pair[:2] for pair in bench.pairs()] == [(0, score_id(3)), (2, score_id(2)), (2, score_id(4))]


def test_a_score_that_kafka_no_longer_has_makes_its_label_too_late():
    """The index still names it, but its record is gone: nothing is made up in its place."""
    bench = Bench()
    bench.hear(*A)
    del bench.scores[0, 3]
    bench.tell({"score": score_id(3), "value": 1})
    assert bench.reasons() == {0: "label_too_late"}


# random streams -----------------------------------------------------------------------------------------------------------


def stream(seed: int, apart: bool = True) -> tuple[list[ScoreRecord], list[dict[str, object]]]:
    """Scores of two partitions, a tenth out of order; labels of all kinds, some repeated, corrected, early or of nothing.

    `apart`: intervals have entities of their own and overlap only where they are repeated; else which of two labels ends
    first depends on when an interval closes.
    """
    draw = random.Random(seed)
    scores: list[ScoreRecord] = []
    for partition in range(2):
        offset = 0
        for i in range(40):
            for entity in (f"point-{partition}", f"span-{partition}"):
                late = draw.randrange(20) * SECOND if draw.random() < 0.1 else 0
                offset += draw.choice([1, 1, 1, 2])
                scores.append(score(entity, START + i * SECOND - late, offset, partition))
        for entity in (f"point-{partition}", f"span-{partition}"):
            offset += 1
            scores.append(score(entity, START + 10 * MINUTE, offset, partition))
    points = [s for s in scores if s.score.entity.startswith("point")]
    labels: list[dict[str, object]] = []
    for _ in range(60):
        what, chosen = draw.random(), draw.choice(points)
        value = draw.randrange(3)
        if what < 0.35:
            labels.append({"score": chosen.score.id, "value": value})
        elif what < 0.7:
            labels.append({"entity": chosen.score.entity, "event_time": chosen.score.event_time, "value": value})
        elif what < 0.9:
            start, until = (
                START + edge * SECOND for edge in draw.choice([(0, 10), (10, 25), (25, 40), (45, 50)] + [(5, 30)] * (not apart))
            )
            name = "span" if apart else draw.choice(["span", "point"])
            labels.append({"entity": f"{name}-{draw.randrange(2)}", "event_time": start, "until": until, "value": value})
        else:
            labels.append({"entity": chosen.score.entity, "event_time": START + draw.randrange(10**6, 10**7) * 3 + 1, "value": value})
    return scores, labels


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
