"""The compiled online learners are river's, step by step.

Tolerance: 1e-9 relative. The same real numbers are added up in another order (river's weights lie in a hash map, and its target's
scale is applied to the prediction, not to the weights), so predictions part by some 1e-16 a step and never settle on each other's
bits; over 4,000 steps the largest difference seen is below 1e-11. Beside it 1e-12 absolute, for river's sigmoid is 0 below −30.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from river import compose, linear_model, optim, preprocessing

from online_model.linear_learner import (
    CLIP,
    ENTROPY,
    LOG,
    SQUARED,
    LinearLearner,
    compiled_form,
    learn_row,
    learning_rate,
    make_linear_learner,
)
from online_model.predictor import predict

F64 = Any
COLUMNS = 7
BIAS = "constant"


def rows(rng: np.random.Generator, n: int, outliers: bool) -> F64:
    """Vectors of unlike units, correlated, with missing values, a constant input and outliers."""
    base = rng.normal(size=(n, COLUMNS)) @ (np.eye(COLUMNS) + 0.3 * rng.normal(size=(COLUMNS, COLUMNS)))
    out = base * 10.0 ** np.arange(-3, 4) + np.array([0.0, 5.0, -1e3, 20.0, 1e4, 0.5, 1e5])
    out[:, 3] = 4.0
    if outliers:
        out[rng.uniform(size=out.shape) < 0.002] *= 1e6
    out[rng.uniform(size=out.shape) < 0.08] = np.nan
    out[rng.uniform(size=out.shape) < 0.01] = np.inf
    return out


def truths(rng: np.random.Generator, vectors: F64, outputs: int, outliers: bool) -> F64:
    filled = np.where(np.isfinite(vectors), vectors, 0.0) * 10.0 ** -np.arange(-3.0, 4.0)
    signal = np.clip(filled, -9, 9) @ rng.normal(size=(COLUMNS, max(outputs, 2)))
    if outputs == 1:
        target = 50.0 + 4.0 * signal[:, :1] + rng.normal(size=(len(vectors), 1))
        if outliers:
            target[rng.uniform(size=len(target)) < 0.002] *= -1e5
        return target
    return np.eye(outputs)[np.argmax(signal[:, :outputs] + rng.normal(size=(len(vectors), outputs)), axis=1)]


def clipped(x: dict[int, float]) -> dict[Any, float]:
    return {i: min(max(v, -10.0), 10.0) for i, v in x.items()}


def river_model(outputs: int, classes: int) -> Any:
    scaler = preprocessing.StandardScaler()
    if outputs == 1:
        linear = linear_model.LinearRegression(optim.SGD(learning_rate(SQUARED, COLUMNS)), clip_gradient=CLIP)
        return scaler | compose.FuncTransformer(clipped) | preprocessing.TargetStandardScaler(linear)
    if outputs == 2:
        return scaler | compose.FuncTransformer(clipped) | linear_model.LogisticRegression(optim.SGD(learning_rate(LOG, COLUMNS)))
    model = linear_model.SoftmaxRegression(optim.SGD(learning_rate(ENTROPY, COLUMNS)))
    for c in range(classes):
        model.weights[c][BIAS] = 0.0
    return scaler | compose.FuncTransformer(lambda x: {**clipped(x), BIAS: 1.0}) | model


def present(vector: F64) -> dict[int, float]:
    """river is told of a missing value by leaving it out."""
    return {i: x for i, x in enumerate(vector.tolist()) if np.isfinite(x)}


def within_reach(x: float, count: float, mean: float, variance: float) -> float:
    far = 10.0 * variance**0.5
    return x if count < 30 or variance == 0.0 else min(max(x, mean - far), mean + far)


def river_learn(model: Any, x: dict[int, float], y: float | bool | int) -> None:
    """river's learn_one of each step, as its pipeline does; the scalers are given spikes cut off at 10 deviations by their own counts."""
    *transformers, last = model.steps.values()
    scaler = transformers[0]
    scaler.learn_one({i: within_reach(v, scaler.counts[i], scaler.means[i], scaler.vars[i]) for i, v in x.items()})
    for transformer in transformers:
        x = transformer.transform_one(x)
    last.learn_one(x, within_reach(y, last.var.n, last.var.mean.get(), last.var.get()) if isinstance(y, float) else y)


def river_prediction(model: Any, vector: F64, outputs: int) -> list[float]:
    if outputs == 1:
        return [model.predict_one(present(vector))]
    probabilities = model.predict_proba_one(present(vector))
    return [probabilities[c] for c in range(outputs)]


def learn(learner: LinearLearner, vector: F64, value: F64) -> None:
    learn_row(learner, vector, value, np.empty(len(learner.source)), np.empty(len(learner.intercepts)))


def fresh(outputs: int, columns: int = COLUMNS) -> LinearLearner:
    return make_linear_learner(np.arange(columns), np.full(columns, np.nan), outputs)


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_steps_are_rivers(outputs: int, outliers: bool) -> None:
    """Before each of 4,000 examples, with gaps and outliers, the prediction is that of the river pipeline that learnt the same."""
    rng = np.random.default_rng(outputs)
    vectors = rows(rng, 4000, outliers)
    values = truths(rng, vectors, outputs, outliers)
    learner, river = fresh(outputs), river_model(outputs, outputs)
    for step, (vector, value) in enumerate(zip(vectors, values, strict=True)):
        if step:
            mine = predict(compiled_form(learner), vector[None])[0]
            np.testing.assert_allclose(mine, river_prediction(river, vector, outputs), rtol=1e-9, atol=1e-12)
        learn(learner, vector, value)
        truth = float(value[0]) if outputs == 1 else bool(value[1]) if outputs == 2 else int(np.argmax(value))
        river_learn(river, present(vector), truth)


def test_a_large_target_is_learnt() -> None:
    """Power of 50 kW on inputs of unit scale: within 500 examples the error is near the noise, which SGD in kW would not reach."""
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(2000, COLUMNS))
    values = 50.0 + vectors @ rng.normal(size=COLUMNS) * 3.0 + 0.3 * rng.normal(size=2000)
    learner, errors = fresh(1), []
    for vector, value in zip(vectors, values, strict=True):
        errors.append(abs(float(predict(compiled_form(learner), vector[None])[0, 0]) - value))
        learn(learner, vector, np.array([value]))
    assert np.mean(errors[500:700]) < 0.4
    assert np.mean(errors[1500:]) < 0.3


@pytest.mark.parametrize("columns", [10, 300])
def test_many_inputs_do_not_diverge(columns: int) -> None:
    """With 300 inputs, where river's default rate would overshoot and grow without bound, the error still falls."""
    rng = np.random.default_rng(9)
    vectors = rng.standard_t(4, size=(3000, columns))
    values = 50.0 + vectors[:, :5].sum(axis=1)
    learner, errors = fresh(1, columns), []
    for vector, value in zip(vectors, values, strict=True):
        errors.append(abs(float(predict(compiled_form(learner), vector[None])[0, 0]) - value))
        learn(learner, vector, np.array([value]))
    assert np.mean(errors[-500:]) < 0.6 * np.mean(errors[20:220])


def test_one_hot_columns_stand_beside_the_scaler() -> None:
    """A one-hot column enters as 0 or 1, unscaled: as river's OneHotEncoder beside a StandardScaler."""
    rng = np.random.default_rng(10)
    numbers, codes = rng.normal(size=2000) * 7 + 3, rng.integers(0, 3, 2000)
    learner = make_linear_learner(np.array([0, 1, 1, 1]), np.array([np.nan, 0.0, 1.0, 2.0]), 1)
    linear = linear_model.LinearRegression(optim.SGD(learning_rate(SQUARED, 4)), clip_gradient=CLIP)
    river = (
        (compose.Select("x") | preprocessing.StandardScaler())
        + (compose.Select("code") | preprocessing.OneHotEncoder(categories={"code": {0, 1, 2}}))
    ) | preprocessing.TargetStandardScaler(linear)
    for step, (x, code) in enumerate(zip(numbers.tolist(), codes.tolist(), strict=True)):
        named, vector, y = {"x": x, "code": code}, np.array([x, float(code)]), x + (0.0, 5.0, -20.0)[code]
        if step:
            np.testing.assert_allclose(predict(compiled_form(learner), vector[None])[0, 0], river.predict_one(named), rtol=1e-9)
        learn(learner, vector, np.array([y]))
        river.learn_one(named, y)
    assert abs(predict(compiled_form(learner), np.array([[3.0, 2.0]]))[0, 0] - (3.0 - 20.0)) < 1.0


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_hostile_inputs_leave_finite_weights(outputs: int) -> None:
    """Whatever mixture of NaN, infinities, huge, tiny and usual numbers is learnt, weights and predictions stay finite."""
    rng = np.random.default_rng(11)
    learner = fresh(outputs, 3)
    values = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 1e50, -1e50, 1e20, 5e-324, 1e-200, 0.0, 1.0, -2.0])
    for _ in range(5000):
        truth = rng.choice(values, 1) if outputs == 1 else np.eye(outputs)[rng.integers(outputs)] * rng.choice([1.0, 1.0, np.nan])
        learn(learner, rng.choice(values, 3), truth)
        assert all(np.all(np.isfinite(array)) for array in learner[2:8])
    assert np.all(np.isfinite(predict(compiled_form(learner), rng.choice(values, (500, 3)))))


@pytest.mark.parametrize("spike", [1e3, 1e9, -1e40])
def test_spikes_do_little(spike: float) -> None:
    """After a spike in an input and a label that is a typing error, of any size, the model still beats the mean, and soon is as before."""
    rng = np.random.default_rng(12)
    learner = fresh(1)
    vectors = rng.normal(size=(4000, COLUMNS))
    for vector in vectors[:3000]:
        learn(learner, vector, np.array([50.0 + vector.sum()]))
    learn(learner, np.concatenate(([spike], vectors[0, 1:])), np.array([50.0 + vectors[0].sum()]))
    learn(learner, vectors[1], np.array([spike]))
    assert np.abs(predict(compiled_form(learner), vectors[3000:])[:, 0] - 50.0 - vectors[3000:].sum(axis=1)).mean() < 2.0
    for vector in vectors[2000:3000]:
        learn(learner, vector, np.array([50.0 + vector.sum()]))
    assert np.abs(predict(compiled_form(learner), vectors[3000:])[:, 0] - 50.0 - vectors[3000:].sum(axis=1)).mean() < 0.1
