"""ADWIN against river's, alarm for alarm."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from river import drift

from contracts.errors import ModelError
from feature_store.rows import new_rows
from online_model.adwin import LEVELS, AdwinPlan, adwin_mean, adwin_width, plan_adwin, reset_adwin, update_adwin

CELL = 1


def rows(plan: AdwinPlan) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows of two entities, the second reset, all else marked."""
    F, W = new_rows(2, plan.base + plan.words + 1)
    W[:] = 7
    reset_adwin(F, W, 1, plan)
    return F, W


def case(number: int) -> NDArray[np.float64]:
    """A stream of 3000 values: noise, a shift, a walk, ties, a spike."""
    rng = np.random.default_rng(number)
    n = 3000
    shift = (np.arange(n) > rng.integers(n)) * rng.choice([0.0, 0.3, 1.0, 5.0])
    values = rng.normal(size=n) * rng.choice([0.1, 1.0, 30.0]) + shift + np.cumsum(rng.normal(size=n)) * rng.choice([0.0, 0.05])
    if number % 5 == 0:
        values = np.round(values)
    if number % 7 == 0:
        values[1500] = 1e17
    return np.asarray(values)


@pytest.mark.parametrize("delta", [0.002, 0.2])
def test_alarms_are_rivers(delta: float) -> None:
    """On forty streams every alarm comes at river's value, and leaves river's width and mean."""
    alarms = 0
    for number in range(40):
        river = drift.ADWIN(delta=delta)
        plan = plan_adwin(3, 2, delta=delta)
        F, W = rows(plan)
        for value in case(number):
            river.update(value)
            assert update_adwin(F, W, 1, plan, CELL, value) == river.drift_detected
            assert adwin_width(F, W, 1, plan, CELL) == river.width
            if river.drift_detected:
                alarms += 1
                assert adwin_mean(F, W, 1, plan, CELL) == river.estimation
        assert np.all(W[0] == 7)
        assert np.all(W[1, [0, 1, 2, -1]] == 7)
        assert adwin_width(F, W, 1, plan, 0) == 0
    assert alarms > 100


def test_window_is_bounded() -> None:
    """With three levels the window holds at most 35 values, its mean is theirs, and a change is still seen."""
    plan = plan_adwin(0, 2, levels=3)
    F, W = rows(plan)
    values = np.random.default_rng(1).normal(5.0, 1.0, 2000)
    for i, value in enumerate(values):
        assert not update_adwin(F, W, 1, plan, CELL, value)
        width = adwin_width(F, W, 1, plan, CELL)
        assert min(i + 1, 31) <= width <= 35
        np.testing.assert_allclose(adwin_mean(F, W, 1, plan, CELL), values[i + 1 - width : i + 1].mean(), rtol=1e-12)
    assert any(update_adwin(F, W, 1, plan, CELL, value + 8.0) for value in values[:64])


def test_impossible_values_do_no_harm() -> None:
    """NaN is passed over; infinities leave the state finite, and once the window has forgotten them a change is seen."""
    plan = plan_adwin(0, 2, levels=6)
    F, W = rows(plan)
    rng = np.random.default_rng(2)
    for value in (np.nan, np.inf, -np.inf, 1e300):
        update_adwin(F, W, 1, plan, CELL, value)
    assert adwin_width(F, W, 1, plan, CELL) == 3
    for value in rng.normal(0.0, 1.0, 2000):
        update_adwin(F, W, 1, plan, CELL, value)
    assert np.isfinite(F[1, :-1]).all()
    assert any(update_adwin(F, W, 1, plan, CELL, value) for value in rng.normal(4.0, 1.0, 500))


def test_words_are_known_beforehand() -> None:
    """A cell takes six words and thirteen a level; wrong sizes are refused."""
    assert plan_adwin(0, 3).words == 3 * (6 + 13 * LEVELS)
    with pytest.raises(ModelError, match="ADWIN"):
        plan_adwin(0, 1, levels=60)
