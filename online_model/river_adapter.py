"""river's anomaly detectors by name, for those whose whole state our codec can carry; river's Half-Space Trees run compiled.

With 20 features One-Class SVM takes 60 µs an event, LODA .5 ms, LOF 10 ms, the compiled trees half a µs. LODA draws and scores with libm's
logarithm and cosine: its bytes are the same on every run of one processor type, and on another may differ in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError, StateError
from online_model.anomaly_model import AnomalyModel, HalfSpaceTrees
from online_model.half_space_trees import MAX_HEIGHT, MAX_TREES, MAX_WINDOW
from online_model.state_codec import decode_state, encode_state

WARM_UP = 250  # vectors before the first score, as many as in the trees' first window: earlier scores fit too few vectors
LOF_WINDOW = 250  # river's own default of 1000 takes 60 ms an event, not 10: each neighbour's neighbours are searched in all of it


class _Allowed(NamedTuple):
    """A detector that may be named: how it is made, and its options with the least and greatest value of each."""

    make: Callable[[Mapping[str, Any], int], Any]
    options: Mapping[str, tuple[float, float]]


def _make_lof(options: Mapping[str, Any], seed: int) -> Any:
    from river import anomaly, neighbors

    rest = dict(options)
    engine = neighbors.LazySearch(window_size=rest.pop("window_size", LOF_WINDOW))
    return anomaly.LocalOutlierFactor(engine=engine, **rest)


def _make_loda(options: Mapping[str, Any], seed: int) -> Any:
    from river import anomaly

    return anomaly.LODA(seed=seed, **options)


def _make_one_class_svm(options: Mapping[str, Any], seed: int) -> Any:
    from river import anomaly

    return anomaly.OneClassSVM(**options)


HALF_SPACE_TREES = "river.anomaly.HalfSpaceTrees"
_TREES_OPTIONS = {"n_trees": (1, MAX_TREES), "height": (1, MAX_HEIGHT), "window_size": (1, MAX_WINDOW)}
_ALLOWED = {
    "river.anomaly.LODA": _Allowed(_make_loda, {"n_bins": (2, 100), "n_random_cuts": (1, 200)}),
    "river.anomaly.LocalOutlierFactor": _Allowed(_make_lof, {"n_neighbors": (1, 100), "window_size": (10, 1000)}),
    "river.anomaly.OneClassSVM": _Allowed(_make_one_class_svm, {"nu": (0.0, 1.0)}),
}


def allowed_models() -> tuple[str, ...]:
    """The names that `make_river_model` takes."""
    return tuple(sorted((HALF_SPACE_TREES, *_ALLOWED)))


def make_river_model(name: str, feature_names: Sequence[str], seed: int, options: Mapping[str, int | float] | None = None) -> AnomalyModel:
    """A river detector for vectors whose columns bear these names.

    Raises:
        ModelError: the name or an option is not allowed; the message lists what is.
    """
    chosen = dict(options or {})
    if name != HALF_SPACE_TREES and name not in _ALLOWED:
        raise ModelError(f"no anomaly model '{name}': its state cannot be carried; choose from {', '.join(allowed_models())}")
    _check_options(name, chosen, _TREES_OPTIONS if name == HALF_SPACE_TREES else _ALLOWED[name].options)
    if name == HALF_SPACE_TREES:
        return HalfSpaceTrees(feature_names, seed, **chosen)  # type: ignore[arg-type]
    if not feature_names or len(set(feature_names)) != len(feature_names):
        raise ModelError(f"{name} needs one or more distinct feature names, got {len(feature_names)}; name each feature once")
    return RiverModel(name, tuple(feature_names), seed, chosen)


def _check_options(name: str, options: Mapping[str, Any], allowed: Mapping[str, tuple[float, float]]) -> None:
    for option, value in options.items():
        if option not in allowed:
            raise ModelError(f"{name} has no option '{option}' here; choose from {', '.join(allowed)}")
        least, most = allowed[option]
        if type(value) not in ((int,) if isinstance(least, int) else (int, float)) or not least <= value <= most:
            raise ModelError(f"{name}: {option}={value!r}; write a number from {least} to {most}")


class RiverModel:
    """A river detector behind the interface of AnomalyModel; one writer at a time, as river's objects ask."""

    def __init__(self, name: str, feature_names: tuple[str, ...], seed: int, options: Mapping[str, Any]) -> None:
        self._identity: dict[str, Any] = {
            "name": name,
            "features": list(feature_names),
            "seed": seed,
            "options": dict(sorted(options.items())),
        }
        self._names = feature_names
        self._model = _ALLOWED[name].make(options, seed)
        self._learnt = 0

    def score_one(self, vector: NDArray[np.float64]) -> float | None:
        """river's score, high for what is unusual, in river's own range; None before WARM_UP vectors, or where it is not finite."""
        if self._learnt < WARM_UP:
            return None
        score = float(self._model.score_one(self._features(vector)))
        return score if math.isfinite(score) else None

    def learn_one(self, vector: NDArray[np.float64]) -> None:
        """Gives the vector to river."""
        self._model.learn_one(self._features(vector))
        self._learnt = min(self._learnt + 1, WARM_UP)

    def to_bytes(self) -> bytes:
        """Identity and state, by the state codec."""
        return encode_state({"identity": self._identity, "learnt": self._learnt, "model": self._model})

    def from_bytes(self, data: bytes) -> RiverModel:
        """Raises StateError where the bytes are of another model, or of none that works."""
        self._read(data)._try_out()
        return self._read(data)

    def _read(self, data: bytes) -> RiverModel:
        state = decode_state(data)
        if type(state) is not dict or list(state) != ["identity", "learnt", "model"] or state["identity"] != self._identity:
            raise StateError(f"stored model is not {self._identity['name']} of these features, seed and options; rebuild it by a refold")
        if type(state["model"]) is not type(self._model) or type(state["learnt"]) is not int or not 0 <= state["learnt"] <= WARM_UP:
            raise StateError(f"stored {self._identity['name']} has a state of another kind; rebuild it by a refold")
        restored = RiverModel(self._identity["name"], self._names, self._identity["seed"], self._identity["options"])
        restored._model, restored._learnt = state["model"], state["learnt"]
        return restored

    def _try_out(self) -> None:
        """Learns and scores once; whatever state cannot do that was not written by us. The state is spoilt by it."""
        try:
            self._learnt = WARM_UP
            for value in (0.5, 0.0):
                self.learn_one(np.full(len(self._names), value))
                self.score_one(np.full(len(self._names), value))
        except Exception as error:
            raise StateError(f"stored {self._identity['name']} does not work: {error}; rebuild it by a refold") from error

    def _features(self, vector: NDArray[np.float64]) -> dict[str, float]:
        """By name, within [0, 1]; what is missing stands in the middle, as in online_model/input_scale.py."""
        return dict(zip(self._names, np.clip(np.nan_to_num(vector, nan=0.5), 0.0, 1.0).tolist(), strict=True))
