"""Evidence that a sensor is stuck: the same value for longer than its own history of runs explains.

M is the product of 1 / q along a run of equal values and falls back to 1 when the run ends: an e-process, as a run of
chance length multiplies M by 1/q with probability at most q and ends it else. q is an upper estimate of the chance that
a run of this length goes on, by length class (1, 2–3, 4–7, … 128 and more): a switch at rest, a coarse resolution or a
machine that is off every night repeat in long runs, which one probability of repetition would take for faults.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.kernel import kernel

F64 = NDArray[np.float64]

CLASSES = 8

# Words of the state.
M, SINCE, SINCE_OFFSET, TOP, RUN, LAST = range(6)
COUNTS = 6  # CLASSES pairs: how often a run was of this class, and how often it went on
WORDS = COUNTS + 2 * CLASSES

CAP = 1e20
IMPROBABLE = 8.0  # above it, the cell's other detectors wait: three repeats of a sensor that never repeats
_FLOOR = 0.5  # no sensor's repeat counts for more than 1 : 2; gateways that send a value twice would be stuck otherwise
_LEARNABLE = 10.0  # a run that has become evidence does not teach
_RESTING = 0.9  # share of values that come again at once; below, repeats come of a coarse resolution
_MEMORY = 32768.0  # of a class; older runs count half, so that q follows a sensor through the years


@kernel()
def reset_stuck(state: F64, at: int) -> None:
    """No value seen; the state is the words of `state` from `at` on."""
    state[at : at + WORDS] = 0.0
    state[at + M] = 1.0
    state[at + LAST] = np.nan


@kernel()
def _class_of(run: float) -> int:
    c, top = 0, 2.0
    while c < CLASSES - 1 and run >= top:
        c += 1
        top *= 2.0
    return c


@kernel("numpy")
def going_on(state: F64, at: int, length_class: int) -> float:
    """Upper estimate of the chance that a run of a class goes on: Beta(1, ½) prior, two standard errors, at least ½.

    A class never reached takes the estimate of the one below it: what has lasted long tends to last.
    """
    first = at + COUNTS
    while length_class > 0 and state[first + 2 * length_class] == 0.0:
        length_class -= 1
    n, repeats = float(state[first + 2 * length_class]), float(state[first + 2 * length_class + 1])
    mean = (repeats + 1.0) / (n + 1.5)
    upper = mean + 2.0 * np.sqrt(mean * (1.0 - mean) / (n + 2.5))
    return max(min(upper, 0.5 * (1.0 + mean)), _FLOOR)


@kernel()
def rests(state: F64, at: int) -> bool:
    """Whether the value is a repeat in a field that nearly always repeats (a switch, a set point): no news about its level."""
    steps, repeats = state[at + COUNTS], state[at + COUNTS + 1]
    return state[at + RUN] > 1.0 and repeats >= _RESTING * steps


@kernel("numpy", inlined=True)
def bet_on_stuck(state: F64, at: int, value: float, time: int, offset: int, betting: bool) -> float:
    """Moves the evidence by a present value and returns M; with `betting` False it only learns.

    Once betting, a run teaches when it has ended: taught by itself, it would seem usual before it is over. Only the last
    class learns as it goes, for the run of a constant never ends.
    """
    same = value == state[at + LAST]
    if same:
        k = _class_of(state[at + RUN])
        if betting:
            state[at + M] = min(state[at + M] / going_on(state, at, k), CAP)
        if not betting or (k == CLASSES - 1 and state[at + M] < _LEARNABLE):
            _count(state, at, k, 1.0, 1.0)
        state[at + RUN] += 1.0
        return state[at + M]
    if state[at + RUN] > 0.0:
        if not betting:
            _count(state, at, _class_of(state[at + RUN]), 1.0, 0.0)
        elif state[at + M] < _LEARNABLE:
            _learn_run(state, at)
    state[at + M], state[at + RUN], state[at + LAST] = 1.0, 1.0, value
    state[at + SINCE], state[at + SINCE_OFFSET] = float(time), float(offset)
    return 1.0


@kernel()
def _learn_run(state: F64, at: int) -> None:
    """Takes a whole run into the counts of the classes that it went through."""
    run, low = state[at + RUN], 1.0
    last = _class_of(run)
    for k in range(last):
        _count(state, at, k, low, low)
        low *= 2.0
    went_on = run - low if last < CLASSES - 1 else 0.0
    _count(state, at, last, went_on + 1.0, went_on)


@kernel()
def _count(state: F64, at: int, length_class: int, steps: float, repeats: float) -> None:
    first = at + COUNTS
    k = 2 * length_class
    if state[first + k] >= _MEMORY and length_class < CLASSES - 1:
        state[first + k] *= 0.5
        state[first + k + 1] *= 0.5
    state[first + k] += steps
    state[first + k + 1] += repeats
