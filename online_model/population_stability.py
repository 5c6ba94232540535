"""The population stability index of a current sample against a reference, on the reference's deciles.

PSI = Σ (c − r)·ln(c / r) over ten bins, c and r the shares of current and reference. Half an observation is added to
every bin (Jeffreys' prior), so that an empty one costs what the samples' sizes justify and not infinity.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.elementary import log

BINS = 10


@numba.njit(cache=True, nogil=True, error_model="numpy")
def population_stability(reference: NDArray[np.float32], current: NDArray[np.float32]) -> float:
    """PSI of two samples, in any order, without NaN; NaN where one is empty. Bins are (edge, next edge], edges the deciles.

    A decile is the ⌈n·k/10⌉-th smallest value of the reference (numpy's ``inverted_cdf``).
    """
    n, m = len(reference), len(current)
    if n == 0 or m == 0:
        return np.nan
    ranked = np.sort(reference)
    edges = np.empty(BINS - 1)
    for k in range(1, BINS):
        edges[k - 1] = ranked[(n * k + BINS - 1) // BINS - 1]
    old, new = np.full(BINS, 0.5), np.full(BINS, 0.5)
    for v in reference:
        old[_bin(edges, v)] += 1.0
    for v in current:
        new[_bin(edges, v)] += 1.0
    total = 0.0
    for b in range(BINS):
        r, c = old[b] / (n + 0.5 * BINS), new[b] / (m + 0.5 * BINS)
        total += (c - r) * (log(c) - log(r))
    return total


@numba.njit(cache=True, nogil=True)
def _bin(edges: NDArray[np.float64], value: float) -> int:
    b = 0
    while b < BINS - 1 and value > edges[b]:
        b += 1
    return b
