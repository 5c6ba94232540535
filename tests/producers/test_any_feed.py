"""A target of any feed follows its numbers by a relation that can be learnt, and `concept` changes that relation alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from contracts.definition import Classification, Feed, Number, Regression
from contracts.durations import DAY, HOUR, MINUTE
from producers.any_feed import CONCEPT, TARGET_MEAN, TARGET_NOISE, any_feed
from producers.simulator import Simulation

START = 1_767_225_600_000_000
END = START + 4 * DAY
FIELDS = [Number("total", counter=True), Number("x", low=0, high=100), Number("y", low=-5, high=5), Number("z")]


def feed(target=None):
    return Feed("f", entity="e", time="t", fields=FIELDS, lateness="5m", target=target)


def made(target=None, faults=(), entities=10, cadence=10 * MINUTE):
    """The plan's lines, the events' bytes, x and y, event time and truth of all records of a simulation."""
    simulation = Simulation(any_feed(feed(target), entities, cadence, 1, START, END, faults), 1, START, END)
    batches = list(simulation.run())
    values = [value for batch in batches for value in batch.values]
    rows = [json.loads(value) for value in values]
    numbers = np.array([[row["x"], row["y"]] for row in rows])
    truth = None if batches[0].truth is None else np.concatenate([batch.truth for batch in batches])
    return simulation.plan.planted, values, numbers, np.concatenate([batch.event_time for batch in batches]), truth


def fit(numbers, truth):
    """Gains of x and y by least squares, the target in the middle of both ranges, and the standard deviation of what is left."""
    design = np.column_stack((numbers, np.ones(len(numbers))))
    gains, *_ = np.linalg.lstsq(design, truth, rcond=None)
    return (*gains[:2], gains @ [50.0, 0.0, 1.0], np.std(truth - design @ gains))


@pytest.mark.parametrize("target", [Regression("power"), Classification("state", ["low", "high"])])
def test_a_target_and_its_concept_leave_the_events_alone(target):
    """Events of a feed with a target and a change of concept are those of the same feed without, byte for byte."""
    _, plain, *_, none = made()
    _, values, *_, truth = made(target, ["concept"])
    assert values == plain
    assert none is None
    assert not np.isnan(truth).any()


def test_a_concept_changes_the_relation_and_nothing_else():
    """x and y explain the target to the noise; from the planted moment on x has a fifth of its gain, and all else stays as it was."""
    (planted,), _, numbers, times, truth = made(Regression("power"), ["concept"])
    assert (planted.kind, planted.incident, planted.end) == ("concept", "concept", END)
    assert START + 0.3 * (END - START) <= planted.start <= START + 0.6 * (END - START)
    before = times < planted.start
    x, y, middle, left = fit(numbers[before], truth[before])
    assert (middle, left) == pytest.approx((TARGET_MEAN, TARGET_NOISE), rel=0.05)
    assert fit(numbers[~before], truth[~before]) == pytest.approx((CONCEPT * x, y, middle, left), rel=0.05)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_classes_have_about_equal_shares(count):
    """Over many devices each class is met about as often as the others."""
    *_, truth = made(Classification("state", [f"c{i}" for i in range(count)]), entities=1000, cadence=4 * HOUR)
    shares = np.bincount(truth.astype(int), minlength=count) / len(truth)
    assert len(shares) == count
    assert shares == pytest.approx(np.full(count, 1 / count), rel=0.2)


def test_without_a_number_to_follow_the_target_is_noise():
    """A feed of counters alone has a target that nothing explains."""
    counters = Feed("f", entity="e", time="t", fields=FIELDS[:1], target=Regression("power"))
    (batch,) = Simulation(any_feed(counters, 2, 5 * MINUTE, 1, START, START + DAY), 1, START, START + DAY).run()
    assert np.std(batch.truth) == pytest.approx(TARGET_NOISE, rel=0.2)
