"""The score of the Numenta Anomaly Benchmark (Lavin & Ahmad 2015, https://arxiv.org/abs/1510.03336), by row numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
LEFT_EDGE = 0.98661  # of the sigmoid: a detection at a window's left edge is worth 1
FAR = 3.0  # widths past a window from which a false detection costs in full


class Profile(NamedTuple):
    """What a hit is worth, and what a false detection and a miss cost."""

    tp: float
    fp: float
    fn: float


PROFILES = {"standard": Profile(1.0, 0.11, 1.0), "low_fp": Profile(1.0, 0.22, 1.0), "low_fn": Profile(1.0, 0.11, 2.0)}


class Labelled(NamedTuple):
    """A file's rows and its windows [first, last], as row numbers, in order."""

    rows: int
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """Rows at the beginning whose detections do not count."""
        return min(int(0.15 * self.rows), 750)


def window_rows(times: I64, windows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Windows in event time as the row numbers that they hold; `times` rises."""
    found = [(int(np.searchsorted(times, first)), int(np.searchsorted(times, last, "right")) - 1) for first, last in sorted(windows)]
    return [(first, last) for first, last in found if first <= last]


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 / (1 + e^(5x)) − 1: near 1 well before 0, 0 at 0, near −1 well after."""
    value: NDArray[np.float64] = 2.0 / (1.0 + np.exp(5.0 * x)) - 1.0
    return value


def file_score(labelled: Labelled, detections: I64, profile: Profile) -> float:
    """The raw score of one file: its windows' earliest detections, less false detections and missed windows.

    Args:
        detections: row numbers, in any order; those within probation are ignored.
    """
    rows = np.unique(detections[detections >= labelled.probation])
    inside = np.zeros(len(rows), bool)
    score = 0.0
    for first, last in labelled.windows:
        hits = (rows >= first) & (rows <= last)
        inside |= hits
        if hits.any():
            place = (rows[hits][:1] - last) / max(last - first, 1)
            score += profile.tp * float(sigmoid(place)[0]) / LEFT_EDGE
        else:
            score -= profile.fn
    return score + profile.fp * float(_worth_outside(labelled, rows[~inside]).sum())


def normalised(labelled: Sequence[Labelled], raw: float, profile: Profile) -> float:
    """The corpus's score: 0 is a detector that says nothing, 100 one that finds every window at once and nothing else."""
    windows = sum(len(item.windows) for item in labelled)
    null, perfect = -profile.fn * windows, profile.tp * windows
    return 100.0 * (raw - null) / (perfect - null)


def corpus_score(labelled: Sequence[Labelled], detections: Sequence[I64], profile: Profile) -> float:
    """The normalised score of detections in all files."""
    return normalised(labelled, sum(file_score(item, rows, profile) for item, rows in zip(labelled, detections, strict=True)), profile)


def best_threshold(
    labelled: Sequence[Labelled], scores: Sequence[NDArray[np.float64]], profile: Profile, tries: int = 200
) -> tuple[float, float]:
    """(score, threshold) of the one threshold for all files that scores best: chosen with the labels, as the board does.

    Rows at or above the threshold are detections; NaN never is. Thresholds are quantiles of all scores, dense at the top.
    """
    pooled = np.concatenate(scores)
    pooled = pooled[~np.isnan(pooled)]
    levels = np.unique(np.quantile(pooled, 1.0 - np.geomspace(1.0 / len(pooled), 0.5, tries)))
    found = [(corpus_score(labelled, [np.flatnonzero(values >= level) for values in scores], profile), float(level)) for level in levels]
    return max(found)


def _worth_outside(labelled: Labelled, rows: I64) -> NDArray[np.float64]:
    """(n,) worth of false detections, −1 to 0: by the distance past the last window before each."""
    worth = np.full(len(rows), -1.0)
    for first, last in labelled.windows:  # in order, so a later window overrules
        past = rows > last
        distance = (rows[past] - last) / max(last - first, 1)
        worth[past] = np.where(distance > FAR, -1.0, sigmoid(distance))
    return worth
