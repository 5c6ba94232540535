"""Folds in the order of time: what a model is trained on was known, labels included, before the first event it is tested on."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Fold(NamedTuple):
    """Rows [0, train_end) to train on, or the newer ones of them; rows [test_start, test_end) to test on."""

    train_end: int
    test_start: int
    test_end: int


def known_rows(event_times: NDArray[np.int64], row: int, gap: int) -> int:
    """How many of the rows in rising order had their label, `gap` µs after the event, when the event of `row` came."""
    return int(np.searchsorted(event_times[:row], event_times[row] - gap, side="right"))


def time_folds(event_times: NDArray[np.int64], start: int, end: int, count: int, gap: int) -> list[Fold]:
    """Walks forward through rows [start, end): `count` tests of equal length over the newer half, each trained on all known before it.

    Rows are in rising order of event time; a fold without a row to train on is left out.
    """
    edges = np.linspace((start + end) // 2, end, count + 1).astype(np.int64).tolist()
    folds = []
    for test_start, test_end in pairwise(edges):
        known = known_rows(event_times, test_start, gap) if test_end > test_start else 0
        if known > 0:
            folds.append(Fold(known, test_start, test_end))
    return folds
