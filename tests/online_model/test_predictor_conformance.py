"""What every online predictor must hold to, compiled or river's, for a number, two classes and more."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.definition import Category, Classification, Feed, Number, Regression, Target
from contracts.errors import StateError
from feature_store.feature_columns import feature_names
from online_model.online_predictor import OnlinePredictor, load_snapshot, make_online_predictor
from online_model.river_predictor import allowed_predictors

F64 = NDArray[np.float64]
NUMBER, TWO, FOUR = Regression("power", unit="kW"), Classification("state", ["good", "bad"]), Classification("state", ["a", "b", "c", "d"])
CASES: list[tuple[str | None, Target]] = [
    (None, NUMBER),
    (None, TWO),
    (None, FOUR),
    ("river.linear_model.LinearRegression", NUMBER),
    ("river.neighbors.KNNRegressor", NUMBER),
    ("river.linear_model.LogisticRegression", TWO),
    ("river.naive_bayes.GaussianNB", FOUR),
    ("river.neighbors.KNNClassifier", FOUR),
]


def feed_of(predictor: str | None, target: Target | None, features: tuple[str, ...] = ("last", "rate")) -> Feed:
    fields = [Number("speed", features=features), Number("heat", features=features), Category("mode", ["run", "idle"], features=("code",))]
    return Feed("plant", "pump", "time", fields, target=target, predictor=predictor, time_features=False)


def examples(feed: Feed, n: int, seed: int = 5) -> tuple[F64, F64]:
    """(vectors, values) with gaps and, later on, spikes; the truth follows from the vector, with noise."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, len(feature_names(feed)))) * 10.0 + 3.0
    vectors[:, -1] = rng.integers(0, 2, n)
    signal = vectors[:, 0] + 5.0 * vectors[:, -1] + rng.normal(size=n)
    vectors[rng.uniform(size=vectors.shape) < 0.05] = np.nan
    vectors[40:][rng.uniform(size=vectors[40:].shape) < 0.005] *= 1e4
    if feed.outputs == 1:
        return vectors, 50.0 + signal[:, None]
    edges = np.quantile(signal, np.arange(1, feed.outputs) / feed.outputs)
    return vectors, np.eye(feed.outputs)[np.searchsorted(edges, signal)]


def run(model: OnlinePredictor, vectors: F64, values: F64) -> list[bytes]:
    """Predicts each vector, then learns it."""
    out = []
    for vector, value in zip(vectors, values, strict=True):
        out.append(model.predict(vector).tobytes())
        model.learn(vector, value)
    return out


conformance = pytest.mark.parametrize(("predictor", "target"), CASES)


def test_every_river_predictor_is_checked() -> None:
    """The cases are all models that a definition may name."""
    assert {name for name, _ in CASES if name} == {name for outputs in (1, 2, 4) for name in allowed_predictors(outputs)}


@conformance
def test_deterministic(predictor: str | None, target: Target) -> None:
    """The same examples give the same predictions and bytes; predicting between them changes nothing."""
    feed = feed_of(predictor, target)
    vectors, values = examples(feed, 150)
    first, second, quiet = (make_online_predictor(feed) for _ in range(3))
    assert run(first, vectors, values) == run(second, vectors, values)
    for vector, value in zip(vectors, values, strict=True):
        quiet.learn(vector, value)
    assert first.to_bytes() == second.to_bytes() == quiet.to_bytes()


@conformance
def test_bytes_mid_stream(predictor: str | None, target: Target) -> None:
    """Saved and restored before, in and late in the stream, a model goes on with the same predictions and the same bytes."""
    feed = feed_of(predictor, target)
    vectors, values = examples(feed, 400)
    for cut in (0, 1, 2, 37, 300):
        model = make_online_predictor(feed)
        run(model, vectors[:cut], values[:cut])
        restored = make_online_predictor(feed).from_bytes(model.to_bytes())
        assert restored.to_bytes() == model.to_bytes()
        assert run(restored, vectors[cut : cut + 60], values[cut : cut + 60]) == run(model, vectors[cut : cut + 60], values[cut : cut + 60])
        assert restored.to_bytes() == model.to_bytes()


@conformance
def test_snapshot_predicts_as_the_model(predictor: str | None, target: Target) -> None:
    """At any time a snapshot, loaded, gives the model's own bits, and goes on giving them when the model has learnt more."""
    feed = feed_of(predictor, target)
    vectors, values = examples(feed, 200)
    model = make_online_predictor(feed)
    for begin in (0, 1, 5, 100):
        run(model, vectors[: begin + 1], values[: begin + 1])
        now = [model.predict(vector).tobytes() for vector in vectors[:30]]
        family, state = model.snapshot()
        served = load_snapshot(feed, family, state)
        run(model, vectors[100:120], values[100:120])
        assert [served.predict(vector).tobytes() for vector in vectors[:30]] == now
        assert family == (predictor or "compiled")


@conformance
def test_learns(predictor: str | None, target: Target) -> None:
    """After 600 examples the error is well below that of the mean, or of the class frequencies."""
    feed = feed_of(predictor, target)
    vectors, values = examples(feed, 900)
    model = make_online_predictor(feed)
    run(model, vectors[:600], values[:600])
    predictions = np.array([model.predict(vector) for vector in vectors[600:]])
    error, plain = np.abs(predictions - values[600:]).mean(), np.abs(values[:600].mean(axis=0) - values[600:]).mean()
    assert error < 0.85 * plain


@conformance
def test_hostile_inputs(predictor: str | None, target: Target) -> None:
    """Learning and predicting NaN, infinities, huge and tiny numbers gives finite outputs, and no harm to what follows."""
    feed = feed_of(predictor, target)
    model = make_online_predictor(feed)
    vectors, values = examples(feed, 100)
    rng = np.random.default_rng(6)
    strange = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 1e30, 5e-324, 0.0])
    assert np.all(np.isfinite(model.predict(np.full(vectors.shape[1], np.nan))))
    for vector, value in zip(vectors, values, strict=True):
        model.learn(vector, value)
        hostile = rng.choice(strange, len(vector))
        assert np.all(np.isfinite(model.predict(hostile)))
        model.learn(hostile, value if feed.outputs > 1 else rng.choice(strange, 1))
    assert np.all(np.isfinite([model.predict(vector) for vector in vectors]))
    assert make_online_predictor(feed).from_bytes(model.to_bytes()).to_bytes() == model.to_bytes()


@conformance
def test_outputs(predictor: str | None, target: Target) -> None:
    """A prediction has the definition's outputs; probabilities lie in [0, 1] and sum to 1, from the first one on."""
    feed = feed_of(predictor, target)
    model = make_online_predictor(feed)
    for vector, value in zip(*examples(feed, 60), strict=True):
        out = model.predict(vector)
        assert out.shape == (feed.outputs,)
        if feed.outputs > 1:
            assert np.all((out >= 0.0) & (out <= 1.0))
            assert abs(out.sum() - 1.0) < 1e-12
        model.learn(vector, value)


@conformance
def test_other_bytes_are_refused(predictor: str | None, target: Target) -> None:
    """Bytes of another model, of other features, or cut short are a StateError."""
    feed = feed_of(predictor, target)
    model = make_online_predictor(feed)
    run(model, *examples(feed, 30))
    for name, other in CASES:
        if (name, other) != (predictor, target):
            with pytest.raises(StateError):
                make_online_predictor(feed_of(name, other)).from_bytes(model.to_bytes())
    with pytest.raises(StateError):
        make_online_predictor(feed_of(predictor, target, ("last",))).from_bytes(model.to_bytes())
    family, state = model.snapshot()
    for damaged in (state[:-1], state + b"\0", b"", state[:40]):
        with pytest.raises(StateError):
            load_snapshot(feed, family, damaged)
    with pytest.raises(StateError, match="train"):
        load_snapshot(feed, "os.system", state)


@conformance
def test_damaged_bytes(predictor: str | None, target: Target) -> None:
    """Altered bytes give a StateError or a model that predicts finite numbers and learns; never anything else."""
    feed = feed_of(predictor, target)
    model = make_online_predictor(feed)
    vectors, values = examples(feed, 25)
    run(model, vectors, values)
    data = model.to_bytes()
    rng = random.Random(2)
    for _ in range(150):
        hostile = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            hostile[rng.randrange(len(hostile))] = rng.choice((rng.randrange(256), *b"NTFID"))
        try:
            restored = make_online_predictor(feed).from_bytes(bytes(hostile))
        except StateError:
            continue
        assert np.all(np.isfinite(restored.predict(vectors[0])))
        restored.learn(vectors[1], values[1])
