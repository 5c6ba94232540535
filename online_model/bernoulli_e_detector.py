"""Evidence that yes is said more often than it was: that a field is missing or impossible, a record damaged or delayed.

A sequence of yes and no, each judged given the one before it, for what is missing once tends to be missing again. The
bet is a likelihood ratio against an upper estimate of the share in the history: M = max(M, 1)·e, a CUSUM e-detector
(Shin, Ramdas & Rinaldo 2022).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.kernel import kernel

F64 = NDArray[np.float64]

# Words of the state. Counts are pairs by what came before: after a no, after a yes.
M, SINCE, SINCE_OFFSET, TOP, BEFORE, AFTER_NO, AFTER_NO_YES, AFTER_YES, AFTER_YES_YES, RUN, RUN_YES = range(11)
WORDS = 11

CAP = 1e20
_FIRST_FLOOR = 0.02  # least share after a no: a lost packet an hour is no incident, and two days cannot show it
_NEXT_FLOOR = 0.5  # least share after a yes: short outages last a few readings
_FIRST_BET, _NEXT_BET = 0.3, 0.9  # shares that are bet on: missing for good, or every other time
_LEARNABLE = 10.0
_MEMORY = 32768.0  # readings; older ones count half


@kernel()
def reset(state: F64, at: int) -> None:
    """Nothing seen; the state is the words of `state` from `at` on."""
    state[at : at + WORDS] = 0.0
    state[at + M] = 1.0


@kernel("numpy")
def usual_share(n: float, yes: float, floor: float) -> float:
    """Upper estimate of a share (Beta(½, 2½) prior, two standard errors), at least `floor`, below 1."""
    mean = (yes + 0.5) / (n + 3.0)
    return max(min(mean + 2.0 * np.sqrt(mean * (1.0 - mean) / (n + 4.0)), 0.5 * (1.0 + mean)), floor)


@kernel("numpy", inlined=True)
def bet(state: F64, at: int, yes: bool, time: int, offset: int, betting: bool) -> float:
    """Moves the evidence by one reading and returns M; with `betting` False it only learns."""
    if yes or state[at + M] > 1.0 or state[at + BEFORE] != 0.0:
        return _bet(state, at, yes, time, offset, betting)
    # nearly always: what `_bet` comes to after a no at the ground that follows a no
    state[at + SINCE], state[at + SINCE_OFFSET], state[at + RUN], state[at + RUN_YES] = float(time), float(offset), 1.0, 0.0
    if state[at + AFTER_NO] >= _MEMORY:
        state[at + AFTER_NO] *= 0.5
        state[at + AFTER_NO_YES] *= 0.5
    state[at + AFTER_NO] += 1.0
    return state[at + M]


@kernel("numpy")
def _bet(state: F64, at: int, yes: bool, time: int, offset: int, betting: bool) -> float:
    k, floor, target = (AFTER_NO, _FIRST_FLOOR, _FIRST_BET) if state[at + BEFORE] == 0.0 else (AFTER_YES, _NEXT_FLOOR, _NEXT_BET)
    if betting and (yes or state[at + M] > 1.0):  # a no at the ground can only stay there
        share = usual_share(state[at + k], state[at + k + 1], floor)
        bet = max(target, share + 0.3 * (1.0 - share))
        e = bet / share if yes else (1.0 - bet) / (1.0 - share)
        state[at + M] = min(max(state[at + M], 1.0) * e, CAP)
    if state[at + M] <= 1.0:
        state[at + SINCE], state[at + SINCE_OFFSET], state[at + RUN], state[at + RUN_YES] = float(time), float(offset), 0.0, 0.0
    state[at + RUN] += 1.0
    state[at + RUN_YES] += 1.0 if yes else 0.0
    if state[at + M] < _LEARNABLE:
        if state[at + k] >= _MEMORY:
            state[at + k] *= 0.5
            state[at + k + 1] *= 0.5
        state[at + k] += 1.0
        state[at + k + 1] += 1.0 if yes else 0.0
    state[at + BEFORE] = 1.0 if yes else 0.0
    return state[at + M]


@kernel("numpy")
def usual_overall(state: F64, at: int) -> float:
    """Share of yes in the history."""
    return (state[at + AFTER_NO_YES] + state[at + AFTER_YES_YES]) / max(state[at + AFTER_NO] + state[at + AFTER_YES], 1.0)
