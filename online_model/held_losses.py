"""Losses that count at most so much, and how large they are to begin with: one wild event must neither decide nor blind a test.

The first FIRST losses are kept and counted by nobody: twice their median stands for their root mean square. A mean in its place
would carry a sensor's glitch in the first minute for as long as the test runs.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

FIRST = 16  # losses; the median of fewer is chance
HUGE = 1e100  # a loss beyond it, or none, is passed over while there is no limit: its square would leave the numbers

SEEN = 0  # words: how many are kept, then the losses
WORDS = 1 + FIRST


@numba.njit(cache=True, nogil=True)
def held(loss: float, limit: float) -> float:
    """The loss as it counts; what is no loss at all counts as the limit, so that nonsense never makes a model look good."""
    return loss if 0.0 <= loss < limit else limit


@numba.njit(cache=True, nogil=True)
def first_size(state: F64, at: int, loss: float) -> float:
    """Keeps a loss in the words of `state` from `at` on; their size once FIRST are kept, before that 0.

    Twice the median, or the mean where most are 0 (a classifier's), and a new beginning where all are.
    """
    if not 0.0 <= loss <= HUGE:
        return 0.0
    kept = int(state[at + SEEN])
    state[at + 1 + kept] = loss
    state[at + SEEN] = float((kept + 1) % FIRST)
    if kept + 1 < FIRST:
        return 0.0
    losses = np.sort(state[at + 1 : at + WORDS])
    middle = losses[FIRST // 2 - 1] + losses[FIRST // 2]
    return middle if middle > 0.0 else losses.sum() / FIRST
