"""Concept drift on delayed errors: evidence that the champion's risk has risen above what it was when it was promoted.

The risk is the expected loss. The first REFERENCE losses after a promotion say what it was; from then on mean losses y of blocks
are bet on with e = 1 + λ·(y / r − 1), r an upper estimate of the reference risk (tolerance included). Losses are not negative, so
e ≥ 0 for λ < 1, and while the risk is at most r its mean is at most 1: no distribution is assumed (Podkopaev & Ramdas 2022,
"Tracking the risk of a deployed model and detecting harmful distribution shifts", ICLR). The CUSUM form M = max(M, 1)·e reaches A
on average not before A blocks (Shin, Ramdas & Rinaldo 2022, E-detectors, theorem 2.4), and so does the mean of several.

* Dependence: stake and wealth staked are those of one block earlier, as in `paired_test`, and blocks are as long as the
  reference's autocorrelation asks for, up to LONGEST; what it asks for beyond that goes into the standard error of r alone.
* The reference is finite: r is its mean plus ERRORS standard errors from the long-run variance, times 1 + TOLERANCE.
* One wild loss is no drift: a loss counts at most HOLD times the reference's mean, in the reference as well, and a block at most
  MOST times r.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.elementary import log10
from contracts.errors import StateError
from online_model import batch_means, held_losses
from online_model.batch_means import length_of, long_enough, long_run_variance, take
from online_model.cell_evidence import LOWEST, decade
from online_model.held_losses import first_size, held

F64 = NDArray[np.float64]

REFERENCE = 1024  # losses; with 256 the upper estimate lies a third above the risk, and a rise by less is never seen
ERRORS = 2.0  # standard errors that the reference is given
TOLERANCE = 0.05  # a rise of the risk that is nobody's business
STAKES = (0.15, 0.45)  # λ; the small one sees a rise by a fifth, the large one a doubling within some blocks. Below ½: see `_bet`
HOLD = 20.0  # times the reference's mean
LONGEST = 1  # level of the longest blocks that are bet on: a reference that swings with the day, or gets better, asks for ever longer ones,
# and a loss six times as high was then told only after 1,500 labels
MOST = 5.0  # times r: one block multiplies M by 2.8 at the most
CAP = 1e20  # of M, as in `e_detector`

# Words of the state.
RISK, LIMIT, LENGTH, SUM, OPEN, TOP, MEAN, SINCE, SINCE_OFFSET, RUN, RUN_SUM = range(11)
M, BEFORE = 11, 13  # a pair each, by STAKES
BATCHES = 15  # of the reference
FIRSTS = BATCHES + batch_means.WORDS
WORDS = FIRSTS + held_losses.WORDS
_N, _TOTAL = BATCHES + batch_means.COUNT, BATCHES + batch_means.TOTAL
_BYTES = np.dtype("<f8")


def new_risk_test() -> F64:
    """A state that has seen nothing; for every champion anew."""
    state = np.zeros(WORDS)
    reset(state)
    return state


@numba.njit(cache=True, nogil=True)
def reset(state: F64) -> None:
    """Makes a state one that has seen nothing."""
    state[:] = 0.0
    state[M : M + 2 * len(STAKES)] = 1.0
    state[MEAN] = 1.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def update(state: F64, loss: float, time: int, offset: int) -> bool:
    """Takes the champion's loss on one event; True where the evidence has reached another decade, which is then due to be told.

    `time` (event time, µs) and `offset` of the example are kept where the evidence begins to rise. Losses are ≥ 0; one that is negative
    or not a number counts as the largest that counts.
    """
    limit = state[LIMIT]
    if limit == 0.0:
        state[LIMIT] = HOLD * first_size(state, FIRSTS, loss)
        return False
    loss = held(loss, limit)
    if state[RISK] == 0.0:
        _lay_down(state, loss)
        state[SINCE], state[SINCE_OFFSET] = float(time), float(offset)  # where bets begin; of evidence that rises at once it is since then
        return False
    state[SUM] += loss
    state[OPEN] += 1.0
    if int(state[OPEN]) < _block(state):
        return False
    _bet(state, time, offset)
    top = decade(state[TOP], _evidence(state))
    changed: bool = top != state[TOP]
    state[TOP] = top
    return changed


@numba.njit(cache=True, nogil=True)
def update_many(state: F64, losses: F64, threshold: float) -> int:
    """Takes n losses in their order, their index for time and offset. Returns the first index with M ≥ threshold, or −1."""
    first = -1
    for i in range(len(losses)):
        update(state, losses[i], i, i)
        if first < 0 and state[MEAN] >= threshold:
            first = i
    return first


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _lay_down(state: F64, loss: float) -> None:
    """Takes a loss into the reference; with the last one the risk and the block length are set for good."""
    take(state, BATCHES, loss)
    n = int(state[_N])
    mean = state[_TOTAL] / n
    if n % batch_means.SHORTEST == 0:
        state[LIMIT] = HOLD * mean if mean > 0.0 else state[LIMIT]
        state[LENGTH] = float(long_enough(state, BATCHES, int(state[LENGTH])))
    if n >= REFERENCE:  # of losses that are all 0 the risk stays 0, and the reference goes on
        error = np.sqrt(long_run_variance(state, BATCHES, int(state[LENGTH])) / n)
        state[RISK] = (mean + ERRORS * error) * (1.0 + TOLERANCE)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _bet(state: F64, time: int, offset: int) -> None:
    """Settles the bets on a full block. The part staked is λ of the wealth one block ago: at most 2λ < 1 of the present one."""
    x = min(state[SUM] / state[OPEN] / state[RISK], MOST) - 1.0
    total = 0.0
    for k in range(len(STAKES)):
        wealth = max(state[M + k], 1.0)
        part = STAKES[k] * min(state[BEFORE + k] / wealth, 2.0)
        state[BEFORE + k] = wealth
        state[M + k] = min(wealth * (1.0 + part * x), CAP)
        total += state[M + k]
    state[MEAN] = total / len(STAKES)
    if state[MEAN] <= 1.0:
        state[SINCE], state[SINCE_OFFSET], state[RUN], state[RUN_SUM] = float(time), float(offset), 0.0, 0.0
    else:
        state[RUN] += state[OPEN]
        state[RUN_SUM] += state[SUM]
    state[SUM] = state[OPEN] = 0.0


@numba.njit(cache=True, nogil=True)
def _evidence(state: F64) -> float:
    """The mean of the CUSUMs; from LOWEST on times the losses of a block.

    The mean moves once a block, so it reaches A on average not before A blocks, which are that many times more losses; and thresholds
    are made for statistics that move with every reading.
    """
    mean = state[MEAN]
    return mean * _block(state) if mean >= LOWEST else mean


def log10_e(state: F64) -> float:
    """Base-10 logarithm of the evidence, not below 0; for `Evidence.log10_e`."""
    return float(log10(max(float(_evidence(state)), 1.0)))


def is_betting(state: F64) -> bool:
    """Whether the reference is complete."""
    return bool(state[RISK] > 0.0)


def reference_risk(state: F64) -> tuple[int, float]:
    """(losses, mean of the reference)."""
    n = int(state[_N])
    return n, float(state[_TOTAL]) / n if n else float("nan")


def risk_since(state: F64) -> tuple[int, float]:
    """(losses, mean) since the evidence began to rise, of full blocks."""
    n = int(state[RUN])
    return n, float(state[RUN_SUM]) / n if n else float("nan")


@numba.njit(cache=True, nogil=True)
def _block(state: F64) -> int:
    return length_of(min(int(state[LENGTH]), LONGEST))


def block_length(state: F64) -> int:
    """Losses in a block."""
    return int(_block(state))


def risk_test_to_bytes(state: F64) -> bytes:
    """The same state, the same bytes: WORDS little-endian float64."""
    return state.astype(_BYTES).tobytes()


def risk_test_from_bytes(data: bytes) -> F64:
    """The state that `risk_test_to_bytes` wrote; raises StateError for what can be none."""
    if len(data) != 8 * WORDS:
        raise StateError(f"risk test: {len(data)} bytes where one has {8 * WORDS}; fold the examples anew")
    state = np.frombuffer(data, _BYTES).astype(np.float64)
    whole = (state[LENGTH], state[OPEN], state[_N], state[TOP], state[FIRSTS])
    if not np.isfinite(state).all() or any(number != int(number) or number < 0 for number in whole):
        raise StateError("risk test: stored numbers are none or no counts; fold the examples anew")
    if state[LENGTH] >= batch_means.LEVELS or state[FIRSTS] >= held_losses.FIRST or state[TOP] > 21 or (state[M:BATCHES] < 0.0).any():
        raise StateError("risk test: an unknown block length, decade or wealth; fold the examples anew")
    return state
