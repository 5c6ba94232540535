"""One way to train: its settings, the scikit-learn model fitted with them, and the same model in the compiled form."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from online_model.online_predictor import COMPILED
from online_model.predictor import IDENTITY, LEAF, LOGISTIC, SOFTMAX, Predictor
from online_model.predictor_bytes import predictor_to_bytes
from training.bins import Bins
from training.design import REACH, Design, fit_design
from training.selection import select_columns

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MAX_NODES = 12_000  # of all trees: 40 bytes each, in base64 within the 1 MB that brokers allow a record
MOST_ROUNDS = 60  # of boosting, at LEARNING_RATE; twice as many took twice the time and 1 % off the error
LEAST_ROUNDS, MOST_TREES = 20, 120  # of several classes, each of which takes a tree a round: the time would grow with them
LEARNING_RATE = 0.15
RARE = 0.2  # share below which a class is rare, so that weights are tried
HALF = 0.5  # of an example: what a class that was never seen counts as, so that its probability is not 0


class Candidate(NamedTuple):
    """The settings of one way to train."""

    window: Literal["all", "changed"] = "all"  # the rows to train on: all, or those since the change
    family: Literal["linear", "boosting", "relearnt"] = "linear"  # relearnt: the feed's online model (training/relearnt.py)
    strength: float = 1.0  # linear: of the ridge penalty; boosting: leaves a tree
    selection: str = "all"  # one of training/selection.py
    weighted: bool = False  # each class weighs as much as any other

    def parameters(self) -> dict[str, str]:
        """As snapshots and MLflow show them."""
        if self.family == "relearnt":
            return {"window": self.window, "family": self.family}
        strength = {"linear": "penalty", "boosting": "leaves"}[self.family]
        shown = {"window": self.window, "family": self.family, strength: f"{self.strength:g}", "selection": self.selection}
        return shown | ({"class_weights": "balanced"} if self.weighted else {})


class Fitted(NamedTuple):
    """A scikit-learn model with its preprocessing."""

    design: Design
    bins: Bins | None  # of boosting
    model: Any
    present: I64  # classes that it has seen; empty for a number
    shift: F64  # (raw,) what is added to the model's raw numbers
    absent: float  # raw number of a class that it has not seen
    outputs: int

    def original(self, vectors: F64) -> F64:
        """Predictions (n, outputs) by scikit-learn itself."""
        design = self.design.matrix(vectors)
        if self.bins:
            design = self.bins.place(design)
        if self.outputs == 1:
            return np.asarray(self.model.predict(design), np.float64).reshape(-1, 1)
        raw = np.asarray(self.model.decision_function(design), np.float64).reshape(len(design), -1) + self.shift
        if raw.shape[1] == 1:
            raw = np.hstack([np.zeros((len(raw), 1)), raw])
        full = np.full((len(raw), self.outputs), self.absent)
        full[:, self.present] = raw
        odds = np.exp(full - full.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def served(self) -> tuple[str, bytes]:
        """(family, state) as a Snapshot carries them."""
        return COMPILED, predictor_to_bytes(self.predictor())

    def predictor(self) -> Predictor:
        """The same model in the compiled form."""
        raws = 1 if self.outputs == 1 else len(self.shift)
        coefficients, intercepts = np.zeros((raws, len(self.design.source))), self.shift.copy()
        nodes: list[Any] = []
        if self.bins:
            intercepts += np.asarray(self.model._baseline_prediction, np.float64).reshape(-1)
            nodes = [(output, tree.nodes) for round_ in self.model._predictors for output, tree in enumerate(round_)]
        else:
            coefficients += np.asarray(self.model.coef_).reshape(raws, -1)
            intercepts += np.asarray(self.model.intercept_).reshape(-1)
        link = IDENTITY if self.outputs == 1 else LOGISTIC if self.outputs == 2 else SOFTMAX
        places = np.arange(raws)
        if link == SOFTMAX:  # room for classes that were not seen; two that were share one raw number
            places = self.present[-raws:]
            full = np.zeros((self.outputs, coefficients.shape[1]))
            full[places] = coefficients
            whole = np.full(self.outputs, self.absent)
            whole[self.present] = 0.0
            whole[places] = intercepts
            coefficients, intercepts = full, whole
        parts: tuple[Any, ...] = (*self.design, coefficients, intercepts, *_flat(nodes, self.bins, places), link, REACH)
        return Predictor(*parts)


def _flat(trees: list[Any], bins: Bins | None, places: I64) -> tuple[I64, F64, I64, I64, F64, I64, I64]:
    """The nodes of all trees in a row, in the order in which scikit-learn adds them up."""
    sizes = [len(nodes) for _, nodes in trees]
    roots = np.cumsum([0, *sizes[:-1]]).astype(np.int64) if trees else np.zeros(0, np.int64)
    parts: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "leaf")}
    for root, (_, nodes) in zip(roots, trees, strict=True):
        ends = nodes["is_leaf"] == 1
        parts["feature"].append(np.where(ends, LEAF, nodes["feature_idx"]))
        threshold = np.zeros(len(nodes))
        if bins:
            threshold[~ends] = bins.thresholds(nodes["feature_idx"][~ends], nodes["num_threshold"][~ends])
        parts["threshold"].append(threshold)
        parts["left"].append(np.where(ends, LEAF, nodes["left"].astype(np.int64) + root))
        parts["right"].append(np.where(ends, LEAF, nodes["right"].astype(np.int64) + root))
        parts["leaf"].append(np.where(ends, nodes["value"], 0.0))

    def joined(name: str, kind: type) -> Any:
        return np.concatenate([np.zeros(0, kind), *parts[name]]).astype(kind)

    outputs = places[np.array([output for output, _ in trees], np.int64)]
    return (
        *(joined("feature", np.int64), joined("threshold", np.float64), joined("left", np.int64), joined("right", np.int64)),
        *(joined("leaf", np.float64), roots, outputs),
    )


def fit(candidate: Candidate, vectors: F64, values: F64, source: I64, equals: F64) -> Fitted | None:
    """Fits to vectors (n, features) and values (n, outputs); None where no column varies or only one class is there."""
    design = fit_design(vectors, source, equals)
    outputs = values.shape[1]
    target = values[:, 0] if outputs == 1 else np.argmax(values, axis=1)
    present = np.unique(target).astype(np.int64) if outputs > 1 else np.zeros(0, np.int64)
    if not len(design.source) or (outputs > 1 and len(present) < 2):
        return None
    design = design.chosen(select_columns(candidate.selection, design.matrix(vectors), target, outputs > 1))
    matrix = design.matrix(vectors)
    bins = Bins(matrix) if candidate.family == "boosting" else None
    matrix = bins.place(matrix) if bins else matrix
    raws = 1 if outputs == 1 or len(present) == 2 else len(present)
    model = _model(candidate, outputs, raws)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a search that ends before it has converged: the folds judge what it came to
        model.fit(matrix, target)
    shift, absent = np.zeros(raws), 0.0
    if outputs > 1:
        if candidate.weighted:
            shift = _prior_shift(target.astype(np.int64), present)
        raw = np.asarray(model.decision_function(matrix)).reshape(len(matrix), -1) + shift
        whole = np.hstack([np.zeros((len(raw), 1)), raw]) if raws == 1 else raw
        absent = float(np.mean(np.logaddexp.reduce(whole, axis=1)) + np.log(HALF / len(matrix)))
    return Fitted(design, bins, model, present, shift, absent, outputs)


def _model(candidate: Candidate, outputs: int, raws: int) -> Any:
    weights = "balanced" if candidate.weighted else None
    if candidate.family == "linear":
        if outputs == 1:
            return Ridge(alpha=candidate.strength, solver="cholesky")
        return LogisticRegression(C=1.0 / candidate.strength, class_weight=weights, max_iter=100)
    leaves = int(candidate.strength)
    rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, MOST_TREES // raws), MAX_NODES // (raws * (2 * leaves - 1)))
    settings = {"max_iter": rounds, "max_leaf_nodes": leaves, "learning_rate": LEARNING_RATE, "early_stopping": False}
    settings |= {"random_state": 0}
    if outputs == 1:
        return HistGradientBoostingRegressor(**settings)
    return HistGradientBoostingClassifier(class_weight=weights, **settings)


def _prior_shift(target: I64, present: I64) -> F64:
    """Takes the weights out of the probabilities again: odds are divided by the weights' ratio (King & Zeng 2001, section 4.2)."""
    share = np.array([np.mean(target == k) for k in present])
    shift: F64 = np.log(share)
    return shift[1:] - shift[:1] if len(present) == 2 else shift
