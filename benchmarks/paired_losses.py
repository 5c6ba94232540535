"""Losses of two models on the same events: autoregressive errors with Student t(3) innovations, and the gate over many such pairs.

An error is  s·u + z·v + b:  u of the model's own, v shared by both, each an autoregression of .8 with t(3) innovations; s and b are
the model's. The loss is its absolute value. The mean of it is known without simulation (`mean_absolute_error`), so that two
models of unlike spread and bias can be given exactly the same. A difference of losses that is itself such an autoregression, d·v,
is made by adding its positive part to the champion's loss and its negative part to the challenger's.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from contracts.hashing import mix
from online_model import batch_means, paired_test, risk_test

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

COEFFICIENT = 0.8
ERROR_STD = float(np.sqrt(3.0 / (1.0 - COEFFICIENT**2)))  # of an autoregression of t(3) innovations
CHUNK = 1024  # events drawn at a time
_SETTLING = 64  # events before the first: .8**64 of nothing is left
_CELLS = 4096  # of equal probability; linear between their quantiles
_OUTER = 8  # cells on each side that are drawn by the exact quantile instead
_QUANTILES = stats.t(3).ppf(np.arange(_CELLS + 1) / _CELLS)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FRACTION = np.uint64(0xFFFFFFFFFFFFF)


class GatePlan(NamedTuple):
    """How a gate is run: `labels` pairs at most, the challenger's losses times `factor`, from label `change` on times `later`."""

    labels: int
    level: float
    restarting: bool
    factor: float
    change: int
    later: float
    difference: float


class Models(NamedTuple):
    """Spread and bias of the errors of champion and challenger, the spread of what both share, and that of a difference of losses."""

    champion: float
    champion_bias: float
    challenger: float
    challenger_bias: float
    shared: float = 0.0
    difference: float = 0.0


def mean_absolute_error(spread: float, shared: float, bias: float) -> float:
    """E|s·u + z·v + b|, by the characteristic functions: 2/π ∫ (1 − φ(st)·φ(zt)·cos bt) / t² dt.

    That of t(3) is (1 + √3|t|)·exp(−√3|t|); that of the autoregression the product of it at t·.8ᵏ.
    """

    def phi(t: float) -> float:
        a = np.sqrt(3.0) * abs(t) * COEFFICIENT ** np.arange(80)
        return float(np.prod((1.0 + a) * np.exp(-a)))

    end = 20.0 / max(spread, shared)  # φ is below 1e-13 from there on
    part, _ = integrate.quad(lambda t: (1.0 - phi(spread * t) * phi(shared * t) * np.cos(bias * t)) / (t * t), 0.0, end, limit=2000)
    return float(2.0 / np.pi * (part + 1.0 / end))


def bias_for(mean: float, spread: float, shared: float = 0.0) -> float:
    """The bias that gives errors of a spread this mean absolute error."""
    return float(optimize.brentq(lambda b: mean_absolute_error(spread, shared, b) - mean, 0.0, 20.0 * mean, xtol=1e-12))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def lower_quantile(p: float) -> float:
    """The p-quantile of t(3) for p ≤ 1/100: Newton's steps on the distribution function from its first term."""
    x = -((2.0 * np.sqrt(3.0) / np.pi / p) ** (1.0 / 3.0))
    for _ in range(5):
        a = -x / np.sqrt(3.0)
        below = (np.arctan(1.0 / a) - a / (1.0 + a * a)) / np.pi
        x -= (below - p) * np.pi * (3.0 + x * x) ** 2 / (6.0 * np.sqrt(3.0))
    return x


@numba.njit(cache=True, nogil=True)
def draw(state: NDArray[np.uint64], i: int) -> float:
    """A t(3) number from the i-th generator (splitmix64)."""
    state[i] += _GAMMA
    bits = mix(state[i])
    cell = np.int64(bits >> np.uint64(52))
    fraction = (np.float64(np.int64(bits & _FRACTION)) + 0.5) / 4503599627370496.0
    if cell < _OUTER:
        return lower_quantile((cell + fraction) / _CELLS)
    if cell >= _CELLS - _OUTER:
        return -lower_quantile((_CELLS - cell - fraction) / _CELLS)
    return _QUANTILES[cell] + fraction * (_QUANTILES[cell + 1] - _QUANTILES[cell])


@numba.njit(cache=True, nogil=True)
def begin(seed: int) -> tuple[NDArray[np.uint64], F64]:
    """(generators, autoregressions) of a pair: the same seed, the same errors."""
    generators, errors = np.empty(3, np.uint64), np.zeros(3)
    for i in range(3):
        generators[i] = mix(mix(np.uint64(seed)) + np.uint64(i))
    nothing = np.empty(_SETTLING)
    losses(Models(0.0, 0.0, 0.0, 0.0, 1.0, 0.0), generators, errors, nothing, nothing, 1.0)
    return generators, errors


@numba.njit(cache=True, nogil=True)
def losses(models: Models, generators: NDArray[np.uint64], errors: F64, champion: F64, challenger: F64, factor: float) -> None:
    """Fills both arrays with the losses on the next events; the challenger's are multiplied by `factor`."""
    shared, own, other = errors
    for t in range(len(champion)):
        own = COEFFICIENT * own + draw(generators, 0)
        other = COEFFICIENT * other + draw(generators, 1)
        if models.shared != 0.0 or models.difference != 0.0:
            shared = COEFFICIENT * shared + draw(generators, 2)
        gap = models.difference * shared
        champion[t] = abs(models.champion * own + models.shared * shared + models.champion_bias) + max(gap, 0.0)
        challenger[t] = (abs(models.challenger * other + models.shared * shared + models.challenger_bias) + max(-gap, 0.0)) * factor
    errors[0], errors[1], errors[2] = shared, own, other


@numba.njit(cache=True, nogil=True)
def run_gate(models: Models, seed: int, plan: GatePlan, taken: I64, missed: NDArray[np.bool_]) -> None:
    """Fills `taken` with the label at which each pair's challenger was taken, −1 where it never was; pair i has seed + i.

    `missed`: whether the 95 % confidence sequence, looked at every 1,024 labels while the gate was open, ever left out the true
    difference, which is `plan.difference` as long as the challenger does not change.
    """
    champion, challenger = np.empty(CHUNK), np.empty(CHUNK)
    state = np.empty(paired_test.WORDS)
    for i in range(len(taken)):
        generators, errors = begin(seed + i)
        paired_test.reset(state, plan.restarting)
        taken[i], missed[i] = -1, False
        for at in range(0, plan.labels, CHUNK):
            losses(models, generators, errors, champion, challenger, plan.factor if at < plan.change else plan.later)
            first = paired_test.update_many(state, champion, challenger, plan.level)
            count = state[paired_test.BATCHES + batch_means.COUNT]
            mean = state[paired_test.BATCHES + batch_means.TOTAL] / count
            if abs(mean - plan.difference) > paired_test.margin(state, 0.05):
                missed[i] = True
            if first >= 0:
                taken[i] = at + first + 1
                break


@numba.njit(cache=True, nogil=True)
def run_risk(models: Models, seed: int, labels: int, change: int, factor: float, threshold: float, alarms: I64) -> None:
    """Fills `alarms` with the label at which M of each champion's risk test first reached the threshold, −1 where it never did.

    From label `change` on the champion's losses are multiplied by `factor`.
    """
    champion, challenger = np.empty(CHUNK), np.empty(CHUNK)
    state = np.empty(risk_test.WORDS)
    for i in range(len(alarms)):
        generators, errors = begin(seed + i)
        risk_test.reset(state)
        alarms[i] = -1
        for at in range(0, labels, CHUNK):
            losses(models, generators, errors, champion, challenger, 1.0)
            if at >= change:
                champion *= factor
            first = risk_test.update_many(state, champion, threshold)
            if first >= 0:
                alarms[i] = at + first + 1
                break
