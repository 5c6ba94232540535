"""What a record of `<feed>.labels` says: a truth that a model learns from, a remark of a person, or nothing readable."""

from __future__ import annotations

import math
from typing import NamedTuple

from contracts.definition import Classification, Feed
from contracts.event_time import parse_event_time
from contracts.ids import parse_id
from contracts.outcomes import MAX_ENTITY_BYTES, MAX_VALUE_BYTES
from contracts.record_reader import RecordReader
from contracts.records import Label

_LABELS = RecordReader[Label](Label)


class ScoreName(NamedTuple):
    """Which score an id names."""

    generation: int
    partition: int  # of events
    offset: int  # of the event


class Truth(NamedTuple):
    """A value and the events that it is true of: that of a score, that of an entity and time, or those of an interval."""

    value: float  # the number, or the place of the class in the definition
    score: ScoreName | None = None
    entity: str = ""
    start: int = -1  # event time, µs
    until: int | None = None  # end of an interval, itself not in it


def read_label(feed: Feed, value: bytes | None) -> Truth | Label | None:
    """A truth, or the label itself where that is a remark: a tag or a verdict.

    None where it cannot be read: no such JSON, nothing named that it could be about, or a value that does not fit the target.
    """
    if value is None or len(value) > MAX_VALUE_BYTES:
        return None
    label = _LABELS.read(value)
    if label is None:
        return None
    if label.value is None:
        return label if _is_remark(feed, label) else None
    number = told_value(feed, label.value)
    if number is None:
        return None
    if label.score is not None:
        name = _score_name(feed, label.score)
        return None if name is None else Truth(number, name)
    return _by_time(feed, label, number)


def times_of(feed: Feed, label: Label) -> tuple[int, int] | None:
    """[start, end) in µs of the events that a label names by entity and time; None where it names none that can be read."""
    start = parse_event_time(label.event_time, feed.time_unit)
    if not label.entity or len(label.entity.encode()) > MAX_ENTITY_BYTES or start is None:
        return None
    if label.until is None:
        return start, start + 1
    until = parse_event_time(label.until, feed.time_unit)
    return None if until is None or until <= start else (start, until)


def told_value(feed: Feed, value: float | str) -> float | None:
    """The number that stands for a truth: itself, or the place of its class; None where it does not fit the target."""
    if isinstance(feed.target, Classification):
        return float(list(feed.target.classes).index(value)) if isinstance(value, str) and value in feed.target.classes else None
    if feed.target is None or isinstance(value, str):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def value_numbers(feed: Feed, value: float) -> list[float]:
    """A truth as examples carry it: the number, or 1 at its class and 0 elsewhere."""
    if isinstance(feed.target, Classification):
        return [float(at == value) for at in range(feed.outputs)]
    return [value]


def is_told(feed: Feed, numbers: list[float]) -> bool:
    """Whether numbers are a truth as `value_numbers` gives it."""
    return len(numbers) == feed.outputs and (not isinstance(feed.target, Classification) or 1.0 in numbers)


def value_of_numbers(feed: Feed, numbers: list[float]) -> float:
    """The reverse of `value_numbers`."""
    return float(numbers.index(1.0)) if isinstance(feed.target, Classification) else numbers[0]


def score_name(text: str) -> ScoreName | None:
    """The parts of a score's id; None where the text is none."""
    try:
        name = parse_id(text)
        return ScoreName(name.generation, int(name.partition), name.offset) if name.kind == "score" else None
    except ValueError:
        return None


def _score_name(feed: Feed, text: str) -> ScoreName | None:
    name = score_name(text) if text.startswith(f"{feed.name}/") else None
    return name if name and all(0 <= part < 2**62 for part in name) else None


def _by_time(feed: Feed, label: Label, number: float) -> Truth | None:
    times = times_of(feed, label)
    if times is None or label.entity is None:
        return None
    return Truth(number, None, label.entity, times[0], None if label.until is None else times[1])


def _is_remark(feed: Feed, label: Label) -> bool:
    if label.verdict in ("confirm", "dismiss"):
        return bool(label.incident)
    if label.verdict is not None:
        return label.until is not None and times_of(feed, label) is not None
    if label.score is not None:
        return bool(label.tags) and _score_name(feed, label.score) is not None
    return bool(label.tags) and (bool(label.incident) or times_of(feed, label) is not None)
