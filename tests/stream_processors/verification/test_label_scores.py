"""Which readings a truth names, and which of them the joiner must have known when it closed an interval."""

from __future__ import annotations

from contracts.durations import DAY
from stream_processors.archive.score_decoding import ScoreRecord
from stream_processors.joiner.labels import ScoreName, Truth
from stream_processors.joiner.score_heads import head_of
from stream_processors.joiner.told import EventName
from stream_processors.verification.label_scores import LabelScores
from tests.stream_processors.joiner.joining import FEED, MINUTE, SECOND, START, score

INTERVAL = Truth(1.0, None, "pump", START, START + MINUTE)


def heard(truths: list[Truth], *readings: tuple[str, int, int, int], late_by: int = 0) -> LabelScores:
    """Scores of (entity, seconds after the start, offset, partition), published a second each after their event and `late_by`."""
    scores = LabelScores(truths, [], FEED.lateness_us)
    for entity, at, offset, partition in readings:
        time = START + at * SECOND
        take(scores, score(entity, time, offset, partition), time + SECOND + late_by)
    scores.finish()
    return scores


def take(scores: LabelScores, record: ScoreRecord, kafka_time: int) -> None:
    if scores.hear(head_of(record), kafka_time):
        scores.keep(record)


def offsets(scores: LabelScores, truth: Truth) -> list[int]:
    return [event.name.offset for event in scores.named(truth)]


def test_a_truth_names_its_readings_in_the_order_of_time() -> None:
    """By score, by entity and time, and by interval, whose end is not in it; a reading that was folded again is named once."""
    truths = [INTERVAL, Truth(1.0, None, "pump", START + 70 * SECOND), Truth(1.0, ScoreName(1, 0, 4))]
    readings = [("pump", 30, 0, 0), ("pump", 10, 1, 0), ("other", 20, 2, 0), ("pump", 60, 3, 0), ("other", 65, 4, 0), ("pump", 70, 5, 0)]
    scores = heard(truths, *readings)
    assert [offsets(scores, truth) for truth in truths] == [[1, 0], [5], [4]]
    assert len(scores.records) == 4, "the rest is passed over"
    again = score("pump", START + 30 * SECOND, 0, generation=2, position=99)
    take(scores, again, 0)
    assert scores.records[scores.named(INTERVAL)[1]].generation == 1


def known(scores: LabelScores, told_at: int = START, truth: Truth = INTERVAL) -> list[bool]:
    return [scores.must_be_known(truth, told_at, event) for event in scores.named(truth)]


def test_what_stands_before_the_closing_reading_must_be_known() -> None:
    """A reading more than the lateness behind the interval's end closes it; without one, nothing is said of what was known."""
    assert known(heard([INTERVAL], ("pump", 5, 0, 0), ("pump", 50, 1, 0), ("pump", 89, 2, 0))) == [False, False]
    assert known(heard([INTERVAL], ("pump", 5, 0, 0), ("pump", 50, 1, 0), ("pump", 91, 2, 0))) == [True, True]
    assert known(heard([INTERVAL], ("pump", 5, 0, 0), ("pump", 91, 1, 0), ("pump", 55, 2, 0))) == [True, False]


def test_a_label_that_may_have_been_given_up_is_not_held_to_what_came_later() -> None:
    """A day after it was read, or a minute where all partitions are a day ahead; and where the entity has moved."""
    readings = [("pump", 5, 0, 0), ("pump", 91, 1, 0)]
    assert known(heard([INTERVAL], *readings, late_by=DAY), START) == [False]
    assert known(heard([INTERVAL], *readings, late_by=2 * MINUTE), START) == [True]
    ahead = [*readings, ("other", 90_000, 2, 0)]
    assert known(heard([INTERVAL], *ahead, late_by=2 * MINUTE), START) == [False]
    assert known(heard([INTERVAL], *ahead), START + 80 * SECOND) == [True]
    assert known(heard([INTERVAL], *readings, ("pump", 200, 0, 1))) == [False]
    assert heard([INTERVAL], *readings).records.keys() == {(EventName(0, 0), START + 5 * SECOND)}
