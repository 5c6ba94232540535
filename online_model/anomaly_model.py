"""What every anomaly model is to the fold, and Half-Space Trees in that form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.errors import StateError
from online_model.half_space_trees import (
    HEIGHT,
    N_TREES,
    WINDOW_SIZE,
    is_ready,
    learn_trees,
    make_trees,
    score_trees,
)
from online_model.half_space_trees_bytes import trees_from_bytes, trees_to_bytes


class AnomalyModel(Protocol):
    """Learns vectors one by one and scores them; tests/online_model/model_conformance.py says what each must hold to."""

    def score_one(self, vector: NDArray[np.float64]) -> float | None:
        """High for an unusual vector (features,), in the model's own range; None while too little is known. Changes nothing."""

    def learn_one(self, vector: NDArray[np.float64]) -> None:
        """Takes a vector (features,) in [0, 1] in."""

    def to_bytes(self) -> bytes:
        """All of the state; equal states give equal bytes."""

    def from_bytes(self, data: bytes) -> AnomalyModel:
        """The model of this name and these features whose bytes these are; raises StateError where they are not."""


class HalfSpaceTrees:
    """Half-Space Trees an event at a time; the fold's kernels use the functions of online_model/half_space_trees.py."""

    def __init__(
        self,
        feature_names: Sequence[str],
        seed: int,
        n_trees: int = N_TREES,
        height: int = HEIGHT,
        window_size: int = WINDOW_SIZE,
    ) -> None:
        self.trees = make_trees(feature_names, seed, n_trees, height, window_size)
        self._made_from = (tuple(feature_names), seed, n_trees, height, window_size)

    def score_one(self, vector: NDArray[np.float64]) -> float | None:
        """Score in [0, 1]; None until the first window is full."""
        return float(score_trees(self.trees, vector)) if is_ready(self.trees) else None

    def learn_one(self, vector: NDArray[np.float64]) -> None:
        """Counts the vector."""
        learn_trees(self.trees, vector)

    def to_bytes(self) -> bytes:
        """See online_model/half_space_trees_bytes.py."""
        return trees_to_bytes(self.trees)

    def from_bytes(self, data: bytes) -> HalfSpaceTrees:
        """Trees with these splits and the masses stored; raises StateError for bytes of other trees."""
        trees = trees_from_bytes(data)
        same = trees.window_size == self.trees.window_size and trees.n_features == self.trees.n_features
        if not same or not np.array_equal(trees.split, self.trees.split) or not np.array_equal(trees.feature, self.trees.feature):
            raise StateError("stored Half-Space Trees were made from other features, sizes or another seed; rebuild them by a refold")
        restored = HalfSpaceTrees(*self._made_from)
        restored.trees = trees
        return restored
