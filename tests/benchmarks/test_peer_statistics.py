"""The window statistics that Python peers share: a peer that computed something else would not do the same job."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from benchmarks.peers.window_statistics import State, add, inputs, merge, packed, vector


def state_of(rows: np.ndarray) -> State:
    """Of one reading after the other."""
    state: State = []
    for row in rows.tolist():
        state = add(state, *row)
    return state


def test_statistics_are_those_of_numpy() -> None:
    """Count, then mean, sample standard deviation, smallest and largest of each field."""
    rows = np.random.default_rng(1).normal([60, 2, 4], [1, 0.1, 0.05], (500, 3))
    found = vector(state_of(rows))
    wanted = [500.0]
    for column in rows.T:
        wanted += [column.mean(), column.std(ddof=1), column.min(), column.max()]
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize("cut", [0, 1, 250, 500])
def test_merged_tiles_are_one_window(cut: int) -> None:
    """Wherever it is cut."""
    rows = np.random.default_rng(2).normal(size=(500, 3))
    assert vector(merge(state_of(rows[:cut]), state_of(rows[cut:]))) == pytest.approx(vector(state_of(rows)))


def test_one_reading_has_no_spread() -> None:
    """Its standard deviation is 0 for the models, not NaN, and its inputs are means and deviations."""
    assert vector(add([], 1.0, 2.0, 3.0)) == [1, 1.0, 0.0, 1.0, 1.0, 2.0, 0.0, 2.0, 2.0, 3.0, 0.0, 3.0, 3.0]
    assert list(inputs(vector(add([], 1.0, 2.0, 3.0))).values()) == [1.0, 0.0, 2.0, 0.0, 3.0, 0.0]


def test_thirteen_doubles_are_served() -> None:
    """Read back as they were."""
    features = vector(add([], 1.0, 2.0, 3.0))
    assert list(struct.unpack("<13d", packed(features))) == features
