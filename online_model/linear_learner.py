"""Linear models that learn an example at a time, compiled; step by step they are river's, within rounding.

========  =======================================================================================================
squared   ``StandardScaler() | TargetStandardScaler(LinearRegression(SGD(rate), clip_gradient=CLIP))``
log       ``StandardScaler() | LogisticRegression(SGD(rate))``, of the second of two classes
entropy   ``StandardScaler() | (a constant 1 added) | SoftmaxRegression(SGD(rate))``, told of all classes at its start
========  =======================================================================================================

One-hot columns stand beside the scaler's output. A missing input is left out of the scaler's counts and is its running mean, 0
after scaling: what river does with a feature that is not in the dict. So is a value beyond ±MOST, which no sensor gives; from a
target beyond it nothing is learnt. Inputs and targets are taken at most REACH deviations from their running mean, inputs in
predictions too: one spike would otherwise widen the running scale for good, and nothing else would be seen on it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.elementary import exp
from online_model.predictor import IDENTITY, LOGISTIC, SOFTMAX, Predictor, linear_predictor, softmax

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SQUARED, LOG, ENTROPY = 0, 1, 2  # losses
MOST = 1e50  # its square times a count is finite, and weights in the target's unit stay below what a predictor may hold
CLIP = 10.0  # of the squared loss's gradient: an error of five deviations; unbounded, one bad label undoes hours of learning
REACH = 10.0  # deviations; a level that moves farther than that still widens the scale step by step
YOUNG = 30  # values below which the scale is too uncertain to call one of them far
INTERCEPT_RATE = 0.01  # river's own default, whatever the number of inputs
_RATE = 0.01  # river's own default
_STABLE = {SQUARED: 0.1, LOG: 1.0, ENTROPY: 1.0}  # bound of rate × inputs: a step of 2·rate·‖x‖² above 1 overshoots, and then diverges
_LEAST = 1e-15  # river keeps probabilities this far from 0 and 1 in the gradient of the cross entropy
_FAR = 18.0  # river takes e^z + 1 as e^z or 1 beyond it

COUNT, MEAN, SUM = 0, 1, 2  # words of `target`: labels, their mean, their sum of squared deviations


class LinearLearner(NamedTuple):
    """State and settings: c columns, r raw numbers."""

    source: I64  # (c,) place in the vector
    equals: F64  # (c,) NaN: a number column; else one-hot
    seen: F64  # (c,) values seen of a number column
    mean: F64  # (c,)
    variance: F64  # (c,) of the population
    weights: F64  # (r, c) by scaled input
    intercepts: F64  # (r,)
    target: F64  # (3,) COUNT, MEAN, SUM; squared loss only
    loss: int
    rate: float


def learning_rate(loss: int, columns: int) -> float:
    """river's default where so many inputs allow it: .01 up to 10 of them for a number, 100 for classes, whose gradient is bounded."""
    return min(_RATE, _STABLE[loss] / columns)


def make_linear_learner(source: I64, equals: F64, outputs: int) -> LinearLearner:
    """A model that has learnt nothing: 1 output is a number, 2 are two classes, more are more."""
    loss, raws = (SQUARED, 1) if outputs == 1 else (LOG, 1) if outputs == 2 else (ENTROPY, outputs)
    columns = len(source)
    seen, mean, variance = np.zeros((3, columns))
    weights, intercepts = np.zeros((raws, columns)), np.zeros(raws)
    return LinearLearner(source, equals, seen, mean, variance, weights, intercepts, np.zeros(3), loss, learning_rate(loss, columns))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def within_reach(x: float, count: float, mean: float, variance: float) -> float:
    """x, or the end nearer to it of the running mean ± REACH deviations, where `count` values say what those are."""
    if count < YOUNG or variance <= 0.0:
        return x
    far = REACH * math.sqrt(variance)
    return min(max(x, mean - far), mean + far)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scale_and_learn(learner, vector, scaled):  # type: ignore[no-untyped-def]
    """river.preprocessing.StandardScaler's learn_one, then transform_one: Welford's running mean and variance."""
    for j in range(len(learner.source)):
        x = vector[learner.source[j]]
        wanted = learner.equals[j]
        if wanted == wanted:
            scaled[j] = 1.0 if x == wanted else 0.0
            continue
        scaled[j] = 0.0
        if abs(x) <= MOST:
            near = within_reach(x, learner.seen[j], learner.mean[j], learner.variance[j])
            learner.seen[j] += 1.0
            before = learner.mean[j]
            learner.mean[j] += (near - before) / learner.seen[j]
            learner.variance[j] += ((near - before) * (near - learner.mean[j]) - learner.variance[j]) / learner.seen[j]
            if learner.variance[j] > 0.0:
                scaled[j] = min(max((x - learner.mean[j]) / math.sqrt(learner.variance[j]), -REACH), REACH)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _target_variance(target):  # type: ignore[no-untyped-def]
    """Sample variance of the labels so far, 0 below two."""
    return target[SUM] / (target[COUNT] - 1.0) if target[COUNT] > 1.0 else 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scale_target(target, y):  # type: ignore[no-untyped-def]
    """river.preprocessing.TargetStandardScaler: takes the label in, then scales it."""
    y = within_reach(y, target[COUNT], target[MEAN], _target_variance(target))
    before = target[MEAN]
    target[COUNT] += 1.0
    target[MEAN] += (y - before) / target[COUNT]
    target[SUM] += (y - before) * (y - target[MEAN])
    deviation = math.sqrt(_target_variance(target))
    return (y - target[MEAN]) / deviation if deviation > 0.0 else 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _log_gradient(raw: float, sign: float) -> float:
    """river.optim.losses.Log's, of y = ±1."""
    z = raw * sign
    if z > _FAR:
        return -sign * exp(-z)
    if z < -_FAR:
        return -sign
    return -sign / (exp(z) + 1.0)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def learn_row(learner, vector, value, scaled, gradient):  # type: ignore[no-untyped-def]
    """Takes in one example: vector (dimension,), value (outputs,); scratch `scaled` (c,) and `gradient` (r,)."""
    for k in range(len(value)):
        if not abs(value[k]) <= (MOST if learner.loss == SQUARED else 1.0):
            return
    _scale_and_learn(learner, vector, scaled)
    for k in range(len(learner.intercepts)):
        total = learner.intercepts[k]
        for j in range(len(scaled)):
            total += learner.weights[k, j] * scaled[j]
        gradient[k] = total
    intercept_rate = INTERCEPT_RATE
    if learner.loss == SQUARED:
        gradient[0] = min(max(2.0 * (gradient[0] - _scale_target(learner.target, value[0])), -CLIP), CLIP)
    elif learner.loss == LOG:
        gradient[0] = _log_gradient(gradient[0], 1.0 if value[1] > value[0] else -1.0)
    else:
        intercept_rate = learner.rate  # in river's softmax the intercept is the weight of a constant input
        softmax(gradient, gradient)
        for k in range(len(gradient)):
            gradient[k] = min(max(gradient[k], _LEAST), 1.0 - _LEAST) - value[k]
    for k in range(len(gradient)):
        learner.intercepts[k] -= intercept_rate * gradient[k]
        for j in range(len(scaled)):
            learner.weights[k, j] -= learner.rate * (gradient[k] * scaled[j])


def compiled_form(learner: LinearLearner) -> Predictor:
    """What the model predicts now; the scales are folded in: of the inputs into the design, of the target into the weights."""
    numbers = np.isnan(learner.equals)
    known = numbers & (learner.variance > 0.0)
    scale = np.where(known, np.sqrt(np.where(known, learner.variance, 1.0)), 1.0)
    center = np.where(numbers, learner.mean, 0.0)
    coefficients, intercepts = np.where(known | ~numbers, learner.weights, 0.0), learner.intercepts.copy()
    if learner.loss == SQUARED:
        deviation = math.sqrt(_target_variance(learner.target))
        coefficients, intercepts = coefficients * deviation, intercepts * deviation + learner.target[MEAN]
    link = {SQUARED: IDENTITY, LOG: LOGISTIC, ENTROPY: SOFTMAX}[learner.loss]
    return linear_predictor(learner.source, learner.equals, center.copy(), center, scale, coefficients, intercepts, link, REACH)
