"""Skew of features: found as what it is within days, and not raised where served days are as those of training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from contracts.definition import Feed, Number, Regression
from contracts.durations import DAY, HOUR, WEEK
from contracts.errors import StateError
from contracts.records import FeatureReference
from online_model import skew
from online_model.budget import thresholds
from tests.online_model.served import A_DAY, fleet_feed, fold_days, reference_of, served_days

F64 = NDArray[np.float64]
FEED = fleet_feed()
BLOCK = skew.block_us(FEED)
THRESHOLD = 10.0 ** thresholds(FEED, 1e6, {})["skew"]


def folded(trained: F64, served: F64) -> tuple[list[int], skew.SkewState]:
    """Days on which skew opened, and the state at the end."""
    _, state = skew.new_skew_state(FEED, reference_of(FEED, trained))
    return fold_days(state, served, len(trained), BLOCK, THRESHOLD), state


@pytest.mark.parametrize(("weather", "trained"), [(0.3, 3), (0.5, 3), (0.8, 7)])
def test_days_like_those_of_training_are_no_skew(weather: float, trained: int) -> None:
    """70 models for 12 weeks each, days that differ and follow each other: the exact 95 % bound of the rate is within the share."""
    rng, models, weeks, opened = np.random.default_rng(1), 70, 12, 0
    for _ in range(models):
        days = served_days(FEED, rng, trained + 7 * weeks, weather)
        opened += len(folded(days[:trained], days[trained:])[0])
    bound = chi2.ppf(0.95, 2 * (opened + 1)) / 2  # exact upper bound of a Poisson mean (Garwood 1936)
    assert bound / (models * weeks) <= WEEK / BLOCK / THRESHOLD


def missing(days: F64) -> None:
    days[:, :, 0] = np.nan


def often_missing(days: F64) -> None:
    days[:, ::2, 0] = np.nan


def constant(days: F64) -> None:
    days[:, :, 0] = 0.3


def another_unit(days: F64) -> None:
    days[:, :, :2] = days[:, :, :2] * 1.8 + 32.0


def shifted(days: F64) -> None:
    days[:, :, :2] += 3.0


@pytest.mark.parametrize(
    ("spoil", "kind", "within"),
    [
        (missing, "missing", 4),
        (often_missing, "missing", 5),
        (constant, "constant", 10),
        (another_unit, "distribution", 10),
        (shifted, "distribution", 12),
    ],
)
def test_each_kind_is_found_as_what_it_is(spoil: Callable[[F64], None], kind: str, within: int) -> None:
    """Skewed from the first served day on, by 20 models each: found within so many days, and named."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        days = served_days(FEED, rng, 27)
        spoil(days[7:])
        opened, state = folded(days[:7], days[7:])
        assert opened and opened[0] <= within
        assert skew.kind_of(state, 0) == kind
        assert kind == "missing" or skew.feature_psi(state, 0) > 0.25
        assert skew.kind_of(state, 5) == "distribution"
        assert skew.feature_wealth(state, 5) < 100.0


def test_vectors_of_another_length_are_found_at_once() -> None:
    """Three blocks of vectors that do not fit; one in a hundred, as late labels bring, is none."""
    for every, expected in ((1, True), (100, False)):
        _, state = skew.new_skew_state(FEED, reference_of(FEED, served_days(FEED, np.random.default_rng(3), 7)))
        for i, vector in enumerate(served_days(FEED, np.random.default_rng(4), 5).reshape(-1, 6)):
            skew.update(state, vector, i % every != 0, BLOCK, i * (DAY // A_DAY), i)
        assert (state.words[skew.MEAN] >= THRESHOLD) == expected
        assert (skew.kind_of(state, 6), skew.feature_wealth(state, 6) > 100.0) == ("schema", expected)


def test_what_was_constant_or_missing_in_training_may_be_so_when_served() -> None:
    """A feature that always was missing, and one that always was the same, are as they were."""
    days = served_days(FEED, np.random.default_rng(5), 37)
    days[:, :, 0], days[:, :, 1] = np.nan, 7.0
    opened, state = folded(days[:7], days[7:])
    assert opened == []
    assert max(skew.feature_wealth(state, f) for f in (0, 1)) <= 2.0


def test_evidence_ends_with_the_skew() -> None:
    """Thirteen days of another unit, then the right one again: it is found once, and is over within ten days."""
    days = served_days(FEED, np.random.default_rng(6), 30)
    another_unit(days[7:20])
    opened, state = folded(days[:7], days[7:])
    assert len(opened) == 1
    assert state.words[skew.MEAN] < 2.0


def test_the_calendar_is_not_compared() -> None:
    """Hours and weekdays of a training on three days are others than those of a week, and no sensor sends them."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x", features=["last"])], windows=["1m"], target=Regression("y"))
    reference = {name: FeatureReference(missing=0.0, edges=[0.0], shares=[0.5, 0.5]) for name in ("x_last", "time_of_week_sin")}
    names, state = skew.new_skew_state(feed, reference)
    assert names == ("x_last",)
    assert state.places.tolist() == [0]


def test_a_block_lasts_a_season_and_has_examples_enough() -> None:
    """A bet a day with a season of a day, one an hour without one, and none before LEAST examples."""
    assert BLOCK == DAY
    assert skew.block_us(Feed("f", entity="e", time="t", fields=[Number("x")], season=None)) == HOUR
    _, state = skew.new_skew_state(FEED, reference_of(FEED, served_days(FEED, np.random.default_rng(7), 7)))
    closed = [i for i in range(3 * skew.LEAST) if skew.update(state, np.zeros(6), True, BLOCK, i * DAY, i)]
    assert closed == [skew.LEAST, 2 * skew.LEAST]


def test_the_state_goes_on_from_its_bytes() -> None:
    """Stopped within a block and put back: the same bytes at the end; others are refused."""
    days = served_days(FEED, np.random.default_rng(8), 10)
    reference, vectors = reference_of(FEED, days[:5]), days[5:].reshape(-1, 6)
    _, whole = skew.new_skew_state(FEED, reference)
    _, state = skew.new_skew_state(FEED, reference)
    for i, vector in enumerate(vectors):
        skew.update(whole, vector, True, BLOCK, i * (DAY // A_DAY), i)
        skew.update(state, vector, True, BLOCK, i * (DAY // A_DAY), i)
        if i % 333 == 0:
            data, (_, state) = skew.skew_state_to_bytes(state), skew.new_skew_state(FEED, reference)
            skew.put_skew_state(state, data)
    assert skew.skew_state_to_bytes(state) == skew.skew_state_to_bytes(whole)
    for wrong in (b"", skew.skew_state_to_bytes(state)[:-8], np.full(len(skew.skew_state_to_bytes(state)) // 8, np.nan).tobytes()):
        with pytest.raises(StateError, match="fold the examples anew"):
            skew.put_skew_state(state, wrong)
