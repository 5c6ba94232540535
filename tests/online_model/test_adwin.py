"""ADWIN against river's, alarm for alarm."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from river import drift

from online_model import adwin
from online_model.adwin import update_adwin


def window(levels: int = adwin.LEVELS) -> NDArray[np.float64]:
    """An empty window of so many rows."""
    state = np.full(adwin.ROWS_AT + adwin.ROW_WORDS * levels, np.nan)
    adwin.reset_adwin(state)
    return state


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
    """On forty streams every alarm comes at river's value, leaves river's width and mean, and says when and what it was."""
    alarms = 0
    for number in range(40):
        river, state, begun = drift.ADWIN(delta=delta), window(), 0
        values = case(number)
        for i, value in enumerate(values):
            river.update(value)
            assert update_adwin(state, value, i, delta) == river.drift_detected
            assert state[adwin.WIDTH] == river.width
            if river.drift_detected:
                alarms += 1
                assert state[adwin.TOTAL] / state[adwin.WIDTH] == river.estimation
                assert state[adwin.CHANGE_TIME] == i
                old = values[begun : i + 1 - int(river.width)]
                assert state[adwin.OLD_N] == len(old)
                np.testing.assert_allclose(state[adwin.OLD_MEAN], old.mean(), rtol=1e-9, atol=1e-9 * np.abs(values).max())
                begun = i + 1
    assert alarms > 100


def test_window_is_bounded() -> None:
    """With three levels the window holds at most 35 values, its mean is theirs, and a change is still seen."""
    state = window(levels=3)
    values = np.random.default_rng(1).normal(5.0, 1.0, 2000)
    for i, value in enumerate(values):
        assert not update_adwin(state, value, i)
        width = int(state[adwin.WIDTH])
        assert min(i + 1, 31) <= width <= 35
        np.testing.assert_allclose(state[adwin.TOTAL] / width, values[i + 1 - width : i + 1].mean(), rtol=1e-12)
    assert any(update_adwin(state, value + 8.0, 2000) for value in values[:64])


def test_impossible_values_do_no_harm() -> None:
    """NaN is passed over; infinities leave the state finite, and once the window has forgotten them a change is seen."""
    state = window(levels=6)
    rng = np.random.default_rng(2)
    for value in (np.nan, np.inf, -np.inf, 1e300):
        update_adwin(state, value, 0)
    assert state[adwin.WIDTH] == 3
    for value in rng.normal(0.0, 1.0, 2000):
        update_adwin(state, value, 0)
    assert np.isfinite(state).all()
    assert any(update_adwin(state, value, 0) for value in rng.normal(4.0, 1.0, 500))


def test_the_last_change_outlives_its_window() -> None:
    """The value after a change begins the window anew, and what the change was stays until the next one."""
    state = window()
    values = np.concatenate([np.zeros(320), np.ones(320)])
    first = next(i for i, value in enumerate(values) if update_adwin(state, value, i))
    change = state[adwin.CHANGE_TIME : adwin.ROWS_AT].copy()
    assert change[0] == first
    assert not update_adwin(state, 1.0, first + 1)
    assert state[adwin.WIDTH] == 1
    assert (state[adwin.CHANGE_TIME : adwin.ROWS_AT] == change).all()
