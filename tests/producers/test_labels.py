"""Labels tell the truth of some readings, each once, a label delay after its reading."""

from __future__ import annotations

import json

import numpy as np

from contracts.definition import Classification, Feed, Number, Regression
from contracts.durations import MINUTE, SECOND
from producers.batch import Batch
from producers.labels import EVERY, Labels

START = 1_767_225_600_000_000


def feed(target=None):
    return Feed("f", entity="e", time="t", fields=[Number("x")], target=target, label_delay="3m")


def batch(truth, first=0):
    """Readings of device a, 10 s apart, each there a second after it was made."""
    times = START + (first + np.arange(len(truth))) * 10 * SECOND
    return Batch([b"a"] * len(truth), [b"{}"] * len(truth), times, times + SECOND, np.array(truth, np.float64))


def test_a_label_falls_due_a_label_delay_after_its_reading_arrived():
    """Nothing before, then each once, keyed by its entity, with the reading's own event time; `said` counts them."""
    labels = Labels(feed(Regression("power")), every=1)
    labels.take(batch([1.0, 2.123456, 3.0]))
    due = START + SECOND + 3 * MINUTE
    assert labels.due(due) == ([], [])
    keys, values = labels.due(due + 10 * SECOND + 1)
    assert keys == [b"a", b"a"]
    assert [json.loads(value) for value in values] == [
        {"entity": "a", "event_time": "2026-01-01T00:00:00Z", "value": 1.0},
        {"entity": "a", "event_time": "2026-01-01T00:00:10Z", "value": 2.1235},
    ]
    assert [json.loads(value)["value"] for value in labels.left()[1]] == [3.0]
    assert labels.left() == ([], [])
    assert labels.said == 3


def test_every_nth_reading_with_a_truth_is_labelled_however_batches_are_cut():
    """Repeats and damaged records, whose truth is NaN, neither get a label nor count."""
    truth = [float(i) for i in range(3 * EVERY)]
    whole = Labels(feed(Regression("power")))
    whole.take(batch([truth[0], np.nan, *truth[1:]]))
    values = [json.loads(value)["value"] for value in whole.left()[1]]
    assert values == [float(EVERY - 1), float(2 * EVERY - 1), float(3 * EVERY - 1)]
    parts = Labels(feed(Regression("power")))
    for i, value in enumerate(truth):
        parts.take(batch([value], i))
    assert [json.loads(value)["value"] for value in parts.left()[1]] == values


def test_a_class_is_told_by_its_name():
    """Where the target is a class, the label's value is its name."""
    labels = Labels(feed(Classification("state", ["low", "high"])), every=1)
    labels.take(batch([1.0, 0.0]))
    assert [json.loads(value)["value"] for value in labels.left()[1]] == ["high", "low"]


def test_records_without_truth_have_no_labels():
    """A feed without a target says nothing."""
    labels = Labels(feed(), every=1)
    labels.take(batch([1.0])._replace(truth=None))
    assert labels.left() == ([], [])
