"""Prediction models in one compiled form: linear models and sums of trees, with their preprocessing, a row at a time.

A prediction is a function of its model and its own vector alone: it is computed with + − × ÷ and contracts/elementary.py, in one
order, never by a matrix product, whose last bits change with the number of rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.elementary import exp

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

IDENTITY, LOGISTIC, SOFTMAX = 0, 1, 2  # links
LEAF = -1  # in `feature`
LARGEST = 1e100  # of what is multiplied or added: products of two of these, and sums of 10^107 such products, are finite


class Predictor(NamedTuple):
    """A model for vectors (dimension,): c design columns, r raw numbers, outputs as `link` says, trees of m nodes in all.

    A number column is ((x, or `fill` where x is not finite) − `center`) / `scale`, kept within ±`reach`. A one-hot column is 1 where
    x equals `equals`, else 0. raw = intercepts + coefficients · design + the leaves reached, added in this order. A tree goes left
    where its column ≤ threshold.
    """

    source: I64  # (c,) place in the vector
    equals: F64  # (c,) NaN: a number column
    fill: F64  # (c,)
    center: F64  # (c,)
    scale: F64  # (c,) above 0
    coefficients: F64  # (r, c)
    intercepts: F64  # (r,)
    feature: I64  # (m,) design column that a node looks at; LEAF at leaves
    threshold: F64  # (m,)
    left: I64  # (m,) nodes; children stand after their parent
    right: I64  # (m,)
    leaf: F64  # (m,)
    roots: I64  # (t,) nodes
    root_output: I64  # (t,) the raw number that a tree adds to
    link: int  # IDENTITY: outputs are raw; LOGISTIC: of one raw number [1 − p, p]; SOFTMAX: a probability for each raw number
    reach: float = LARGEST  # number columns are kept within ±reach; above 0


def linear_predictor(
    source: I64, equals: F64, fill: F64, center: F64, scale: F64, coefficients: F64, intercepts: F64, link: int, reach: float = LARGEST
) -> Predictor:
    """A model without trees."""
    none, nothing = np.zeros(0, np.int64), np.zeros(0)
    trees = (none, nothing, none, none, nothing, none, none)
    return Predictor(source, equals, fill, center, scale, coefficients, intercepts, *trees, link, reach)


def outputs_of(predictor: Predictor) -> int:
    """How many numbers one prediction has."""
    return 2 if predictor.link == LOGISTIC else len(predictor.intercepts)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def design_row(predictor, vector, design):  # type: ignore[no-untyped-def]
    """Writes the design columns (c,) of one vector."""
    for j in range(len(predictor.source)):
        x = vector[predictor.source[j]]
        wanted = predictor.equals[j]
        if wanted == wanted:
            design[j] = 1.0 if x == wanted else 0.0
            continue
        if not abs(x) < np.inf:
            x = predictor.fill[j]
        design[j] = min(max((x - predictor.center[j]) / predictor.scale[j], -predictor.reach), predictor.reach)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def logistic(x: float) -> float:
    """1 / (1 + e^−x), without an overflow on either side."""
    if x >= 0.0:
        return 1.0 / (1.0 + exp(-x))
    small = exp(x)
    return small / (1.0 + small)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def softmax(raw, out):  # type: ignore[no-untyped-def]
    """e^raw / Σ e^raw, less the greatest first so that nothing overflows."""
    greatest = raw[0]
    for k in range(1, len(raw)):
        greatest = max(greatest, raw[k])
    total = 0.0
    for k in range(len(raw)):
        out[k] = exp(raw[k] - greatest)
        total += out[k]
    for k in range(len(raw)):
        out[k] /= total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def predict_row(predictor, vector, design, raw, out):  # type: ignore[no-untyped-def]
    """One prediction: vector (dimension,), scratch `design` (c,) and `raw` (r,), into `out` (outputs,); allocates nothing."""
    design_row(predictor, vector, design)
    for k in range(len(predictor.intercepts)):
        total = predictor.intercepts[k]
        for j in range(len(predictor.source)):
            total += predictor.coefficients[k, j] * design[j]
        raw[k] = total
    for t in range(len(predictor.roots)):
        node = predictor.roots[t]
        while predictor.feature[node] >= 0:
            node = predictor.left[node] if design[predictor.feature[node]] <= predictor.threshold[node] else predictor.right[node]
        raw[predictor.root_output[t]] += predictor.leaf[node]
    if predictor.link == LOGISTIC:
        out[1] = logistic(raw[0])
        out[0] = 1.0 - out[1]
    elif predictor.link == SOFTMAX:
        softmax(raw, out)
    else:
        for k in range(len(raw)):
            out[k] = raw[k]


@numba.njit(cache=True, nogil=True)
def _predict_rows(predictor, vectors, design, raw, out):  # type: ignore[no-untyped-def]
    for row in range(len(vectors)):
        predict_row(predictor, vectors[row], design, raw, out[row])


def predict(predictor: Predictor, vectors: F64) -> F64:
    """Predictions (n, outputs) of vectors (n, dimension), each as if it were alone."""
    out = np.empty((len(vectors), outputs_of(predictor)))
    _predict_rows(predictor, vectors, np.empty(len(predictor.source)), np.empty(len(predictor.intercepts)), out)
    return out
