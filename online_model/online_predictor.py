"""Models that learn from every joined label, by the name that a definition gives, and what a snapshot on `<feed>.models` predicts."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Classification, Feed
from contracts.errors import DefinitionError, StateError
from feature_store.feature_catalogue import Feature
from feature_store.feature_columns import feature_columns, feature_names
from online_model.linear_learner import LinearLearner, compiled_form, learn_row, make_linear_learner
from online_model.predictor import Predictor, outputs_of, predict_row
from online_model.predictor_bytes import predictor_from_bytes, predictor_to_bytes
from online_model.river_predictor import RiverPredictor, allowed_predictors
from online_model.state_codec import decode_state, encode_state

F64 = NDArray[np.float64]
COMPILED = "compiled"  # the family of snapshots in the compiled form
LINEAR, LOGISTIC = "linear", "logistic"


class ServedPredictor(Protocol):
    """A version as it is served."""

    def predict(self, vector: F64) -> F64:
        """Prediction (outputs,) of a vector (features,): the number, or a probability a class; always finite. Changes nothing."""


class OnlinePredictor(ServedPredictor, Protocol):
    """A model that learns an example at a time; tests/online_model/test_predictor_conformance.py says what each must hold to."""

    def learn(self, vector: F64, value: F64) -> None:
        """Takes in a vector (features,) with its truth (outputs,): the number, or 1 at its class and 0 elsewhere."""

    def to_bytes(self) -> bytes:
        """All of the state; equal states give equal bytes."""

    def from_bytes(self, data: bytes) -> OnlinePredictor:
        """The model of this name and feed whose bytes these are; raises StateError where they are not."""

    def snapshot(self) -> tuple[str, bytes]:
        """(family, state) as a Snapshot carries them; `load_snapshot` predicts from it what this model predicts now, bit for bit."""


def make_online_predictor(feed: Feed) -> OnlinePredictor:
    """The online model that a definition names, before its first example.

    Raises:
        DefinitionError: the feed has no target, or the name is not of a model for it; the message lists those that are.
    """
    if feed.target is None:
        raise DefinitionError(f"feed '{feed.name}' has no target to predict; write target=Regression(...) or Classification(...)")
    allowed = _allowed(feed)
    if feed.online_model not in allowed:
        kind = "classes" if isinstance(feed.target, Classification) else "a number"
        raise DefinitionError(
            f"feed '{feed.name}': no predictor '{feed.online_model}' for a target that is {kind}; choose from {', '.join(allowed)}"
        )
    if feed.online_model in (LINEAR, LOGISTIC):
        return LinearPredictor(feed)
    return RiverPredictor(feed.online_model, feature_names(feed), feed.outputs)


def load_snapshot(feed: Feed, family: str, state: bytes) -> ServedPredictor:
    """What a snapshot of any family predicts.

    Raises:
        StateError: the bytes are not of this family, or not for this feed's vector and target.
    """
    if family == COMPILED:
        return CompiledPredictor(predictor_from_bytes(state, len(feature_names(feed)), feed.outputs))
    if family not in allowed_predictors(feed.outputs):
        raise StateError(f"feed '{feed.name}': no model family '{family}' for this target; train the model anew")
    return RiverPredictor(family, feature_names(feed), feed.outputs).from_bytes(state)


def _allowed(feed: Feed) -> tuple[str, ...]:
    return (LINEAR if feed.outputs == 1 else LOGISTIC, *allowed_predictors(feed.outputs))


class CompiledPredictor:
    """A model in the compiled form; the stream fold's loop takes `predictor` itself."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._design, self._raw = np.empty(len(predictor.source)), np.empty(len(predictor.intercepts))

    def predict(self, vector: F64) -> F64:
        """See ServedPredictor; one call at a time."""
        out = np.empty(outputs_of(self.predictor))
        predict_row(self.predictor, vector, self._design, self._raw, out)
        return out


class LinearPredictor:
    """ "linear" and "logistic": online_model/linear_learner.py on the feed's numbers, with the codes of stated categories one-hot."""

    def __init__(self, feed: Feed) -> None:
        source, equals = design_columns(feed)
        self._identity: dict[str, Any] = {"name": feed.online_model, "features": list(feature_names(feed)), "outputs": feed.outputs}
        self.learner = make_linear_learner(source, equals, feed.outputs)
        self._made_from = feed
        self._scaled, self._gradient = np.empty(len(source)), np.empty(len(self.learner.intercepts))
        self._served: CompiledPredictor | None = None  # the compiled form until the next example

    def learn(self, vector: F64, value: F64) -> None:
        """See OnlinePredictor; a value that is not finite or beyond linear_learner.MOST teaches nothing."""
        learn_row(self.learner, vector, value, self._scaled, self._gradient)
        self._served = None

    def predict(self, vector: F64) -> F64:
        """By the compiled form, so that a snapshot gives the same bits."""
        if self._served is None:
            self._served = CompiledPredictor(compiled_form(self.learner))
        return self._served.predict(vector)

    def to_bytes(self) -> bytes:
        """Identity and the arrays that learning changes, by the state codec."""
        return encode_state({"identity": self._identity, "arrays": {name: getattr(self.learner, name) for name in _LEARNT}})

    def from_bytes(self, data: bytes) -> LinearPredictor:
        """Raises StateError where the bytes are of another model, feed, or of numbers that no learning gives."""
        state = decode_state(data)
        if type(state) is not dict or list(state) != ["identity", "arrays"] or state["identity"] != self._identity:
            raise StateError(f"stored predictor is not '{self._identity['name']}' of these features and outputs; rebuild it by a refold")
        arrays = state["arrays"]
        if type(arrays) is not dict or tuple(arrays) != _LEARNT:
            raise StateError(f"stored '{self._identity['name']}' has other parts than {', '.join(_LEARNT)}; rebuild it by a refold")
        restored = LinearPredictor(self._made_from)
        for name, array in arrays.items():
            own: F64 = getattr(restored.learner, name)
            if type(array) is not np.ndarray or array.dtype != own.dtype or array.shape != own.shape or not np.all(np.isfinite(array)):
                raise StateError(f"stored '{self._identity['name']}' has {name} of another size, or not finite; rebuild it by a refold")
            own[...] = array
        self._check_sums(restored.learner)
        return restored

    def _check_sums(self, learner: LinearLearner) -> None:
        if any(float(array.min(initial=0.0)) < 0.0 for array in (learner.seen, learner.variance, learner.target[[0, 2]])):
            raise StateError(f"stored '{self._identity['name']}' has a count or a variance below 0; rebuild it by a refold")

    def snapshot(self) -> tuple[str, bytes]:
        """("compiled", bytes of the compiled form)."""
        return COMPILED, predictor_to_bytes(compiled_form(self.learner))


_LEARNT = ("seen", "mean", "variance", "weights", "intercepts", "target")  # of LinearLearner


def design_columns(feed: Feed) -> tuple[NDArray[np.int64], F64]:
    """(source, equals) of the columns: each number of the vector, and in place of a category's code one column a stated value."""
    source: list[int] = []
    equals: list[float] = []
    for place, column in enumerate(feature_columns(feed)):
        values = len(feed.categories[column.field].values or ()) if column.entry.feature == Feature.CODE else 0
        source += [place] * max(values, 1)
        equals += [float(code) for code in range(values)] or [np.nan]
    return np.array(source, np.int64), np.array(equals)
