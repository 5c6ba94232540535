"""Half-Space Trees as flat arrays and compiled walks, equal score for score to river's `HalfSpaceTrees`.

Source: Tan, Ting & Liu (2011), "Fast anomaly detection for streaming data", IJCAI. A tree halves the unit cube at random
`height` times. Each node counts the vectors of the current window (`l_mass`) beside those of the window before (`r_mass`);
a vector that falls where few fell before scores high. Inputs are expected in [0, 1] (online_model/input_scale.py).

What is river's, and followed to the bit: the draws that make the trees; NaN falls to the right of every split; the walk
stops below `0.1 · window_size` mass; scores are 0 until the first window is full. The sums are of integers, so the order
of additions cannot show.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError

N_TREES = 25  # the paper's ensemble (section 4); with fewer, one unlucky draw of splits shows in the score
HEIGHT = 8  # deeper trees than the paper's 15 nodes on a path gain nothing here and double the state at each level
WINDOW_SIZE = 250  # the paper's; shorter windows make scores jump at each turn, longer ones delay the first score
MAX_TREES, MAX_HEIGHT = 1000, 12  # keep a model below 100 MB, and sums of masses below 2**53
MAX_WINDOW = 65_535  # a mass has 16 bits
MAX_FEATURES = 65_535  # a feature's index has 16 bits
_PADDING = 0.15  # river's: no split nearer to a side than this share, so that no half-space is a sliver
_SIZE_LIMIT = 0.1  # the paper's: below this share of the window a node's mass is too small to descend further

SEEN, FIRST_WINDOW = 0, 1  # words of Trees.turn

_ONE, _TWO, _HALF, _LOW = np.uint64(1), np.uint64(2), np.uint32(16), np.uint64(0xFFFF)


class Trees(NamedTuple):
    """n_trees trees of 2**(height + 1) − 1 nodes each, in heap order: the children of i are 2i + 1 and 2i + 2."""

    feature: NDArray[np.uint16]  # (n_trees, 2**height − 1) index into the vector
    split: NDArray[np.float64]  # (n_trees, 2**height − 1) smaller goes left
    mass: NDArray[np.uint32]  # (n_trees, 2**(height + 1) − 1) r_mass above, l_mass below bit 16: one load gets both
    turn: NDArray[np.int64]  # (2,) vectors seen in this window; 1 until the first window is full
    n_features: int
    window_size: int

    @property
    def n_trees(self) -> int:
        """Trees in the ensemble."""
        return self.feature.shape[0]

    @property
    def height(self) -> int:
        """Splits on the way from a root to a leaf."""
        return int(self.mass.shape[1] + 1).bit_length() - 2


def make_trees(
    feature_names: Sequence[str], seed: int, n_trees: int = N_TREES, height: int = HEIGHT, window_size: int = WINDOW_SIZE
) -> Trees:
    """Trees for vectors whose columns bear these names, in this order.

    As in river, the draws go through the names in alphabetical order, so the order of the columns does not matter.

    Raises:
        ModelError: no names, a name twice, or a size out of its bounds.
    """
    names = list(feature_names)
    if not 1 <= len(set(names)) == len(names) <= MAX_FEATURES:
        raise ModelError(f"Half-Space Trees need 1 to {MAX_FEATURES} distinct feature names, got {len(names)}; name each feature once")
    check_sizes(n_trees, height, window_size)
    columns = sorted(range(len(names)), key=names.__getitem__)
    rng = random.Random(seed)
    inner, nodes = 2**height - 1, 2 ** (height + 1) - 1
    feature, split = np.zeros((n_trees, inner), np.uint16), np.zeros((n_trees, inner), np.float64)
    for tree in range(n_trees):
        _draw(feature[tree], split[tree], 0, height, columns, [(0.0, 1.0)] * len(names), rng)
    return Trees(feature, split, np.zeros((n_trees, nodes), np.uint32), np.array([0, 1], np.int64), len(names), window_size)


def check_sizes(n_trees: int, height: int, window_size: int) -> None:
    """Raises ModelError where a size is out of its bounds."""
    for name, value, most in (("n_trees", n_trees, MAX_TREES), ("height", height, MAX_HEIGHT), ("window_size", window_size, MAX_WINDOW)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ModelError(f"Half-Space Trees: {name}={value!r}; write a whole number from 1 to {most}")


def _draw(
    feature: NDArray[np.uint16],
    split: NDArray[np.float64],
    node: int,
    height: int,
    columns: Sequence[int],
    limits: list[tuple[float, float]],
    rng: random.Random,
) -> None:
    """Splits `node` and all below it: a feature by the width of its limits, then a place between them (paper, section 3).

    Draws with `random()` alone, the one method whose sequence Python promises not to change; the arithmetic is that of
    its `choices` and `uniform`. `limits` are in the alphabetical order of the names, as `columns` are.
    """
    if height == 0:
        return
    widths = list(accumulate(high - low for low, high in limits))
    at = bisect(widths, rng.random() * (widths[-1] + 0.0), 0, len(widths) - 1)
    low, high = limits[at]
    start, end = low + _PADDING * (high - low), high - _PADDING * (high - low)
    value = start + (end - start) * rng.random()
    feature[node], split[node] = columns[at], value
    for child, bounds in ((2 * node + 1, (low, value)), (2 * node + 2, (value, high))):
        limits[at] = bounds
        _draw(feature, split, child, height - 1, columns, limits, rng)
    limits[at] = (low, high)


@numba.njit(cache=True, nogil=True)
def is_ready(trees):  # type: ignore[no-untyped-def]
    """Whether the first window is full: before that every score is 0 and means nothing."""
    return trees.turn[FIRST_WINDOW] == 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _as_score(trees, mass):  # type: ignore[no-untyped-def]
    if trees.turn[FIRST_WINDOW] == 1:
        return 0.0
    n_trees, nodes = trees.mass.shape
    return 1.0 - np.float64(mass) / np.float64(n_trees * trees.window_size * nodes)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def score_trees(trees, x):  # type: ignore[no-untyped-def]
    """Score of a vector (n_features,) in [0, 1], high for what is unusual; 0 until the first window is full."""
    n_trees, inner = trees.feature.shape
    size_limit = _SIZE_LIMIT * trees.window_size
    mass = 0
    for tree in range(n_trees):
        node, weight = 0, 1
        while True:
            r_mass = int(trees.mass[tree, node] >> _HALF)
            mass += r_mass * weight
            if r_mass < size_limit or node >= inner:
                break
            node = 2 * node + 1 + int(not x[trees.feature[tree, node]] < trees.split[tree, node])
            weight *= 2
    return _as_score(trees, mass)


@numba.njit(cache=True, nogil=True)
def learn_trees(trees, x):  # type: ignore[no-untyped-def]
    """Counts a vector (n_features,), and turns the window where it is full."""
    n_trees, inner = trees.feature.shape
    for tree in range(n_trees):
        node = 0
        while node < inner:
            trees.mass[tree, node] += np.uint32(1)
            node = 2 * node + 1 + int(not x[trees.feature[tree, node]] < trees.split[tree, node])
        trees.mass[tree, node] += np.uint32(1)
    _turn(trees)


@numba.njit(cache=True, nogil=True)
def _turn(trees):  # type: ignore[no-untyped-def]
    """Counts the vector, and lets the window's masses take the place of those before once it is full."""
    trees.turn[SEEN] += 1
    if trees.turn[SEEN] == trees.window_size:
        mass = trees.mass.reshape(-1)
        for node in range(len(mass)):
            mass[node] = mass[node] << _HALF
        trees.turn[SEEN] = 0
        trees.turn[FIRST_WINDOW] = 0


@numba.njit(cache=True, nogil=True, inline="always")
def _step(feature, split, mass, x, inner_at, node_at, node, alive, size_limit):  # type: ignore[no-untyped-def]
    """Counts at a node; returns the child, whether the score goes on below (a mask), and the mass that it takes here.

    Without a branch, so that several walks run at once in one core: a mispredicted turn at each node costs three times
    the whole walk.
    """
    at = node_at + node
    word = mass[at]
    mass[at] = word + np.uint32(1)
    r_mass = np.uint64(word >> _HALF)
    at = inner_at + node
    child = _TWO * node + _ONE + np.uint64(not x[feature[at]] < split[at])
    return child, alive & (np.uint64(0) - np.uint64(r_mass >= size_limit)), r_mass & alive


@numba.njit(cache=True, nogil=True, inline="always")
def _leaf(mass, at, alive):  # type: ignore[no-untyped-def]
    """Counts at a leaf; returns the mass that the score takes there."""
    word = mass[at]
    mass[at] = word + np.uint32(1)
    return np.uint64(word >> _HALF) & alive


@numba.njit(cache=True, nogil=True, forceinline=True)
def _walk_five(feature, split, mass, x, tree, inner, nodes, size_limit):  # type: ignore[no-untyped-def]
    """Scores and counts in trees tree … tree + 4, step by step side by side: each walk fills the others' waits for memory."""
    i0, m0 = tree * inner, tree * nodes
    i1, m1 = i0 + inner, m0 + nodes
    i2, m2 = i1 + inner, m1 + nodes
    i3, m3 = i2 + inner, m2 + nodes
    i4, m4 = i3 + inner, m3 + nodes
    n0 = n1 = n2 = n3 = n4 = np.uint64(0)
    a0 = a1 = a2 = a3 = a4 = _LOW
    depth, total = np.uint64(0), np.uint64(0)
    while n0 < inner:
        n0, a0, r0 = _step(feature, split, mass, x, i0, m0, n0, a0, size_limit)
        n1, a1, r1 = _step(feature, split, mass, x, i1, m1, n1, a1, size_limit)
        n2, a2, r2 = _step(feature, split, mass, x, i2, m2, n2, a2, size_limit)
        n3, a3, r3 = _step(feature, split, mass, x, i3, m3, n3, a3, size_limit)
        n4, a4, r4 = _step(feature, split, mass, x, i4, m4, n4, a4, size_limit)
        total += (r0 + r1 + r2 + r3 + r4) << depth
        depth += _ONE
    leaves = _leaf(mass, m0 + n0, a0) + _leaf(mass, m1 + n1, a1) + _leaf(mass, m2 + n2, a2)
    return total + ((leaves + _leaf(mass, m3 + n3, a3) + _leaf(mass, m4 + n4, a4)) << depth)


@numba.njit(cache=True, nogil=True)
def _walk_one(feature, split, mass, x, tree, inner, nodes, size_limit):  # type: ignore[no-untyped-def]
    """Scores and counts in one tree."""
    node, alive = np.uint64(0), _LOW
    depth, total = np.uint64(0), np.uint64(0)
    while node < inner:
        node, alive, r_mass = _step(feature, split, mass, x, tree * inner, tree * nodes, node, alive, size_limit)
        total += r_mass << depth
        depth += _ONE
    return total + (_leaf(mass, tree * nodes + node, alive) << depth)


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def score_and_learn_trees(trees, x):  # type: ignore[no-untyped-def]
    """`score_trees`, then `learn_trees`, in one walk down each tree; indices are unsigned, which spares a check at each."""
    feature, split, mass = trees.feature.reshape(-1), trees.split.reshape(-1), trees.mass.reshape(-1)
    n_trees, inner, nodes = np.uint64(trees.feature.shape[0]), np.uint64(trees.feature.shape[1]), np.uint64(trees.mass.shape[1])
    size_limit = np.uint64(np.ceil(_SIZE_LIMIT * trees.window_size))  # r < limit and r < ⌈limit⌉ are the same for integers
    total, tree = np.uint64(0), np.uint64(0)
    while tree + np.uint64(5) <= n_trees:
        total += _walk_five(feature, split, mass, x, tree, inner, nodes, size_limit)
        tree += np.uint64(5)
    while tree < n_trees:
        total += _walk_one(feature, split, mass, x, tree, inner, nodes, size_limit)
        tree += _ONE
    score = _as_score(trees, total)
    _turn(trees)
    return score
