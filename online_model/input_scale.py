"""Each entity's own running location and scale of every feature, which bring a vector into [0, 1] for the anomaly model.

Mean and variance follow Welford's update with the weight 1/n of a reading held at 1/MEMORY from then on: exponential
forgetting (Finch 2009, "Incremental calculation of weighted mean and variance", eqs. 4, 9). The output is linear,
0.5 + z / (2·REACH), and clamped: a squash such as z / (1 + |z|) spreads the usual values over most of [0, 1] and leaves
no empty space for the unusual ones, which is what Half-Space Trees look for (area under the ROC for 8 σ in 1 of 5
features: .80 with that squash, .99 with this line).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from contracts.errors import ModelError

MEMORY = 2000  # effective readings: without forgetting, an entity that changed for good stays strange for ever
MIN_READINGS = 32  # before that the scale is off by more than an eighth, and each entity's start would be an anomaly
REACH = 8.0  # σ at which the output meets 0 or 1; nearer loses the size of a spike, farther squeezes the usual together
HUGE = 1e100  # a learnt value is held within: the square of 1e155 is inf, and would stay in the variance for ever
ROUNDING = 1e-9  # σ below this share of the mean is rounding: without a floor a constant's last bit would be an anomaly

_COUNT_BITS = 16
_COUNT_MASK = 0xFFFF


class ScalePlan(NamedTuple):
    """Words of a row: `features` means, as many variances, then their counts, four in a word."""

    base: int
    words: int
    features: int
    memory: int


def plan_scale(base: int, features: int, memory: int = MEMORY) -> ScalePlan:
    """2¼ words a feature. Raises ModelError where `memory` does not fit a count's 16 bits."""
    if not MIN_READINGS <= memory <= _COUNT_MASK or features < 1:
        raise ModelError(f"input scale of {features} features with memory {memory}; write 1 or more, and {MIN_READINGS} to {_COUNT_MASK}")
    return ScalePlan(base, 2 * features + (features + 3) // 4, features, memory)


@numba.njit(cache=True, nogil=True)
def reset_scale(F, W, slot, plan):  # type: ignore[no-untyped-def]
    """Nothing is known of an entity just seen."""
    W[slot, plan.base : plan.base + plan.words] = 0


@numba.njit(cache=True, nogil=True)
def readings_of(W, slot, plan, feature):  # type: ignore[no-untyped-def]
    """How many values of a feature the scale rests on, at most `memory`."""
    word = W[slot, plan.base + 2 * plan.features + feature // 4]
    return (word >> (_COUNT_BITS * (feature & 3))) & _COUNT_MASK


@numba.njit(cache=True, nogil=True, forceinline=True)
def _scaled(value, mean, std):  # type: ignore[no-untyped-def]
    """A value in [0, 1], 0.5 where it is missing."""
    distance = value - mean
    if distance != distance or distance == 0.0:
        return 0.5
    reach = REACH * max(std, ROUNDING * abs(mean))
    if distance >= reach:
        return 1.0
    if distance <= -reach:
        return 0.0
    return 0.5 + distance / (2.0 * reach)


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _learn(F, W, slot, plan, j, value, n, mean, variance, std):  # type: ignore[no-untyped-def]
    """Takes a value of feature j, present n times before, into its location and scale.

    From MIN_READINGS on, a value moves them by no more than one at REACH deviations would: a spike of 1e17 is forgotten
    with the rest, while a scale that is truly too small still grows threefold in a hundred readings.
    """
    distance = min(max(value, -HUGE), HUGE) - mean
    if n >= MIN_READINGS:
        reach = REACH * std
        if reach <= REACH * ROUNDING * abs(mean):  # constant so far: let it take a first step of its own size
            reach = max(1.0, abs(mean))
        distance = min(max(distance, -reach), reach)
    if n < plan.memory:
        n += 1
        W[slot, plan.base + 2 * plan.features + j // 4] += np.int64(1) << np.int64(_COUNT_BITS * (j & 3))
    weight = 1.0 / n
    F[slot, plan.base + j] = mean + weight * distance
    F[slot, plan.base + plan.features + j] = (1.0 - weight) * (variance + weight * distance * distance)


@numba.njit(cache=True, nogil=True, forceinline=True)
def scale_inputs(F, W, slot, plan, vector, out, learning=False):  # type: ignore[no-untyped-def]
    """Writes the vector (features,) into `out`, each in [0, 1], and returns how many features have a scale yet.

    0.5 is the entity's own mean; also what is missing (NaN), and what has fewer than MIN_READINGS values. A feature that
    was constant gives 0.5 for that constant and 0 or 1 for any other value. With `learning` it is then taken into location and
    scale: both need the same roots, which take longer than the rest.
    """
    scaled = 0
    for j in range(plan.features):
        value, n = vector[j], readings_of(W, slot, plan, j)
        mean, variance = F[slot, plan.base + j], F[slot, plan.base + plan.features + j]
        std = np.sqrt(variance)
        out[j] = 0.5
        if n >= MIN_READINGS:
            scaled += 1
            out[j] = _scaled(value, mean, std)
        if learning and value == value:
            _learn(F, W, slot, plan, j, value, n, mean, variance, std)
    return scaled
