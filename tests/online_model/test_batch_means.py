"""Batch means: the long-run variance of dependent values, and the block length that they need."""

from __future__ import annotations

import numpy as np
import pytest

from online_model import batch_means as b


def taken(values: np.ndarray) -> tuple[np.ndarray, int]:
    """(state, level) after all values, the level raised wherever a block of it ends."""
    state, level = np.zeros(b.WORDS), 0
    for i, value in enumerate(values):
        b.take(state, 0, value)
        if (i + 1) % b.length_of(level) == 0:
            level = b.long_enough(state, 0, level)
    return state, level


def autoregression(coefficient: float, n: int) -> np.ndarray:
    """Unit normal innovations."""
    values = np.random.default_rng(4).standard_normal(n)
    for t in range(1, n):
        values[t] += coefficient * values[t - 1]
    return values


@pytest.mark.parametrize("coefficient", [0.0, 0.8, 0.97])
def test_long_run_variance_of_an_autoregression(coefficient: float) -> None:
    """1 / (1 − φ)² for unit innovations, within a fifth; blocks get longer where 16 values are too few."""
    state, level = taken(autoregression(coefficient, 60_000))
    assert b.long_run_variance(state, 0, level) == pytest.approx(1.0 / (1.0 - coefficient) ** 2, rel=0.2)
    assert (level > 1) == (coefficient > 0.9)


def test_sums_of_all_lengths_are_those_of_the_values() -> None:
    """Squares and products of neighbours, for each level, as numpy sums them."""
    values = np.random.default_rng(5).standard_normal(5_000)
    state, _ = taken(values)
    for level in range(b.LEVELS):
        length = b.length_of(level)
        sums = values[: len(values) // length * length].reshape(-1, length).sum(axis=1)
        assert b.blocks_of(state, 0, level) == len(sums)
        assert state[b.SQUARES + level] == pytest.approx((sums**2).sum())
        assert state[b.PRODUCTS + level] == pytest.approx((sums[1:] * sums[:-1]).sum())
