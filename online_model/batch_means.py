"""Sums over consecutive blocks of doubling lengths: long-run variance of dependent values, and the block length that they need.

Batch means: Alexopoulos & Seila (1998), "Output data analysis", Handbook of Simulation, section 7.3. Blocks of length L are
nearly uncorrelated once L is some times the span over which values depend on each other. What is left is between neighbours,
and is taken into the variance: the lag-one flat-top estimate of Politis & Romano (1995), on block sums. The state is WORDS
float64, whatever has been seen; all of it sums, so that the same values give the same bytes however they are cut.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

SHORTEST = 16  # values; shorter blocks of an autocorrelation of .8 depend on more than their neighbours
LEVELS = 9  # lengths 16, 32, … 4,096
CORRELATED = 0.2  # of neighbouring blocks; an AR(1) with it has some .04 between a block and the next but one
FEWEST = 16  # blocks of a length before it is judged: the correlation of fewer is chance

# Words of the state.
COUNT, TOTAL = 0, 1
OPEN, LAST, SQUARES, PRODUCTS = 2, 2 + LEVELS, 2 + 2 * LEVELS, 2 + 3 * LEVELS  # by level: sum so far, last block's sum, Σs², Σs·last
WORDS = 2 + 4 * LEVELS


@numba.njit(cache=True, nogil=True)
def take(state: F64, at: int, value: float) -> None:
    """Takes a value in; the state is the words of `state` from `at` on, all 0 at first."""
    state[at + COUNT] += 1.0
    state[at + TOTAL] += value
    state[at + OPEN] += value
    n = int(state[at + COUNT])
    if n % SHORTEST != 0:
        return
    length = SHORTEST
    for level in range(LEVELS):  # a full block goes into the next longer one
        s = state[at + OPEN + level]
        state[at + SQUARES + level] += s * s
        state[at + PRODUCTS + level] += s * state[at + LAST + level]
        state[at + LAST + level] = s
        state[at + OPEN + level] = 0.0
        length *= 2
        if level + 1 < LEVELS:
            state[at + OPEN + level + 1] += s
        if n % length != 0:
            return


@numba.njit(cache=True, nogil=True)
def length_of(level: int) -> int:
    """Values in a block of a level."""
    return SHORTEST << level


@numba.njit(cache=True, nogil=True)
def blocks_of(state: F64, at: int, level: int) -> int:
    """Full blocks of a level."""
    return int(state[at + COUNT]) // (SHORTEST << level)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _moments(state: F64, at: int, level: int) -> tuple[float, float]:
    """(variance of a block's sum, covariance of neighbouring sums), both about the mean of all values; needs two blocks."""
    blocks = float(blocks_of(state, at, level))
    mean = state[at + TOTAL] / state[at + COUNT] * length_of(level)
    return (
        state[at + SQUARES + level] / blocks - mean * mean,
        state[at + PRODUCTS + level] / (blocks - 1.0) - mean * mean,
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def long_run_variance(state: F64, at: int, level: int) -> float:
    """Variance of the sum of many values, over their number; never below that of independent blocks. Needs two blocks."""
    variance, covariance = _moments(state, at, level)
    return max(variance + 2.0 * covariance, variance, 0.0) / length_of(level)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def far_above_zero(state: F64, at: int, level: int, deviations: float) -> bool:
    """Whether the mean of a block's sum lies so many standard deviations of such sums above 0. Needs two blocks."""
    variance, _ = _moments(state, at, level)
    return state[at + TOTAL] / state[at + COUNT] * length_of(level) > deviations * np.sqrt(max(variance, 0.0))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def long_enough(state: F64, at: int, level: int) -> int:
    """The level itself, or the next one where neighbouring blocks correlate by more than CORRELATED and two standard errors."""
    blocks = blocks_of(state, at, level)
    if level + 1 >= LEVELS or blocks < FEWEST:
        return level
    variance, covariance = _moments(state, at, level)
    return level + 1 if covariance > variance * (CORRELATED + 2.0 / np.sqrt(float(blocks))) else level
