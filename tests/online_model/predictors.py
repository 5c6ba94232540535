"""Random models in the compiled form, and what they predict, in plain numpy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from online_model.predictor import IDENTITY, LEAF, LOGISTIC, SOFTMAX, Predictor

F64 = NDArray[np.float64]


def random_predictor(rng: np.random.Generator, dimension: int, outputs: int, trees: int) -> Predictor:
    """Number and one-hot columns, a linear part, and trees of random shape."""
    link = IDENTITY if outputs == 1 else LOGISTIC if outputs == 2 and rng.uniform() < 0.7 else SOFTMAX
    raws = 1 if link == LOGISTIC else outputs
    columns = int(rng.integers(1, 2 * dimension + 1))
    equals = np.where(rng.uniform(size=columns) < 0.3, rng.integers(0, 3, columns), np.nan)
    feature: list[int] = []
    threshold, left, right, leaf = [], [], [], []

    def grow(depth: int) -> int:
        node = len(feature)
        ends = depth == 0 or rng.uniform() < 0.2
        feature.append(LEAF if ends else int(rng.integers(columns)))
        threshold.append(rng.choice([rng.normal(), 0.0, 1.0]))  # one-hot columns meet some exactly
        leaf.append(rng.normal())
        left.append(-1)
        right.append(-1)
        if not ends:
            left[node] = grow(depth - 1)
            right[node] = grow(depth - 1)
        return node

    roots = [grow(int(rng.integers(0, 5))) for _ in range(trees)]
    return Predictor(
        source=rng.integers(0, dimension, columns),
        equals=equals,
        fill=rng.normal(size=columns),
        center=rng.normal(size=columns),
        scale=rng.uniform(0.1, 3.0, columns),
        coefficients=rng.normal(size=(raws, columns)),
        intercepts=rng.normal(size=raws),
        feature=np.array(feature, np.int64),
        threshold=np.array(threshold, np.float64),
        left=np.array(left, np.int64),
        right=np.array(right, np.int64),
        leaf=np.array(leaf, np.float64),
        roots=np.array(roots, np.int64),
        root_output=rng.integers(0, raws, trees),
        link=link,
        reach=float(rng.choice([1.5, 1e100])),
    )


def vectors(rng: np.random.Generator, n: int, dimension: int) -> F64:
    """Numbers and small whole numbers, some of them missing."""
    out = np.where(rng.uniform(size=(n, dimension)) < 0.5, rng.normal(size=(n, dimension)), rng.integers(0, 3, (n, dimension)))
    out[rng.uniform(size=(n, dimension)) < 0.1] = np.nan
    out[rng.uniform(size=(n, dimension)) < 0.05] = np.inf
    return out


def oracle(p: Predictor, vector: F64) -> list[float]:
    """One prediction by the definition, with Python's numbers and libm."""
    x = vector[p.source]
    design = np.clip((np.where(np.isfinite(x), x, p.fill) - p.center) / p.scale, -p.reach, p.reach)
    design = np.where(np.isnan(p.equals), design, np.where(x == p.equals, 1.0, 0.0))
    raw = p.intercepts + p.coefficients @ design
    for root, output in zip(p.roots, p.root_output, strict=True):
        node = int(root)
        while p.feature[node] != LEAF:
            node = int(p.left[node] if design[p.feature[node]] <= p.threshold[node] else p.right[node])
        raw[output] += p.leaf[node]
    if p.link == LOGISTIC:
        probability = 1.0 / (1.0 + math.exp(-raw[0]))
        return [1.0 - probability, probability]
    if p.link == SOFTMAX:
        weights = [math.exp(r - max(raw)) for r in raw]
        return [w / sum(weights) for w in weights]
    return list(raw)
