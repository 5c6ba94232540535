"""Means, sums of squares and of products that merge without loss: the arithmetic inside a tile.

A *moments* block is three words: n, mean, M2 = Σ(x − mean)². A *pair* block is six: n, mean_x, M2_x, mean_y, M2_y,
C = Σ(x − mean_x)(y − mean_y), whose first three words are a moments block. One value is added by Welford's recurrence
("Note on a method for calculating corrected sums of squares and products", Technometrics 4, 1962); two blocks merge by
Chan, Golub & LeVeque ("Updating formulae and a pairwise algorithm for computing sample variances", 1979, eq. 2.1).
Nothing is ever subtracted from a block, so a spike is gone with its tile.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_value(F: Floats, slot: int, at: int, x: float) -> None:
    """Adds one value to the moments block at word `at` of row `slot`."""
    n = F[slot, at] + 1.0
    before = x - F[slot, at + 1]
    mean = F[slot, at + 1] + before / n
    F[slot, at] = n
    F[slot, at + 1] = mean
    F[slot, at + 2] += before * (x - mean)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_pair(F: Floats, slot: int, at: int, x: float, y: float) -> None:
    """Adds one pair of values to the pair block at word `at` of row `slot`."""
    before = x - F[slot, at + 1]
    add_value(F, slot, at, x)
    y_before = y - F[slot, at + 3]
    y_mean = F[slot, at + 3] + y_before / F[slot, at]
    y_after = y - y_mean
    F[slot, at + 3] = y_mean
    F[slot, at + 4] += y_before * y_after
    F[slot, at + 5] += before * y_after


@numba.njit(cache=True, nogil=True, error_model="numpy")
def merged_mean(n_a: float, mean_a: float, n_b: float, mean_b: float) -> float:
    """Mean of two blocks together."""
    if n_b == 0.0:
        return mean_a
    if n_a == 0.0:
        return mean_b
    return mean_a + (mean_b - mean_a) * (n_b / (n_a + n_b))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def merged_sum(n_a: float, sum_a: float, n_b: float, sum_b: float, gap_x: float, gap_y: float) -> float:
    """M2 (gap_x = gap_y) or C of two blocks together; a gap is the second block's mean less the first's."""
    if n_b == 0.0:
        return sum_a
    if n_a == 0.0:
        return sum_b
    return sum_a + sum_b + gap_x * gap_y * (n_a * n_b / (n_a + n_b))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def merge_values(F: Floats, slot: int, into: int, at: int) -> None:
    """Merges the moments block at `at` into the one at `into`."""
    n_a, mean_a, n_b, mean_b = F[slot, into], F[slot, into + 1], F[slot, at], F[slot, at + 1]
    gap = mean_b - mean_a
    F[slot, into] = n_a + n_b
    F[slot, into + 1] = merged_mean(n_a, mean_a, n_b, mean_b)
    F[slot, into + 2] = merged_sum(n_a, F[slot, into + 2], n_b, F[slot, at + 2], gap, gap)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def merge_pairs(F: Floats, slot: int, into: int, at: int, shift: float) -> None:
    """Merges the pair block at `at` into the one at `into`; `shift` takes y from the former's origin to the latter's."""
    n_a, n_b = F[slot, into], F[slot, at]
    x_gap = F[slot, at + 1] - F[slot, into + 1]
    y_mean = F[slot, at + 3] + shift
    y_gap = y_mean - F[slot, into + 3]
    merge_values(F, slot, into, at)
    F[slot, into + 3] = merged_mean(n_a, F[slot, into + 3], n_b, y_mean)
    F[slot, into + 4] = merged_sum(n_a, F[slot, into + 4], n_b, F[slot, at + 4], y_gap, y_gap)
    F[slot, into + 5] = merged_sum(n_a, F[slot, into + 5], n_b, F[slot, at + 5], x_gap, y_gap)
