"""What every anomaly model must hold to: run `check_model` on a function that makes one from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from online_model.anomaly_model import AnomalyModel

WARM_UP = 300  # vectors after which each model must score


def stream(n: int, features: int, seed: int = 7) -> NDArray[np.float64]:
    """Vectors in [0, 1]: mostly usual, some far out, some values missing or on the edge."""
    rng = np.random.default_rng(seed)
    vectors = np.clip(rng.normal(0.5, 0.06, (n, features)), 0.0, 1.0)
    vectors[rng.uniform(size=n) < 0.02] = rng.uniform(size=features)
    vectors[rng.uniform(size=(n, features)) < 0.02] = np.nan
    vectors[rng.uniform(size=(n, features)) < 0.01] = 1.0
    return vectors


def trained(make: Callable[[int], AnomalyModel], vectors: NDArray[np.float64], seed: int = 1) -> AnomalyModel:
    model = make(seed)
    for vector in vectors:
        model.learn_one(vector)
    return model


def check_model(make: Callable[[int], AnomalyModel], features: int, seeded: bool) -> None:
    """All checks; `seeded` says whether the model draws at random."""
    check_scores_wait(make, features)
    check_scoring_changes_nothing(make, features)
    check_unusual_scores_higher(make, features)
    check_restore_at_any_point(make, features)
    check_state_is_bounded(make, features)
    check_impossible_inputs(make, features)
    check_seed(make, features, seeded)


def check_scores_wait(make: Callable[[int], AnomalyModel], features: int) -> None:
    """A model that has learnt nothing has no score, and has one after the warm-up."""
    assert make(1).score_one(np.full(features, 0.5)) is None
    assert trained(make, stream(WARM_UP, features)).score_one(np.full(features, 0.5)) is not None


def check_scoring_changes_nothing(make: Callable[[int], AnomalyModel], features: int) -> None:
    """Scores between the learning leave the same state, and the same score comes twice."""
    vectors = stream(WARM_UP, features)
    quiet, scored = make(1), make(1)
    for i, vector in enumerate(vectors):
        quiet.learn_one(vector)
        if i % 10 == 0:
            assert scored.score_one(vector) == scored.score_one(vector)
        scored.learn_one(vector)
        before = vector.copy()
        assert np.array_equal(vector, before, equal_nan=True)
    assert quiet.to_bytes() == scored.to_bytes()


def check_unusual_scores_higher(make: Callable[[int], AnomalyModel], features: int) -> None:
    """The corner of the cube, where nothing fell, scores above the median of the usual."""
    model = trained(make, stream(2 * WARM_UP, features))
    usual = [model.score_one(vector) for vector in stream(20, features, seed=8)]
    corner = model.score_one(np.ones(features))
    assert corner is not None
    assert corner >= np.median([score for score in usual if score is not None])


def check_restore_at_any_point(make: Callable[[int], AnomalyModel], features: int) -> None:
    """Saved and restored before, in and after the warm-up, a model goes on with the same scores and the same bytes."""
    vectors = stream(WARM_UP + 40, features)
    for cut in (0, 1, WARM_UP - 60, WARM_UP):
        model = trained(make, vectors[:cut])
        restored = make(1).from_bytes(model.to_bytes())
        assert restored.to_bytes() == model.to_bytes()
        for i, vector in enumerate(vectors[cut : cut + 40]):
            if i % 8 == 0:
                assert restored.score_one(vector) == model.score_one(vector)
            model.learn_one(vector)
            restored.learn_one(vector)
        assert restored.to_bytes() == model.to_bytes()


def check_state_is_bounded(make: Callable[[int], AnomalyModel], features: int) -> None:
    """Once warm, ten times as many vectors do not make the state larger."""
    vectors = stream(10 * WARM_UP, features)
    warm = len(trained(make, vectors[: 3 * WARM_UP]).to_bytes())
    assert len(trained(make, vectors).to_bytes()) <= 1.1 * warm


def check_impossible_inputs(make: Callable[[int], AnomalyModel], features: int) -> None:
    """NaN, infinities and huge values give a finite score or none, and do no harm to what follows."""
    model = trained(make, stream(WARM_UP, features))
    for value in (np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324):
        for vector in (np.full(features, value), np.array([value] + [0.5] * (features - 1))):
            score = model.score_one(vector)
            assert score is None or math.isfinite(score)
            model.learn_one(vector)
    score = model.score_one(np.full(features, 0.5))
    assert score is not None
    assert math.isfinite(score)
    assert make(1).from_bytes(model.to_bytes()).to_bytes() == model.to_bytes()


def check_seed(make: Callable[[int], AnomalyModel], features: int, seeded: bool) -> None:
    """The same seed and vectors give the same bytes; another seed gives others where the model draws."""
    vectors = stream(WARM_UP, features)
    first = trained(make, vectors, seed=1).to_bytes()
    assert trained(make, vectors, seed=1).to_bytes() == first
    if seeded:
        assert trained(make, vectors, seed=2).to_bytes() != first
