"""From anomaly scores to evidence about an entity as a whole: conformal p-values become e-values, and those a CUSUM.

Scores depend on each other as long as their windows overlap, and follow the day. So one bet is made a *block*, of the
longest window or a hundredth of a season, on the mean of its scores, less what the block before lets one expect (a running
regression of a block on the one before). What is left is ranked among the newest RING of its kind, which span two seasons
(the blocks of an excursion of M join them at its end, at the latest after MOST_HELD):

    p = k / (n + 1), k = 1 + #{recent ≥ this one}
    e = (n + 1) · ∫ f over ((k − 1) / (n + 1), k / (n + 1)],  f(u) = ∫₀¹ κ u^(κ−1) dκ,  ∫₀ˣ f = (1 − x) / −ln x

f is the mixture calibrator (Vovk & Wang 2021, "E-values: calibration, combination and applications", section 2). Its mean
over the step of p, instead of f(p), wastes nothing to discreteness: where the residuals are exchangeable and have no ties,
the n + 1 values of e have the mean 1 exactly. A tie counts against the anomaly, and e falls in k, so ties only lower it.
M = max(M, 1) · e is the e-detector of Shin, Ramdas & Rinaldo 2022.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.elementary import log
from online_model import e_detector
from online_model.cell_evidence import LOWEST, decade
from online_model.conformal import count_at_least, key_of, put_key
from online_model.evidence_buffer import (
    CONTRIBUTION,
    CONTRIBUTOR,
    CONTRIBUTORS,
    CURRENT_MEAN,
    CURRENT_N,
    CURRENT_STD,
    DIRECTION,
    READINGS,
    REFERENCE_MEAN,
    REFERENCE_N,
    REFERENCE_STD,
    SINCE,
    SINCE_OFFSET,
    EvidenceBuffer,
    emit,
)

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

RING = 192  # residuals remembered: blocks of a hundredth of a season must span two, or a time of day is an anomaly
YOUNG = 96  # residuals before bets: the smallest p is then about a hundredth
CAP = 1e20
_LEARNABLE = 10.0  # blocks that have become evidence wait, and do not move what is told as the reference
MOST_HELD = 4  # blocks that wait at most: each bets against the same ring, and one that is low by chance then counts for all of them
_MEMORY = 500.0  # blocks that the regression remembers; shorter follows an anomaly, longer a model that has long since changed
_FIRST_RESIDUAL = 12.0  # blocks before the regression predicts anything
_REACH = 3.0  # deviations; nearer, the regression would not follow a model that has changed
_STEEPEST = 0.98  # of the regression's slope; above, a score that stays high would be expected to stay for ever
_WHOLE = 0.5  # a block with less than this share of the usual readings has another spread and is passed over
_GAP = 2.0  # blocks farther apart than so many times the usual do not tell of each other
_ANOMALY = 1  # online_model.evidence_buffer.Source.ANOMALY

# Words of the part, before the inputs of the block's highest score and the ring.
M, TOP, SINCE_TIME, SINCE_AT = 0, 1, 2, 3
END, BEGAN_OFFSET, SUM, COUNT, HIGHEST = 4, 5, 6, 7, 8  # of the block in the making
CLOSED, USUAL_COUNT, USUAL_GAP = 9, 10, 11  # blocks so far, their readings, and the time from one to the next
PREVIOUS, PREVIOUS_END = 12, 13
N, MEAN_X, MEAN_Y, VAR_X, COV = 14, 15, 16, 17, 18  # of the regression
RANKED, FIRST_END = 19, 20  # residuals so far; end of the first block among them
USUAL_N, USUAL_MEAN, USUAL_VAR = 21, 22, 23  # block means, for people
NOW_N, NOW_MEAN, NOW_M2 = 24, 25, 26  # the same since M left its ground
WAITING = 27  # residuals that wait for the ring to take them
HELD = 28
INPUTS = HELD + MOST_HELD // 2


class ScoreEvidencePlan(NamedTuple):
    """Words of a row: those above (residuals that wait among them, two in a word), `inputs` scaled inputs, then RING residuals."""

    base: int
    words: int
    inputs: int
    block_us: int
    season_us: int


def plan_score_evidence(feed: Feed, base: int, inputs: int) -> ScoreEvidencePlan:
    """Lays out the part for a model of so many inputs."""
    block = max(feed.window_us[-1], 2 * feed.season_us // RING)
    return ScoreEvidencePlan(base, INPUTS + inputs + RING // 2, inputs, block, feed.season_us)


@numba.njit(cache=True, nogil=True)
def reset_score_evidence(F: F64, slot: int, plan: ScoreEvidencePlan) -> None:
    """Nothing is known of an entity just seen."""
    F[slot, plan.base : plan.base + plan.words] = 0.0
    F[slot, plan.base + M] = 1.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def e_value(k: int, n: int) -> float:
    """The e-value of rank k, 1 to n + 1, 1 the highest; the mean over all ranks is 1."""
    return (n + 1.0) * (_calibrated(k / (n + 1.0)) - _calibrated((k - 1.0) / (n + 1.0)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _calibrated(x: float) -> float:
    """The integral of the mixture calibrator from 0 to x."""
    if x <= 0.0:
        return 0.0
    return 1.0 if x >= 1.0 else (1.0 - x) / -log(x)


@numba.njit(cache=True, nogil=True, forceinline=True)
def take_score(
    F: F64,
    W: I64,
    slot: int,
    plan: ScoreEvidencePlan,
    score: float,
    inputs: F64,
    time: int,
    offset: int,
    readings: int,
    buffer: EvidenceBuffer,
    index: int,
) -> None:
    """Takes the score of an in-order reading in; when it begins a new block, bets on the one before.

    Args:
        inputs: (inputs,) what the model saw, in [0, 1]. time: event time, µs. offset: of the record.
        readings: of the entity so far. index: row of the record in the batch.
    """
    state = F[slot, plan.base : plan.base + plan.words]
    if float(time) >= state[END]:
        if state[COUNT] > 0.0:
            _close(state, W[slot, plan.base : plan.base + plan.words], plan, slot, readings, buffer, index)
        state[END] = float((time // plan.block_us + 1) * plan.block_us)
        state[BEGAN_OFFSET] = float(offset)
        state[SUM] = state[COUNT] = 0.0
        state[HIGHEST] = -1.0
    state[SUM] += score
    state[COUNT] += 1.0
    if score > state[HIGHEST]:
        state[HIGHEST] = score
        for j in range(plan.inputs):
            state[INPUTS + j] = inputs[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _close(state: F64, words: I64, plan: ScoreEvidencePlan, slot: int, readings: int, buffer: EvidenceBuffer, index: int) -> None:
    mean, gap = state[SUM] / state[COUNT], state[END] - state[PREVIOUS_END]
    whole = state[COUNT] >= _WHOLE * state[USUAL_COUNT]
    follows = state[CLOSED] > 0.0 and (state[CLOSED] == 1.0 or gap <= _GAP * state[USUAL_GAP])
    if state[CLOSED] > 0.0:
        known = gap if state[CLOSED] == 1.0 else min(gap, 4.0 * state[USUAL_GAP])
        state[USUAL_GAP] += (known - state[USUAL_GAP]) / min(state[CLOSED], 100.0)
    state[CLOSED] += 1.0
    state[USUAL_COUNT] += (state[COUNT] - state[USUAL_COUNT]) / min(state[CLOSED], 100.0)
    if not whole:
        return
    if follows:
        if state[N] >= _FIRST_RESIDUAL:
            _bet(state, words, plan, mean - _expected(state), mean, slot, readings, buffer, index)
        _learn(state, state[PREVIOUS], mean)
    state[PREVIOUS], state[PREVIOUS_END] = mean, state[END]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _expected(state: F64) -> float:
    slope = state[COV] / state[VAR_X] if state[VAR_X] > 0.0 else 0.0
    return float(state[MEAN_Y] + min(max(slope, 0.0), _STEEPEST) * (state[PREVIOUS] - state[MEAN_X]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _learn(state: F64, x: float, y: float) -> None:
    """Moments with exponential forgetting (Finch 2009, as in input_scale.py), a block counting for no more than _REACH deviations.

    A few blocks of an anomaly would else teach that what is high stays high, and the next ones would be no surprise.
    """
    state[N] = min(state[N] + 1.0, _MEMORY)
    weight = 1.0 / state[N]
    reach = _REACH * np.sqrt(state[VAR_X]) if state[N] > _FIRST_RESIDUAL else np.inf
    dx, dy = min(max(x - state[MEAN_X], -reach), reach), min(max(y - state[MEAN_Y], -reach), reach)
    state[MEAN_X] += weight * dx
    state[MEAN_Y] += weight * dy
    state[VAR_X] = (1.0 - weight) * (state[VAR_X] + weight * dx * dx)
    state[COV] = (1.0 - weight) * (state[COV] + weight * dx * dy)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _bet(
    state: F64,
    words: I64,
    plan: ScoreEvidencePlan,
    residual: float,
    mean: float,
    slot: int,
    readings: int,
    buffer: EvidenceBuffer,
    index: int,
) -> None:
    ring = words[INPUTS + plan.inputs :]
    key = key_of(residual)
    if state[RANKED] == 0.0:
        state[FIRST_END] = state[END]
    n = int(min(state[RANKED], float(RING)))
    if n >= YOUNG and state[END] - state[FIRST_END] >= 2.0 * plan.season_us:
        if state[M] <= 1.0:
            state[SINCE_TIME], state[SINCE_AT] = state[END] - plan.block_us, state[BEGAN_OFFSET]
            state[NOW_N] = state[NOW_MEAN] = state[NOW_M2] = 0.0
        state[M] = min(max(state[M], 1.0) * e_value(1 + count_at_least(ring, n, key), n), CAP)
        state[NOW_N] += 1.0
        far = mean - state[NOW_MEAN]
        state[NOW_MEAN] += far / state[NOW_N]
        state[NOW_M2] += far * (mean - state[NOW_MEAN])
        if state[M] >= LOWEST or state[TOP] > 0.0:
            top = decade(state[TOP], state[M])
            if top != state[TOP]:
                state[TOP] = top
                _emit(state, plan, slot, readings, buffer, index)
    remember_residual(state, words, plan.inputs, key)
    if state[M] < _LEARNABLE:
        state[USUAL_N] = min(state[USUAL_N] + 1.0, _MEMORY)
        weight, far = 1.0 / state[USUAL_N], mean - state[USUAL_MEAN]
        state[USUAL_MEAN] += weight * far
        state[USUAL_VAR] = (1.0 - weight) * (state[USUAL_VAR] + weight * far * far)


@numba.njit(cache=True, nogil=True)
def remember_residual(state: F64, words: I64, inputs: int, key: int) -> None:
    """Puts a residual into the ring; those of an excursion wait for its end, or they would soon hide what goes on."""
    ring, held = words[INPUTS + inputs :], words[HELD:INPUTS]
    waiting = int(state[WAITING])
    if state[M] >= _LEARNABLE and waiting < MOST_HELD:
        put_key(held, waiting, key)
        state[WAITING] += 1.0
        return
    for i in range(waiting):
        word = held[i // 2]
        put_key(ring, int(state[RANKED]) % RING, word >> 32 if i & 1 else (word << 32) >> 32)
        state[RANKED] += 1.0
    state[WAITING] = 0.0
    put_key(ring, int(state[RANKED]) % RING, key)
    state[RANKED] += 1.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _emit(state: F64, plan: ScoreEvidencePlan, slot: int, readings: int, buffer: EvidenceBuffer, index: int) -> None:
    """Samples are of block means of the score; contributions, distances of the inputs from their usual in their own scale."""
    row = emit(buffer, index, slot, _ANOMALY, -1, e_detector.log_of(state[M]))
    numbers = buffer.numbers[row]
    numbers[DIRECTION] = 0.0
    numbers[SINCE], numbers[SINCE_OFFSET], numbers[READINGS] = state[SINCE_TIME], state[SINCE_AT], float(readings)
    numbers[REFERENCE_N], numbers[REFERENCE_MEAN], numbers[REFERENCE_STD] = state[USUAL_N], state[USUAL_MEAN], np.sqrt(state[USUAL_VAR])
    numbers[CURRENT_N], numbers[CURRENT_MEAN] = state[NOW_N], state[NOW_MEAN]
    numbers[CURRENT_STD] = np.sqrt(max(state[NOW_M2], 0.0) / max(state[NOW_N] - 1.0, 1.0))
    total = 0.0
    for j in range(plan.inputs):
        total += abs(state[INPUTS + j] - 0.5)
    below, last = np.inf, -1
    for place in range(min(CONTRIBUTORS, plan.inputs)):
        found, distance = -1, 0.0
        for j in range(plan.inputs):
            far = abs(state[INPUTS + j] - 0.5)
            if far > distance and (far < below or (far == below and j > last)):
                found, distance = j, far
        if found < 0:
            return
        numbers[CONTRIBUTOR + place], numbers[CONTRIBUTION + place] = float(found), distance / total
        below, last = distance, found
