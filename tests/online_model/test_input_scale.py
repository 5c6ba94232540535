"""The input scale: what an entity's vector becomes before the anomaly model sees it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.errors import ModelError
from feature_store.rows import new_rows
from online_model.input_scale import MEMORY, MIN_READINGS, ScalePlan, plan_scale, readings_of, reset_scale, scale_inputs

SLOT = 1


class Scale:
    """One entity's scale between two others in the rows, at an offset."""

    def __init__(self, features: int, memory: int = MEMORY) -> None:
        self.plan: ScalePlan = plan_scale(3, features, memory)
        self.F, self.W = new_rows(3, 3 + self.plan.words + 2)
        self.W[:] = 77
        reset_scale(self.F, self.W, SLOT, self.plan)

    def learn(self, *vectors: NDArray[np.float64]) -> None:
        for vector in vectors:
            scale_inputs(self.F, self.W, SLOT, self.plan, vector, np.empty(self.plan.features), True)

    def of(self, *values: float) -> list[float]:
        out = np.full(self.plan.features, np.nan)
        scale_inputs(self.F, self.W, SLOT, self.plan, np.array(values), out)
        return out.tolist()

    @property
    def means(self) -> NDArray[np.float64]:
        return self.F[SLOT, 3 : 3 + self.plan.features]

    @property
    def variances(self) -> NDArray[np.float64]:
        return self.F[SLOT, 3 + self.plan.features : 3 + 2 * self.plan.features]


def test_mean_and_variance_are_those_of_the_readings() -> None:
    """Up to MEMORY readings without a spike, location and scale equal numpy's mean and population variance."""
    rng = np.random.default_rng(1)
    vectors = rng.normal([5.0, -300.0, 1e6], [1.0, 20.0, 0.1], (1500, 3))
    scale = Scale(3)
    scale.learn(*vectors)
    np.testing.assert_allclose(scale.means, vectors.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale.variances, vectors.var(axis=0), rtol=1e-9)


def test_counts_are_kept_for_each_feature() -> None:
    """A missing value counts for its feature alone; counts stop at the memory and do not run into each other."""
    scale = Scale(9, memory=40)
    for i in range(100):
        scale.learn(np.where(np.arange(9) <= i % 9, 1.0, np.nan))
    counts = [readings_of(scale.W, SLOT, scale.plan, j) for j in range(9)]
    assert counts == [min(40, sum(j <= i % 9 for i in range(100))) for j in range(9)]
    assert np.all(scale.W[[0, 2]] == 77)
    assert np.all(scale.W[SLOT, :3] == 77)
    assert np.all(scale.W[SLOT, 3 + scale.plan.words :] == 77)


def test_young_entity_gives_the_middle() -> None:
    """Before MIN_READINGS values every output is 0.5, and no feature counts as scaled."""
    scale = Scale(1)
    for i in range(MIN_READINGS):
        assert scale.of(1e9) == [0.5]
        assert scale_inputs(scale.F, scale.W, SLOT, scale.plan, np.zeros(1), np.zeros(1)) == 0
        scale.learn(np.array([float(i % 3)]))
    assert scale_inputs(scale.F, scale.W, SLOT, scale.plan, np.zeros(1), np.zeros(1)) == 1


def test_output_is_linear_within_eight_deviations() -> None:
    """The mean becomes 0.5, each deviation 1/16 more, and from eight on it is 1."""
    scale = Scale(1)
    scale.learn(*[np.array([v]) for v in (8.0, 12.0) * 50])
    assert scale.of(10.0) == [0.5]
    np.testing.assert_allclose([scale.of(10.0 + 2.0 * z)[0] for z in (-3, 1, 4)], [0.5 - 3 / 16, 0.5 + 1 / 16, 0.75])
    assert [scale.of(v)[0] for v in (26.0, 1e300, np.inf, -6.0, -np.inf)] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert scale.of(np.nan) == [0.5]


@pytest.mark.parametrize("constant", [0.0, 5.0, -1e-7, 1e90])
def test_constant_feature(constant: float) -> None:
    """A constant gives 0.5, and any other value beyond rounding an edge."""
    scale = Scale(1)
    scale.learn(*[np.array([constant])] * 200)
    assert scale.of(constant) == [0.5]
    assert scale.of(constant + max(1e-3, abs(constant) * 1e-3)) == [1.0]
    assert scale.of(constant - max(1e-3, abs(constant) * 1e-3)) == [0.0]
    assert 0.4 < scale.of(float(np.nextafter(constant, np.inf)))[0] < 0.6 or constant == 0.0


def test_spike_does_not_poison() -> None:
    """After 1e17 and infinity among usual readings, an eight-σ value is still far out and the mean where it was."""
    rng = np.random.default_rng(2)
    scale = Scale(1)
    scale.learn(*rng.normal(50.0, 2.0, (500, 1)))
    scale.learn(np.array([1e17]), np.array([np.inf]), np.array([-np.inf]))
    assert scale.of(66.0)[0] > 0.9
    assert abs(scale.of(50.0)[0] - 0.5) < 0.01


def test_spike_on_a_constant_does_not_poison() -> None:
    """A feature that was constant at a spike takes up its true scale within its memory."""
    rng = np.random.default_rng(3)
    scale = Scale(1)
    scale.learn(*[np.array([3.0])] * 100, np.array([1e17]))
    scale.learn(*rng.normal(3.0, 0.5, (2 * MEMORY, 1)))
    assert 0.25 < np.sqrt(scale.variances[0]) < 1.0


def test_entity_that_changed_for_good_becomes_usual() -> None:
    """After a shift of 100 σ the new level is back in the middle within half a memory; scale grows a thousandfold too."""
    rng = np.random.default_rng(4)
    scale = Scale(1)
    scale.learn(*rng.normal(0.0, 1.0, (5000, 1)))
    scale.learn(*rng.normal(100.0, 1000.0, (1000, 1)))
    assert 0.3 < scale.of(100.0)[0] < 0.7
    assert scale.of(1500.0)[0] < 0.8


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.floats(width=64), max_size=80), st.floats(width=64))
def test_state_and_output_stay_finite(values: list[float], probe: float) -> None:
    """Whatever doubles come, location and scale stay finite, the scale is not negative, and the output is in [0, 1]."""
    scale = Scale(1, memory=50)
    scale.learn(*[np.array([v]) for v in values * 2])
    assert np.isfinite(scale.means).all()
    assert np.isfinite(scale.variances).all()
    assert (scale.variances >= 0.0).all()
    assert 0.0 <= scale.of(probe)[0] <= 1.0


def test_wrong_memory_is_refused() -> None:
    """A memory that does not fit its bits is a ModelError."""
    with pytest.raises(ModelError, match="memory"):
        plan_scale(0, 3, 70_000)
