"""What labels end as: one test a rule."""

from __future__ import annotations

import pytest

from contracts.durations import DAY
from contracts.outcomes import LABEL_HORIZON
from tests.stream_processors.joiner.joining import MINUTE, SECOND, START, STATES, Bench, score, score_id

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
