"""What the inputs of a model looked like in training, so that skew of what is served can be told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.records import FeatureReference

DECILES = np.linspace(0.1, 0.9, 9)


def feature_references(vectors: NDArray[np.float64], used: list[tuple[int, str]]) -> dict[str, FeatureReference]:
    """By name, of the (place, name) used of vectors (n, features).

    Edges are the distinct deciles of what is finite; bin i holds edges[i − 1] < x ≤ edges[i]. Shares are of all rows, so that they and
    `missing` add up to 1.
    """
    return {name: _reference(vectors[:, place]) for place, name in used}


def _reference(x: NDArray[np.float64]) -> FeatureReference:
    finite = x[np.isfinite(x)]
    edges = np.unique(np.quantile(finite, DECILES, method="lower")) if len(finite) else np.zeros(0)
    counts = np.bincount(np.searchsorted(edges, finite, side="left"), minlength=len(edges) + 1)
    return FeatureReference(missing=float(1.0 - len(finite) / len(x)), edges=edges.tolist(), shares=(counts / len(x)).tolist())
