"""The labelled vectors that a model is trained on, in the order of their events."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.errors import StreamgaugeError
from contracts.ids import parse_id
from contracts.records import Example, LeftOut
from feature_store.feature_columns import feature_names
from online_model.losses import loss_of
from training.onset import onset

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

EXAMPLES = "examples"  # in a request's `from_offset`: the change is dated by an offset of the examples, not of a partition of events


class TooLittle(StreamgaugeError):
    """There are not enough examples to train and to judge a model; the message says how many there are."""


class TrainingSet(NamedTuple):
    """n examples in rising order of event time."""

    vectors: F64  # (n, features), as they were served
    values: F64  # (n, outputs): the number, or 1 at its class and 0 elsewhere
    event_times: NDArray[np.int64]  # (n,) µs
    changed_from: int  # row of the first example of the changed data; 0 where no change is known


def training_set(
    feed: Feed, examples: Iterable[tuple[int, Example]], from_offset: dict[str, int], left_out: Sequence[LeftOut] = ()
) -> TrainingSet:
    """The set of (offset, example) in the order of the log.

    A correction replaces what was told before of the same event. Examples whose vector or truth does not fit the definition, or is
    no number, are left out, and so are those in a span of `left_out`. `from_offset` dates a change as a retrain request does:
    partition of the events, or EXAMPLES, to the first offset that it touches. A change of the examples is dated again by the losses
    of what was served, in twice the time since that offset (`onset`): a test suspects long before it is sure, and rows of the old
    relation would spoil what is learnt of the new one.
    """
    dimension = len(feature_names(feed))
    rows: dict[str, _Row] = {}
    spans = _spans(left_out)
    for offset, example in examples:
        if any(first <= example.event_time <= until for key in (None, example.entity) for first, until in spans.get(key, ())):
            continue
        vector = _vector(example.vector)
        if len(vector) == dimension and len(example.value) == feed.outputs and bool(np.all(np.isfinite(example.value))):
            rows[example.score] = _Row(example.event_time, example.score, offset, vector, example)
    ordered = sorted(rows.values(), key=lambda row: row[:2])
    times = np.array([row.time for row in ordered], np.int64)
    changed = [row.time for row in ordered if _is_changed(row.score, row.offset, from_offset)]
    first = int(np.searchsorted(times, min(changed))) if changed else 0
    return TrainingSet(
        np.array([row.vector for row in ordered], np.float64).reshape(len(ordered), dimension),
        np.array([row.example.value for row in ordered], np.float64).reshape(len(ordered), feed.outputs),
        times,
        _dated_by_losses(ordered, first) if EXAMPLES in from_offset else first,
    )


class _Row(NamedTuple):
    time: int
    score: str
    offset: int
    vector: F64
    example: Example


def _dated_by_losses(rows: Sequence[_Row], first: int) -> int:
    start = max(0, 2 * first - len(rows))
    losses = [loss_of(row.example.value, row.example.predictions.get(row.example.version or "")) for row in rows[start:]]
    found = onset(np.array(losses))
    return first if found is None else start + found


def _spans(left_out: Sequence[LeftOut]) -> dict[str | None, list[tuple[int, float]]]:
    """Entity (None: every one) -> spans of event time, both ends in them."""
    found: dict[str | None, list[tuple[int, float]]] = {}
    for span in left_out:
        found.setdefault(span.entity, []).append((span.first_seen, float("inf") if span.until is None else span.until))
    return found


def _vector(text: str) -> F64:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f8")
    except (binascii.Error, ValueError):
        return np.zeros(0)


def _is_changed(score: str, offset: int, from_offset: dict[str, int]) -> bool:
    if EXAMPLES in from_offset:
        return offset >= from_offset[EXAMPLES]
    try:
        event = parse_id(score)
    except ValueError:
        return False
    return event.partition in from_offset and event.offset >= from_offset[event.partition]
