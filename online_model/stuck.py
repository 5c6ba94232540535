"""Evidence that a sensor is stuck: the same value for longer than its own history of runs explains.

M is the product of 1 / q along a run of equal values and falls back to 1 when the run ends: an e-process, as a run of
chance length multiplies M by 1/q with probability at most q and ends it else. q is an upper estimate of the chance that
a run of this length goes on, by length class (1, 2–3, 4–7, … 128 and more): a switch at rest, a coarse resolution or a
machine that is off every night repeat in long runs, which one probability of repetition would take for faults.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

CLASSES = 8

# Words of the state.
M, SINCE, SINCE_OFFSET, TOP, RUN, LAST = range(6)
COUNTS = 6  # CLASSES pairs of float32: how often a run was of this class, and how often it went on
WORDS = COUNTS + CLASSES

CAP = 1e20
IMPROBABLE = 8.0  # above it, the cell's other detectors wait: three repeats of a sensor that never repeats
_FLOOR = 0.5  # no sensor's repeat counts for more than 1 : 2; gateways that send a value twice would be stuck otherwise
_LEARNABLE = 10.0  # a run that has become evidence does not teach
_MEMORY = 32768.0  # of a class; older runs count half, so that q follows a sensor through the years


@numba.njit(cache=True, nogil=True)
def reset_stuck(state: F64) -> None:
    """No value seen."""
    state[:] = 0.0
    state[M] = 1.0
    state[LAST] = np.nan


@numba.njit(cache=True, nogil=True)
def _class_of(run: float) -> int:
    c, top = 0, 2.0
    while c < CLASSES - 1 and run >= top:
        c += 1
        top *= 2.0
    return c


@numba.njit(cache=True, nogil=True, error_model="numpy")
def going_on(state: F64, length_class: int) -> float:
    """Upper estimate of the chance that a run of a class goes on: Beta(1, ½) prior, two standard errors, at least ½.

    A class never reached takes the estimate of the one below it: what has lasted long tends to last.
    """
    counts = state[COUNTS:WORDS].view(np.float32)
    while length_class > 0 and counts[2 * length_class] == 0.0:
        length_class -= 1
    n, repeats = float(counts[2 * length_class]), float(counts[2 * length_class + 1])
    mean = (repeats + 1.0) / (n + 1.5)
    upper = mean + 2.0 * np.sqrt(mean * (1.0 - mean) / (n + 2.5))
    return max(min(upper, 0.5 * (1.0 + mean)), _FLOOR)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def bet_on_stuck(state: F64, value: float, time: int, offset: int, betting: bool) -> float:
    """Moves the evidence by a present value and returns M; with `betting` False it only learns."""
    first = not (state[LAST] == state[LAST])
    same = value == state[LAST]
    if not first:
        k = _class_of(state[RUN])
        if betting and same:
            state[M] = min(state[M] / going_on(state, k), CAP)
        if state[M] < _LEARNABLE:
            _count(state, k, same)
    if not same:
        state[M] = 1.0
        state[RUN] = 0.0
        state[LAST] = value
        state[SINCE], state[SINCE_OFFSET] = float(time), float(offset)
    state[RUN] += 1.0
    return state[M]


@numba.njit(cache=True, nogil=True)
def _count(state: F64, length_class: int, same: bool) -> None:
    counts = state[COUNTS:WORDS].view(np.float32)
    k = 2 * length_class
    if counts[k] >= _MEMORY:
        counts[k] *= np.float32(0.5)
        counts[k + 1] *= np.float32(0.5)
    counts[k] += np.float32(1.0)
    if same:
        counts[k + 1] += np.float32(1.0)
