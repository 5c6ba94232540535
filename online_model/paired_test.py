"""The gate: a one-sided paired sequential test that a challenger's expected loss is smaller than the champion's.

Both models are scored on the same events; the test takes their losses pair by pair, in the order of the log, and may be looked
at after every pair. It is testing by betting (Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by
betting", JRSS B; Choe & Ramdas 2023, "Comparing sequential forecasters", for paired losses): wealth begins at 1 and stakes a
part of itself on the sum x of a block of differences champion − challenger. While E x ≤ 0 wealth has no tendency to grow, so it
reaches 1 / level with a chance of at most the level, ever (Ville 1939). No variance has to be right for that: E(1 + λx) ≤ 1
whatever the shape of x. The variance only sets the stakes, and with them how fast a gain shows.

* Dependence. Errors of neighbouring events are alike, so a block's sum can be foreseen a little from the block before it. Both
  the stake and the wealth of which it is a part are those of *one block earlier*:  W_j = W_{j−1} + λ_{j−1}·W_{j−2}·x_j. To second
  order this takes λ²·Σ x_j·x_{j−1} off log W: the covariance of neighbouring blocks, as a long-run variance does. Lagging by the
  horizon is what Henzi & Ziegel (2022, Biometrika 109) do for forecasts k steps ahead. Blocks double in length while
  neighbours correlate (`batch_means`), unless all of them say the same (SURE).
* Stakes. λ = θ·m / σ², the best stake for a challenger whose mean loss is lower by the share θ; m is the champion's mean loss,
  σ² the long-run variance of a difference, both from before. The e-value is the weighted mean over STAKES.
* Heavy tails. A loss counts at most HOLD times the champion's root mean square, so that one wild event decides nothing.

What it rests on: given what was known one whole block ago, held losses are equal on average where the models are equally good.
A mean that swings slowly (a daily cycle of "who is better") is no such thing, unless a block is longer than the swing. Where
the challenger has the heavier tail, holding takes more off it than off the champion, and a block may take more than all the wealth,
of which LEFT is given back; `benchmarks.gate` measures what these come to (docs/learning.md).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.elementary import log, log10
from contracts.errors import ModelError, StateError
from online_model import batch_means, held_losses
from online_model.batch_means import blocks_of, far_above_zero, length_of, long_enough, long_run_variance, take
from online_model.held_losses import first_size, held

F64 = NDArray[np.float64]

LEVEL = 0.003  # of a promotion; simulated shares come out up to twice as high, and their upper bound must stay below 1 %
STAKES = (0.085, 0.2)  # θ: .085 is near the best for a tenth less loss and gains from 4 % on, .2 is quick where the gain is large
WEIGHTS = (0.85, 0.15)  # with .7 and .3 a gain of a tenth takes 3 % more labels; with the small stake alone a halved loss a third more
HOLD = 8.0  # times the root mean square; at 5 a challenger with heavier tails is promoted 1.6 times as often, without it all are slower
BOLDEST = 0.25  # standard deviations of a block: stakes beyond it are lost on one bad block
FIRST_BLOCKS = 16  # seen before the first stake: σ² of fewer is chance
CAUTION = 4096.0  # m²·CAUTION / n is added to σ²: heavy tails show late, and a stake laid on too small a σ² loses half its wealth
SURE = 2.0  # standard deviations above 0 at which blocks grow no longer: a gain that is never in doubt but swings with the day correlates
# in blocks of every length, each is lengthened as soon as it could be bet on, and a champion eight times as bad stayed for good
RESTARTS = 200.0  # blocks; until then each block brings as much new wealth (half of all), later ever less, so that it sums to one
LEFT = 0.01  # of the wealth is left by a block that would take more than all
LEAST = 1e-100  # wealth that is 0 could never come back, and has no logarithm

# Words of the state.
CHAMPION, CHAMPION_SQUARES, LIMIT, LENGTH, SUM, BLOCKS, PEAK, RESTARTING = range(8)
WEALTH, BEFORE, STAKE, NEXT_STAKE = 8, 10, 12, 14  # a pair each, by STAKES
BATCHES = 16
FIRSTS = BATCHES + batch_means.WORDS
WORDS = FIRSTS + held_losses.WORDS
_N, _TOTAL = BATCHES + batch_means.COUNT, BATCHES + batch_means.TOTAL
_BYTES = np.dtype("<f8")

_CONFIDENCE_TIME = 5000.0  # labels at which the confidence sequence is narrowest beside an interval for that time alone


class Comparison(NamedTuple):
    """What the test says to people. Losses are held ones (HOLD), differences champion − challenger: above 0 the challenger is better."""

    labels: int  # that count: the first 16 only say how large losses are
    champion_loss: float  # means
    challenger_loss: float
    difference: float
    low: float  # 95 % confidence sequence of the difference, valid at all times together
    high: float
    log10_e: float
    block_length: int


def new_paired_test(restarting: bool = False) -> F64:
    """A state that has seen nothing: WORDS float64.

    `restarting` is for the watch over a champion after its promotion, where the losses are handed over the other way round. A
    long good time would use up the wealth; half of it is therefore kept to be laid in over time.
    """
    state = np.zeros(WORDS)
    reset(state, restarting)
    return state


@numba.njit(cache=True, nogil=True)
def reset(state: F64, restarting: bool) -> None:
    """Makes a state one that has seen nothing."""
    state[:] = 0.0
    begin = 0.5 if restarting else 1.0
    state[RESTARTING] = 1.0 if restarting else 0.0
    for k in range(len(STAKES)):
        state[WEALTH + k] = state[BEFORE + k] = begin * WEIGHTS[k]
    state[PEAK] = begin


@numba.njit(cache=True, nogil=True, error_model="numpy")
def update(state: F64, champion_loss: float, challenger_loss: float) -> float:
    """Takes the losses of both models on one event, and returns the e-value.

    Losses are ≥ 0 (absolute error, log loss, 0 or 1). One that is negative or not a number counts as the largest that counts.
    """
    limit = state[LIMIT]
    if limit == 0.0:
        state[LIMIT] = HOLD * first_size(state, FIRSTS, champion_loss)
        return e_value(state)
    champion_loss, challenger_loss = held(champion_loss, limit), held(challenger_loss, limit)
    state[CHAMPION] += champion_loss
    state[CHAMPION_SQUARES] += champion_loss * champion_loss
    state[SUM] += champion_loss - challenger_loss
    take(state, BATCHES, champion_loss - challenger_loss)
    n = int(state[_N])
    if n % batch_means.SHORTEST == 0:
        if state[CHAMPION_SQUARES] > 0.0:
            state[LIMIT] = HOLD * np.sqrt(state[CHAMPION_SQUARES] / n)
        if n % length_of(int(state[LENGTH])) == 0:
            _end_block(state)
    return e_value(state)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def update_many(state: F64, champion_losses: F64, challenger_losses: F64, level: float) -> int:
    """Takes n pairs in their order: the same state as n calls of `update`. Returns the first index with e ≥ 1 / level, or −1."""
    first = -1
    for i in range(len(champion_losses)):
        e = update(state, champion_losses[i], challenger_losses[i])
        if first < 0 and e * level >= 1.0:
            first = i
    return first


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _end_block(state: F64) -> None:
    """Settles the bets on the block that is full, and lays the stakes for the next but one."""
    x, total = state[SUM], 0.0
    blocks = state[BLOCKS]
    fresh = 0.5 * RESTARTS / ((blocks + RESTARTS) * (blocks + RESTARTS + 1.0)) if state[RESTARTING] != 0.0 else 0.0
    rate, boldest = _stakes(state)
    for k in range(len(STAKES)):
        wealth = state[WEALTH + k]
        staked = state[STAKE + k] * min(state[BEFORE + k], 2.0 * wealth)  # wealth that halved within a block must not be lost twice
        state[BEFORE + k] = wealth
        state[WEALTH + k] = max(wealth + staked * x, LEFT * wealth, LEAST) + fresh * WEIGHTS[k]
        total += state[WEALTH + k]
        state[STAKE + k] = state[NEXT_STAKE + k]
        state[NEXT_STAKE + k] = min(STAKES[k] * rate, boldest)
    state[PEAK] = max(state[PEAK], total)
    state[SUM] = 0.0
    state[BLOCKS] = blocks + 1.0
    level = int(state[LENGTH])
    if not far_above_zero(state, BATCHES, level, SURE):
        state[LENGTH] = float(long_enough(state, BATCHES, level))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _stakes(state: F64) -> tuple[float, float]:
    """(m / σ², the boldest stake) from all blocks so far; zeros where nothing can be said yet."""
    level = int(state[LENGTH])
    if blocks_of(state, BATCHES, level) < FIRST_BLOCKS:
        return 0.0, 0.0
    n = state[_N]
    mean = state[CHAMPION] / n
    variance = long_run_variance(state, BATCHES, level) + mean * mean * CAUTION / n
    if not (mean > 0.0 and variance > 0.0):
        return 0.0, 0.0
    return mean / variance, BOLDEST / np.sqrt(variance * length_of(level))


@numba.njit(cache=True, nogil=True)
def e_value(state: F64) -> float:
    """Evidence against "the challenger is not better", as of the last full block."""
    return state[WEALTH] + state[WEALTH + 1]


@numba.njit(cache=True, nogil=True)
def decided(state: F64, level: float) -> bool:
    """Whether the evidence has ever reached 1 / level."""
    return state[PEAK] * level >= 1.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def margin(state: F64, miss: float) -> float:
    """Half the width of the confidence sequence of the mean difference, which leaves the true one out with chance `miss`, ever.

    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence
    sequences", Annals of Statistics, theorem 2.2, with the long-run variance of batch means; inf before FIRST_BLOCKS blocks.
    """
    n, level = state[_N], int(state[LENGTH])
    if blocks_of(state, BATCHES, level) < FIRST_BLOCKS:
        return np.inf
    logs = -2.0 * log(miss)
    rho = (logs + log(logs) + 1.0) / _CONFIDENCE_TIME  # their ρ² that is best at a given time
    spread = long_run_variance(state, BATCHES, level)
    return np.sqrt(spread * 2.0 * (n * rho + 1.0) / (n * n * rho) * log(np.sqrt(n * rho + 1.0) / miss))


def compare(state: F64) -> Comparison:
    """Means, their difference and its 95 % confidence sequence; NaN of no pairs."""
    n = float(state[_N])
    champion, difference = (float(state[CHAMPION]) / n, float(state[_TOTAL]) / n) if n else (float("nan"), float("nan"))
    half = float(margin(state, 0.05))
    return Comparison(
        labels=int(n),
        champion_loss=champion,
        challenger_loss=champion - difference,
        difference=difference,
        low=difference - half,
        high=difference + half,
        log10_e=float(log10(e_value(state))),
        block_length=length_of(int(state[LENGTH])),
    )


def check_level(level: float) -> float:
    """The level itself; raises ModelError outside (0, ½)."""
    if not 0.0 < level < 0.5:
        raise ModelError(f"level {level} of a gate: write a chance of a wrong decision between 0 and 0.5, such as {LEVEL}")
    return level


def paired_test_to_bytes(state: F64) -> bytes:
    """The same state, the same bytes: WORDS little-endian float64."""
    return state.astype(_BYTES).tobytes()


def paired_test_from_bytes(data: bytes) -> F64:
    """The state that `paired_test_to_bytes` wrote; raises StateError for what can be none."""
    if len(data) != 8 * WORDS:
        raise StateError(f"gate: {len(data)} bytes where a paired test has {8 * WORDS}; fold the examples anew")
    state = np.frombuffer(data, _BYTES).astype(np.float64)
    whole = (state[LENGTH], state[BLOCKS], state[_N], state[FIRSTS])
    if not np.isfinite(state).all() or any(number != int(number) or number < 0 for number in whole):
        raise StateError("gate: a stored paired test holds numbers that are none or no counts; fold the examples anew")
    if (
        not state[LENGTH] < batch_means.LEVELS
        or not state[FIRSTS] < held_losses.FIRST
        or state[RESTARTING] not in (0.0, 1.0)
        or (state[WEALTH:STAKE] < 0.0).any()
    ):
        raise StateError("gate: a stored paired test has an unknown block length or a wealth below 0; fold the examples anew")
    return state
