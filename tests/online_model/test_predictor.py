"""The compiled form: what it predicts, that batches do not show, and what it makes of hostile vectors."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from online_model.predictor import IDENTITY, LARGEST, SOFTMAX, linear_predictor, outputs_of, predict, predict_row
from tests.online_model.predictors import oracle, random_predictor, vectors

CASES = [(seed, outputs, trees) for seed in range(12) for outputs in (1, 2, 5) for trees in (0, 7)]


@pytest.mark.parametrize(("seed", "outputs", "trees"), CASES)
def test_predictions_are_the_oracles(seed: int, outputs: int, trees: int) -> None:
    """Random models predict what the definition says, within rounding."""
    rng = np.random.default_rng(seed)
    predictor = random_predictor(rng, 6, outputs, trees)
    rows = vectors(rng, 40, 6)
    expected = np.array([oracle(predictor, row) for row in rows])
    assert expected.shape == (40, outputs)
    np.testing.assert_allclose(predict(predictor, rows), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_batches_do_not_show(outputs: int) -> None:
    """Cut anywhere, in any memory order, each row has the bits that it has alone."""
    rng = np.random.default_rng(3)
    predictor = random_predictor(rng, 30, outputs, 20)
    rows = vectors(rng, 257, 30)
    whole = predict(predictor, rows)
    for size in (1, 2, 3, 64, 200):
        parts = [predict(predictor, rows[at : at + size]) for at in range(0, len(rows), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    order = rng.permutation(len(rows))
    assert predict(predictor, np.asfortranarray(rows[order])).tobytes() == whole[order].tobytes()


@pytest.mark.parametrize("outputs", [2, 3, 20])
def test_probabilities(outputs: int) -> None:
    """Probabilities lie in [0, 1] and sum to 1, far from the training data too."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        predictor = random_predictor(rng, 5, outputs, 3)
        out = predict(predictor, vectors(rng, 30, 5) * 10.0 ** rng.integers(0, 300, (30, 1)).astype(float))
        assert np.all((out >= 0.0) & (out <= 1.0))
        np.testing.assert_allclose(out.sum(axis=1), 1.0, rtol=0, atol=1e-14)


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_hostile_vectors(outputs: int) -> None:
    """NaN, infinities, the largest and smallest doubles give finite outputs with the greatest coefficients allowed."""
    rng = np.random.default_rng(5)
    predictor = random_predictor(rng, 4, outputs, 5)
    hostile = predictor._replace(
        coefficients=np.sign(predictor.coefficients) * LARGEST,
        center=-predictor.center * 1e99,
        scale=predictor.scale * 1e-99,
        reach=LARGEST,
    )
    values = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 1.7e308, -1.7e308, 5e-324, 0.0, 1.0])
    rows = rng.choice(values, (500, 4))
    for model in (predictor, hostile):
        assert np.all(np.isfinite(predict(model, rows)))


def test_missing_takes_the_fill() -> None:
    """NaN and both infinities are the fill in a number column, and no value in a one-hot one."""
    none = np.full(2, np.nan)
    none[1] = 1.0
    predictor = linear_predictor(
        np.zeros(2, np.int64), none, np.full(2, 7.0), np.full(2, 1.0), np.full(2, 2.0), np.array([[1.0, 100.0]]), np.zeros(1), IDENTITY
    )
    rows = np.array([[np.nan], [np.inf], [-np.inf], [7.0], [1.0]])
    assert predict(predictor, rows)[:, 0].tolist() == [3.0, 3.0, 3.0, 3.0, 100.0]
    assert outputs_of(predictor) == 1
    assert outputs_of(predictor._replace(link=SOFTMAX, intercepts=np.zeros(4))) == 4


@numba.njit(nogil=True, _nrt=False)  # type: ignore[call-overload]
def _without_references(predictor: Any, rows: Any, design: Any, raw: Any, out: Any) -> None:
    for row in range(len(rows)):
        predict_row(predictor, rows[row], design, raw, out[row])


def test_runs_in_a_loop_without_reference_counts() -> None:
    """Within a kernel compiled as the stream fold's loop is, the same bits come out: nothing is allocated."""
    rng = np.random.default_rng(6)
    for outputs in (1, 2, 5):
        predictor = random_predictor(rng, 8, outputs, 4)
        rows = vectors(rng, 50, 8)
        out = np.empty((50, outputs))
        _without_references(predictor, rows, np.empty(len(predictor.source)), np.empty(len(predictor.intercepts)), out)
        assert out.tobytes() == predict(predictor, rows).tobytes()
