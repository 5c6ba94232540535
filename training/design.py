"""Preprocessing: what is missing is filled in, numbers are scaled, codes of stated categories become one column a value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_model.predictor import LARGEST

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
REACH = 10.0  # standard deviations that a number counts as at most: a spike of a broken sensor must not predict a power of 1e30
TAILS = (0.1, 99.9)  # % beyond which values do not count for center and scale: one spike of 1e30 would flatten all others


class Design(NamedTuple):
    """The design columns (c,) as online_model/predictor.py has them."""

    source: I64
    equals: F64
    fill: F64
    center: F64
    scale: F64

    def matrix(self, vectors: F64) -> F64:
        """Design columns (n, c) of vectors (n, features), bit for bit those of `design_row`."""
        x = vectors[:, self.source]
        filled = np.where(np.isfinite(x), x, self.fill)
        numbers = np.clip((filled - self.center) / self.scale, -REACH, REACH)
        return np.where(np.isnan(self.equals), numbers, (x == self.equals).astype(np.float64))

    def chosen(self, columns: I64) -> Design:
        """Only these columns, in rising order."""
        return Design(self.source[columns], self.equals[columns], self.fill[columns], self.center[columns], self.scale[columns])


def fit_design(vectors: F64, source: I64, equals: F64) -> Design:
    """Median in place of what is missing; center and scale are mean and standard deviation. Columns that never vary are left out."""
    columns: list[tuple[int, float, float, float, float]] = []
    for place, value in zip(source.tolist(), equals.tolist(), strict=True):
        x = vectors[:, place]
        if value == value:
            share = float(np.mean(x == value))
            if 0.0 < share < 1.0:
                columns.append((place, value, 0.0, 0.0, 1.0))
            continue
        finite = x[np.isfinite(x) & (np.abs(x) <= LARGEST)]
        if not len(finite):
            continue
        fill = float(np.median(finite))
        filled = np.where(np.isfinite(x), np.clip(x, *np.percentile(finite, TAILS)), fill)
        center, scale = float(np.mean(filled)), float(np.std(filled))
        if scale > 1e-9 * abs(center) and scale > 1e-100:  # else only rounding differs from row to row
            columns.append((place, np.nan, fill, center, scale))
    table = np.array(columns, np.float64).reshape(len(columns), 5)
    return Design(table[:, 0].astype(np.int64), *(np.ascontiguousarray(table[:, k]) for k in range(1, 5)))
