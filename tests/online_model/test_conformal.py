"""Conformal p-values: exact against a count by hand, and valid on exchangeable scores."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.errors import ModelError
from feature_store.rows import new_rows
from online_model.conformal import new_group_scores, p_value, plan_conformal, remember_score, reset_conformal


def by_hand(recent: list[float], score: float) -> float:
    """(1 + #{recent ≥ score}) / (n + 1) in float32."""
    return (1 + sum(np.float32(r) >= np.float32(score) for r in recent)) / (len(recent) + 1)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.one_of(st.floats(allow_nan=False), st.sampled_from([0.0, -0.0, 0.5, 0.25])), min_size=1, max_size=60))
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_p_is_the_share_at_least_as_high(scores: list[float]) -> None:
    """On every score p equals the count by hand, for the ring of the entity and of the group, before and after they are full."""
    plan = plan_conformal(2, recent=12, young=3)
    F, W = new_rows(3, 2 + plan.words)
    W[:] = -1
    reset_conformal(F, W, 1, plan)
    group = new_group_scores(20)
    for i, score in enumerate(scores):
        own, all_of_group = scores[max(0, i - 12) : i], scores[max(0, i - 20) : i]
        p = p_value(F, W, 1, plan, group, score)
        if len(own) >= 3:
            assert p == by_hand(own, score)
        else:
            assert np.isnan(p)
        assert np.isnan(p_value(F, W, 1, plan, group, np.nan))
        reset_conformal(F, W, 0, plan)
        young = p_value(F, W, 0, plan, group, score)
        assert np.isnan(young) if i < 3 else young == by_hand(all_of_group, score)
        remember_score(F, W, 1, plan, group, score)
        remember_score(F, W, 1, plan, group, np.nan)
    assert np.all(W[2] == -1)


@numba.njit
def simulate(F, W, plan, group, scores, p):  # type: ignore[no-untyped-def]
    """p of each score, each remembered after it."""
    for i in range(len(scores)):
        p[i] = p_value(F, W, 0, plan, group, scores[i])
        remember_score(F, W, 0, plan, group, scores[i])


@pytest.mark.parametrize("kind", ["continuous", "ties", "heavy"])
def test_valid_on_exchangeable_scores(kind: str) -> None:
    """P(p ≤ α) is at most α within ten standard errors, for every α, and equal to it where there are no ties."""
    rng = np.random.default_rng(5)
    n = 400_000
    scores: dict[str, NDArray[np.float64]] = {
        "continuous": rng.uniform(size=n),
        "ties": rng.integers(0, 8, n) / 8.0,
        "heavy": rng.standard_cauchy(n) * 1e30,
    }
    plan = plan_conformal(0)
    F, W = new_rows(1, plan.words)
    p = np.zeros(n)
    simulate(F, W, plan, new_group_scores(), scores[kind], p)
    p = p[plan.recent :]
    for alpha in (1 / 201, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9):
        # rings of neighbours overlap, so p-values are not independent: allow twice their error
        error = 2 * 5 * np.sqrt(alpha * (1 - alpha) / len(p))
        assert np.mean(p <= alpha) <= alpha + error
        if kind == "continuous":
            assert np.mean(p <= alpha) >= np.floor(alpha * 201) / 201 - error


def test_unusual_score_has_the_smallest_p() -> None:
    """A score above all remembered has p = 1 / (n + 1), and the lowest has p = 1."""
    plan = plan_conformal(0)
    F, W = new_rows(1, plan.words)
    group = new_group_scores()
    for i in range(500):
        remember_score(F, W, 0, plan, group, i / 1000)
    assert p_value(F, W, 0, plan, group, 0.9) == 1 / 201
    assert p_value(F, W, 0, plan, group, 0.0) == 1.0


@pytest.mark.parametrize(("recent", "young"), [(7, 3), (0, 1), (10, 11), (10, 0)])
def test_wrong_sizes_are_refused(recent: int, young: int) -> None:
    """A ring that does not fit its words, or is never old enough, is a ModelError."""
    with pytest.raises(ModelError, match="write an even number"):
        plan_conformal(0, recent, young)
