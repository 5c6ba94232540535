"""Half-Space Trees as flat arrays and compiled walks, equal score for score to river's `HalfSpaceTrees`.

Source: Tan, Ting & Liu (2011), "Fast anomaly detection for streaming data", IJCAI. A tree halves the unit cube at random
`height` times. Each node counts the vectors of the current window (`l_mass`) beside those of the window before (`r_mass`);
a vector that falls where few fell before scores high. Inputs are expected in [0, 1] (online_model/input_scale.py).

What is river's, and followed to the bit: the draws that make the trees; NaN falls to the right of every split; the walk
stops below `0.1 · window_size` mass; scores are 0 until the first window is full. The sums are of integers, so the order
of additions cannot show. What a score takes changes with the window only, so it is kept by leaf: a walk then neither counts
nor adds on its way down, which takes half the time.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError
from contracts.kernel import kernel

N_TREES = 25  # the paper's ensemble (section 4); with fewer, one unlucky draw of splits shows in the score
HEIGHT = 8  # deeper trees than the paper's 15 nodes on a path gain nothing here and double the state at each level
WINDOW_SIZE = 250  # the paper's; shorter windows make scores jump at each turn, longer ones delay the first score
MAX_TREES, MAX_HEIGHT = 1000, 12  # keep a model below 100 MB, and sums of masses below 2**53
MAX_WINDOW = 65_535  # a mass has 16 bits
MAX_FEATURES = 65_535  # a feature's index has 16 bits
_PADDING = 0.15  # river's: no split nearer to a side than this share, so that no half-space is a sliver
SIZE_LIMIT = 0.1  # the paper's: below this share of the window a node's mass is too small to descend further

SEEN, FIRST_WINDOW = 0, 1  # words of Trees.turn

_ONE, _TWO = np.uint64(1), np.uint64(2)
_HALF = np.uint32(16)


F64 = NDArray[np.float64]
U16 = NDArray[np.uint16]


class Trees(NamedTuple):
    """n_trees trees of 2**(height + 1) − 1 nodes each, in heap order: the children of i are 2i + 1 and 2i + 2."""

    feature: NDArray[np.uint16]  # (n_trees, 2**height − 1) index into the vector
    split: NDArray[np.float64]  # (n_trees, 2**height − 1) smaller goes left
    mass: NDArray[np.uint32]  # (n_trees, 2**(height + 1) − 1) r_mass above bit 16; below it l_mass, which only leaves count
    taken: NDArray[np.uint32]  # (n_trees, 2**height) mass that a score takes on its way to each leaf: r_mass stands for a window
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
    mass, taken = np.zeros((n_trees, nodes), np.uint32), np.zeros((n_trees, inner + 1), np.uint32)
    return Trees(feature, split, mass, taken, np.array([0, 1], np.int64), len(names), window_size)


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


@kernel()
def is_ready(trees: Trees) -> bool:
    """Whether the first window is full: before that every score is 0 and means nothing."""
    return trees.turn[FIRST_WINDOW] == 0


@kernel("numpy")
def _as_score(trees: Trees, mass: np.uint64) -> float:
    if trees.turn[FIRST_WINDOW] == 1:
        return 0.0
    n_trees, nodes = trees.mass.shape
    return 1.0 - np.float64(mass) / np.float64(n_trees * trees.window_size * nodes)


@kernel(inlined=True)
def _step(feature: U16, split: F64, x: F64, tree: np.uint64, node: np.uint64) -> np.uint64:
    """The child of a node that a vector falls into. Without a branch: a mispredicted turn at each node costs thrice the whole walk."""
    return _TWO * node + _ONE + np.uint64(not x[np.uint64(feature[tree, node])] < split[tree, node])


@kernel(inlined=True)
def _leaf(trees: Trees, x: F64, tree: np.uint64) -> np.uint64:
    """The node at which a walk down one tree ends."""
    inner, node = np.uint64(trees.feature.shape[1]), np.uint64(0)
    while node < inner:
        node = _step(trees.feature, trees.split, x, tree, node)
    return node


@kernel(inlined=True)
def _at_leaf(trees: Trees, tree: np.uint64, node: np.uint64, count: np.uint32) -> np.uint64:
    """Counts at a leaf, 0 or 1; returns the mass that a score takes on the way to it."""
    trees.mass[tree, node] += count
    return np.uint64(trees.taken[tree, node - np.uint64(trees.feature.shape[1])])


@kernel(inlined=True)
def _walk_five(trees: Trees, x: F64, tree: np.uint64, count: np.uint32) -> np.uint64:
    """Trees tree … tree + 4, step by step side by side: each walk fills the others' waits for memory."""
    feature, split, inner = trees.feature, trees.split, np.uint64(trees.feature.shape[1])
    t1, t2, t3, t4 = tree + np.uint64(1), tree + np.uint64(2), tree + np.uint64(3), tree + np.uint64(4)
    n0 = n1 = n2 = n3 = n4 = np.uint64(0)
    while n0 < inner:
        n0 = _step(feature, split, x, tree, n0)
        n1 = _step(feature, split, x, t1, n1)
        n2 = _step(feature, split, x, t2, n2)
        n3 = _step(feature, split, x, t3, n3)
        n4 = _step(feature, split, x, t4, n4)
    taken = _at_leaf(trees, tree, n0, count) + _at_leaf(trees, t1, n1, count) + _at_leaf(trees, t2, n2, count)
    return taken + _at_leaf(trees, t3, n3, count) + _at_leaf(trees, t4, n4, count)


@kernel("numpy", inlined=True)
def _walk(trees: Trees, x: F64, count: np.uint32) -> float:
    """Score of a vector before it is counted `count` times, 0 or 1; indices are unsigned, which spares a check at each."""
    n_trees, taken, tree = np.uint64(trees.feature.shape[0]), np.uint64(0), np.uint64(0)
    while tree + np.uint64(5) <= n_trees:
        taken += _walk_five(trees, x, tree, count)
        tree += np.uint64(5)
    while tree < n_trees:
        taken += _at_leaf(trees, tree, _leaf(trees, x, tree), count)
        tree += _ONE
    return _as_score(trees, taken)


@kernel("numpy")
def score_trees(trees: Trees, x: F64) -> float:
    """Score of a vector (n_features,) in [0, 1], high for what is unusual; 0 until the first window is full."""
    return _walk(trees, x, np.uint32(0))


@kernel()
def learn_trees(trees: Trees, x: F64) -> None:
    """Counts a vector (n_features,), and turns the window where it is full."""
    score_and_learn_trees(trees, x)


@kernel("numpy", inlined=True)
def score_and_learn_trees(trees: Trees, x: F64) -> float:
    """`score_trees`, then `learn_trees`, in one walk down each tree."""
    score = _walk(trees, x, np.uint32(1))
    trees.turn[SEEN] += 1
    if trees.turn[SEEN] == trees.window_size:
        _turn_window(trees)
    return score


@kernel()
def _turn_window(trees: Trees) -> None:
    """The window's masses take the place of those before."""
    mass, leaves = trees.mass, np.uint64(trees.taken.shape[1])
    inner = leaves - _ONE
    for tree in range(np.uint64(mass.shape[0])):
        for leaf in range(inner, inner + leaves):
            mass[tree, leaf] = mass[tree, leaf] << _HALF
        node = inner
        while node:
            node -= _ONE
            mass[tree, node] = mass[tree, _TWO * node + _ONE] + mass[tree, _TWO * node + _TWO]
        _put_taken(trees, tree, inner)  # type: ignore[arg-type]
    trees.turn[SEEN] = 0
    trees.turn[FIRST_WINDOW] = 0


@kernel(inlined=True)
def _put_taken(trees: Trees, tree: np.uint64, inner: np.uint64) -> None:
    """What a score takes on the way to each leaf: the same for all below a node of too little mass, which are most."""
    limit = np.uint32(np.ceil(SIZE_LIMIT * trees.window_size))  # r < limit and r < ⌈limit⌉ are the same for integers
    leaf = np.uint64(0)
    while leaf <= inner:
        node, first, below, depth, taken = np.uint64(0), np.uint64(0), inner + _ONE, np.uint32(0), np.uint32(0)
        while True:
            r_mass = trees.mass[tree, node] >> _HALF
            taken += r_mass << depth
            if r_mass < limit or node >= inner:
                break
            below >>= _ONE
            right = np.uint64(leaf >= first + below)
            node, first, depth = _TWO * node + _ONE + right, first + right * below, depth + np.uint32(1)
        for at in range(leaf, leaf + below):
            trees.taken[tree, at] = taken
        leaf += below
