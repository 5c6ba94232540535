"""river's regressors and classifiers by name, for those whose whole state our codec can carry, each behind a StandardScaler.

What they compute with libm (the classifiers' exponentials and logarithms) has the same bytes on every run of one processor type, and
on another may differ in the last bit. With 17 features learning takes .15 to .4 ms an example and predicting .05 to 1.3 ms; the compiled
ones take 10 µs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.errors import StateError
from online_model.linear_learner import CLIP, LOG, MOST, REACH, SQUARED, learning_rate, within_reach
from online_model.state_codec import decode_state, encode_state

F64 = NDArray[np.float64]

NEIGHBORS_WINDOW = 250  # river's own default search keeps a graph with links both ways, which the codec does not carry
FLOOR = 1e-6  # least probability of a class: a model that says 0 of what then happens has an infinite log loss


class _Allowed(NamedTuple):
    """A model that may be named: how it is made of the numbers of features and classes, and whom it is for."""

    make: Callable[[int, int], Any]
    least_outputs: int
    most_outputs: int


def _linear_regression(features: int, outputs: int) -> Any:
    from river import linear_model, optim

    return linear_model.LinearRegression(optim.SGD(learning_rate(SQUARED, features)), clip_gradient=CLIP)


def _logistic_regression(features: int, outputs: int) -> Any:
    from river import linear_model, optim

    return linear_model.LogisticRegression(optim.SGD(learning_rate(LOG, features)))


def _k_neighbors_regressor(features: int, outputs: int) -> Any:
    from river import neighbors

    return neighbors.KNNRegressor(engine=neighbors.LazySearch(window_size=NEIGHBORS_WINDOW, dist_func=None))


def _k_neighbors_classifier(features: int, outputs: int) -> Any:
    from river import neighbors

    return neighbors.KNNClassifier(engine=neighbors.LazySearch(window_size=NEIGHBORS_WINDOW, dist_func=None), cleanup_every=0)


def _gaussian_naive_bayes(features: int, outputs: int) -> Any:
    """Its distributions stand there from the start, in plain dicts: the codec carries no function that makes them when first asked."""
    from river import naive_bayes, proba

    model: Any = naive_bayes.GaussianNB()  # type: ignore[no-untyped-call]
    gaussian: Any = proba.Gaussian
    model.gaussians = {c: {i: gaussian(seed=0) for i in range(features)} for c in range(outputs)}
    for by_feature in model.gaussians.values():
        for distribution in by_feature.values():
            distribution._rng = model.gaussians[0][0]._rng  # never drawn from here; one carried for all
    return model


_ALLOWED = {
    "river.linear_model.LinearRegression": _Allowed(_linear_regression, 1, 1),
    "river.neighbors.KNNRegressor": _Allowed(_k_neighbors_regressor, 1, 1),
    "river.linear_model.LogisticRegression": _Allowed(_logistic_regression, 2, 2),
    "river.naive_bayes.GaussianNB": _Allowed(_gaussian_naive_bayes, 2, 1000),
    "river.neighbors.KNNClassifier": _Allowed(_k_neighbors_classifier, 2, 1000),
}


def allowed_predictors(outputs: int) -> tuple[str, ...]:
    """The names of river models for a target with so many outputs: 1 a number, more a probability each."""
    return tuple(sorted(name for name, a in _ALLOWED.items() if a.least_outputs <= outputs <= a.most_outputs))


class RiverPredictor:
    """A river model behind the interface of OnlinePredictor; one caller at a time, as river's objects ask.

    Inputs are scaled by river's StandardScaler, one that is missing is 0 there; a number to be predicted is standardised as river's
    TargetStandardScaler does, whose bound methods the codec does not carry. Features and classes go by their places.
    """

    def __init__(self, name: str, feature_names: Sequence[str], outputs: int) -> None:
        from river import preprocessing, stats

        self._identity: dict[str, Any] = {"name": name, "features": list(feature_names), "outputs": outputs}
        self._state: dict[str, Any] = {
            "model": _ALLOWED[name].make(len(feature_names), outputs),
            "scaler": preprocessing.StandardScaler(),
            "target": stats.Var(),
        }

    def learn(self, vector: F64, value: F64) -> None:
        """See OnlinePredictor; a value that is not finite or beyond linear_learner.MOST teaches nothing."""
        if not np.all(np.abs(value) <= MOST):
            return
        scaler, target = self._state["scaler"], self._state["target"]
        known = scaler.counts, scaler.means, scaler.vars
        present = {i: x for i, x in enumerate(vector.tolist()) if abs(x) <= MOST}
        scaler.learn_one({i: within_reach(x, *(float(part[i]) for part in known)) for i, x in present.items()})
        truth: float | int = float(value[0])
        if len(value) == 1:
            truth = within_reach(truth, float(target.n), float(target.mean.get()), float(target.get()))
            target.update(truth)
            deviation = math.sqrt(target.get())
            truth = (truth - target.mean.get()) / deviation if deviation else 0.0
        else:
            truth = int(np.argmax(value))
        self._state["model"].learn_one(self._scaled(vector), truth)

    def predict(self, vector: F64) -> F64:
        """See ServedPredictor. Before a model answers, or where its answer is not finite: the labels' mean, or equal probabilities."""
        outputs, scaled = self._identity["outputs"], self._scaled(vector)
        if outputs == 1:
            target = self._state["target"]
            answer = float(self._state["model"].predict_one(scaled)) * math.sqrt(target.get()) + float(target.mean.get())
            return np.array([answer if math.isfinite(answer) else float(target.mean.get())])
        probabilities = self._state["model"].predict_proba_one(scaled)
        out = np.array([float(probabilities.get(c, 0.0)) for c in range(outputs)])
        if not np.all(np.isfinite(out)) or out.sum() <= 0.0:
            out = np.ones(outputs)
        out = np.maximum(out / out.sum(), FLOOR)
        return np.asarray(out / out.sum())

    def to_bytes(self) -> bytes:
        """Identity and state, by the state codec."""
        return encode_state({"identity": self._identity, **self._state})

    def from_bytes(self, data: bytes) -> RiverPredictor:
        """Raises StateError where the bytes are of another model, or of none that works."""
        self._read(data)._try_out()
        return self._read(data)

    def snapshot(self) -> tuple[str, bytes]:
        """(river's name, `to_bytes`)."""
        return self._identity["name"], self.to_bytes()

    def _scaled(self, vector: F64) -> dict[int, float]:
        """By place, within ±REACH; what is missing, or constant so far, stands at 0."""
        present = {i: x for i, x in enumerate(vector.tolist()) if math.isfinite(x)}
        scaled = self._state["scaler"].transform_one(present)
        return {i: min(max(scaled.get(i, 0.0), -REACH), REACH) for i in range(len(vector))}

    def _read(self, data: bytes) -> RiverPredictor:
        name, state = self._identity["name"], decode_state(data)
        if type(state) is not dict or list(state) != ["identity", *self._state] or state.pop("identity") != self._identity:
            raise StateError(f"stored predictor is not {name} of these features and outputs; rebuild it by a refold")
        if any(type(state[part]) is not type(own) for part, own in self._state.items()):
            raise StateError(f"stored {name} has a state of another kind; rebuild it by a refold")
        restored = RiverPredictor(name, self._identity["features"], self._identity["outputs"])
        restored._state = state
        if hasattr(state["model"], "_nn"):
            _check_neighbors(state["model"], len(self._identity["features"]), self._identity["outputs"])
        return restored

    def _try_out(self) -> None:
        """Predicts and learns each class once; whatever state cannot do that was not written by us. The state is spoilt by it."""
        outputs, features = self._identity["outputs"], len(self._identity["features"])
        try:
            for truth in np.eye(outputs):
                self.predict(np.full(features, 0.5))
                self.learn(np.full(features, 0.5), truth)
            self.predict(np.full(features, np.nan))
        except Exception as error:
            raise StateError(f"stored {self._identity['name']} does not work: {error}; rebuild it by a refold") from error


def _check_neighbors(model: Any, features: int, outputs: int) -> None:
    """Raises StateError where the window holds what was never learnt: trying the model out reaches only the nearest of it."""
    for item in model._nn.window:
        try:
            ((x, y),) = item
            fits = list(x) == list(range(features)) and all(type(number) is float and abs(number) <= REACH for number in x.values())
            fits &= type(y) is float and math.isfinite(y) if outputs == 1 else type(y) is int and y in model.classes and 0 <= y < outputs
        except (TypeError, ValueError, AttributeError) as error:
            raise StateError(f"stored neighbors are no examples: {error}; rebuild them by a refold") from error
        if not fits:
            raise StateError("stored neighbors are no examples of these features and outputs; rebuild them by a refold")
