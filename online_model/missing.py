"""Evidence that a field is missing, or impossible, more often than it was.

A sequence of yes and no, each judged given the one before it, for what is missing once tends to be missing again. The
bet is a likelihood ratio against an upper estimate of the share in the history: M = max(M, 1)·e, a CUSUM e-detector
(Shin, Ramdas & Rinaldo 2022). Used for missing values and for values out of range.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# Words of the state. Counts are pairs by what came before: after a no, after a yes.
M, SINCE, SINCE_OFFSET, TOP, BEFORE, AFTER_NO, AFTER_NO_YES, AFTER_YES, AFTER_YES_YES, RUN, RUN_YES = range(11)
WORDS = 11

CAP = 1e20
_FIRST_FLOOR = 0.02  # least share after a no: a lost packet an hour is no incident, and two days cannot show it
_NEXT_FLOOR = 0.5  # least share after a yes: short outages last a few readings
_FIRST_BET, _NEXT_BET = 0.3, 0.85  # shares that are bet on: missing for good, or every other time
_LEARNABLE = 10.0
_MEMORY = 32768.0  # readings; older ones count half


@numba.njit(cache=True, nogil=True)
def reset_missing(state: F64) -> None:
    """Nothing seen."""
    state[:] = 0.0
    state[M] = 1.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def usual_share(n: float, yes: float, floor: float) -> float:
    """Upper estimate of a share (Beta(1, 1) prior, two standard errors), at least `floor`, below 1."""
    mean = (yes + 1.0) / (n + 2.0)
    return max(min(mean + 2.0 * np.sqrt(mean * (1.0 - mean) / (n + 3.0)), 0.5 * (1.0 + mean)), floor)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def bet_on_missing(state: F64, yes: bool, time: int, offset: int, betting: bool) -> float:
    """Moves the evidence by one reading and returns M; with `betting` False it only learns."""
    k, floor, target = (AFTER_NO, _FIRST_FLOOR, _FIRST_BET) if state[BEFORE] == 0.0 else (AFTER_YES, _NEXT_FLOOR, _NEXT_BET)
    if betting:
        share = usual_share(state[k], state[k + 1], floor)
        bet = max(target, share + 0.3 * (1.0 - share))
        e = bet / share if yes else (1.0 - bet) / (1.0 - share)
        state[M] = min(max(state[M], 1.0) * e, CAP)
    if state[M] <= 1.0:
        state[SINCE], state[SINCE_OFFSET], state[RUN], state[RUN_YES] = float(time), float(offset), 0.0, 0.0
    state[RUN] += 1.0
    state[RUN_YES] += 1.0 if yes else 0.0
    if state[M] < _LEARNABLE:
        if state[k] >= _MEMORY:
            state[k] *= 0.5
            state[k + 1] *= 0.5
        state[k] += 1.0
        state[k + 1] += 1.0 if yes else 0.0
    state[BEFORE] = 1.0 if yes else 0.0
    return state[M]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def usual_overall(state: F64) -> float:
    """Share of yes in the history."""
    return (state[AFTER_NO_YES] + state[AFTER_YES_YES]) / max(state[AFTER_NO] + state[AFTER_YES], 1.0)
