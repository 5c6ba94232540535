"""Point-wise scores of the Skoltech Anomaly Benchmark, pooled over files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class PointScore(NamedTuple):
    """F1, and the shares of rows wrongly alarmed (FAR) and wrongly silent (MAR), in per cent."""

    f1: float
    far: float
    mar: float


def point_score(truth: Sequence[NDArray[np.bool_]], alarm: Sequence[NDArray[np.bool_]]) -> PointScore:
    """Of all files' rows together. A share of nothing is 0."""
    is_wrong, told = np.concatenate(truth), np.concatenate(alarm)
    hits, false = int(np.sum(is_wrong & told)), int(np.sum(~is_wrong & told))
    missed, quiet = int(np.sum(is_wrong & ~told)), int(np.sum(~is_wrong & ~told))
    return PointScore(
        2 * hits / max(2 * hits + false + missed, 1), 100 * false / max(false + quiet, 1), 100 * missed / max(hits + missed, 1)
    )


def best_point_threshold(
    truth: Sequence[NDArray[np.bool_]], scores: Sequence[NDArray[np.float64]], tries: int = 200
) -> tuple[PointScore, float]:
    """(score, threshold) of the best F1 over thresholds for all files: chosen with the labels. NaN never alarms."""
    pooled = np.concatenate(scores)
    levels = np.unique(np.quantile(pooled[~np.isnan(pooled)], np.linspace(0.0, 1.0, tries)))
    return max((point_score(truth, [values >= level for values in scores]), float(level)) for level in levels)
