"""Half-Space Trees to bytes and back, in a format of our own: nothing is unpickled, and hostile bytes give a StateError.

Little-endian: magic ``SGHT``, then int32 version, n_trees, height, window_size, n_features; int64 seen, first_window; the
arrays `split` (float64), `mass` (uint32) and `feature` (uint16) in C order.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError, StateError
from online_model.half_space_trees import FIRST_WINDOW, MAX_FEATURES, SEEN, SIZE_LIMIT, Trees, check_sizes

_HEADER = struct.Struct("<4s5i2q")
_MAGIC = b"SGHT"
_VERSION = 1


def trees_to_bytes(trees: Trees) -> bytes:
    """The same trees give the same bytes: 4.6 kB a tree of height 8."""
    sizes = (trees.n_trees, trees.height, trees.window_size, trees.n_features)
    header = _HEADER.pack(_MAGIC, _VERSION, *sizes, int(trees.turn[SEEN]), int(trees.turn[FIRST_WINDOW]))
    split, mass, feature = trees.split.astype("<f8"), _whole_masses(trees).astype("<u4"), trees.feature.astype("<u2")
    return header + split.tobytes() + mass.tobytes() + feature.tobytes()


def trees_from_bytes(data: bytes) -> Trees:
    """The trees that `trees_to_bytes` wrote; raises StateError for anything else."""
    if len(data) < _HEADER.size:
        raise StateError(f"Half-Space Trees: {len(data)} bytes are too few for a header; restore from an older checkpoint")
    magic, version, n_trees, height, window_size, n_features, seen, first = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise StateError(f"Half-Space Trees: {magic!r} version {version} is not version {_VERSION}; rebuild the state by a refold")
    try:
        check_sizes(n_trees, height, window_size)
    except ModelError as error:
        raise StateError(f"stored {error}") from error
    inner, nodes = 2**height - 1, 2 ** (height + 1) - 1
    expected = _HEADER.size + n_trees * (10 * inner + 4 * nodes)
    if len(data) != expected:
        raise StateError(f"Half-Space Trees: {len(data)} bytes where {n_trees} trees of height {height} take {expected}")
    split_end = _HEADER.size + 8 * n_trees * inner
    split = np.frombuffer(data, "<f8", n_trees * inner, _HEADER.size).astype(np.float64).reshape(n_trees, inner)
    mass = np.frombuffer(data, "<u4", n_trees * nodes, split_end).astype(np.uint32).reshape(n_trees, nodes)
    feature = np.frombuffer(data, "<u2", n_trees * inner, split_end + 4 * n_trees * nodes).astype(np.uint16).reshape(n_trees, inner)
    taken = _taken(mass, height, window_size)
    trees = Trees(feature, split, mass, taken, np.array([seen, first], np.int64), n_features, window_size)
    _check_content(trees)
    return trees


def _check_content(trees: Trees) -> None:
    """Raises StateError where a walk would read outside the vector or a sum could leave its bounds."""
    seen, first = int(trees.turn[SEEN]), int(trees.turn[FIRST_WINDOW])
    if not 1 <= trees.n_features <= MAX_FEATURES or int(trees.feature.max()) >= trees.n_features:
        raise StateError(f"Half-Space Trees: a split names a feature beyond the {trees.n_features} there are")
    if not bool(np.all((trees.split > 0.0) & (trees.split < 1.0))):
        raise StateError("Half-Space Trees: a split is outside (0, 1)")
    if not 0 <= seen < trees.window_size or first not in (0, 1):
        raise StateError(f"Half-Space Trees: {seen} vectors seen in a window of {trees.window_size}, first window {first}")
    if int((trees.mass & np.uint32(0xFFFF)).max()) > seen or int((trees.mass >> np.uint32(16)).max()) > (0 if first else trees.window_size):
        raise StateError("Half-Space Trees: a node's mass is greater than its window")
    if not np.array_equal(_whole_masses(trees), trees.mass) or not np.array_equal(
        trees.mass[:, : trees.taken.shape[1] - 1] >> np.uint32(16), _below(trees.mass >> np.uint32(16))
    ):
        raise StateError("Half-Space Trees: a node's mass is not that of the nodes below it")


def _below(mass: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """What the two children of each inner node have together."""
    return mass[:, 1::2] + mass[:, 2::2]


def _whole_masses(trees: Trees) -> NDArray[np.uint32]:
    """Masses with l_mass at inner nodes, too, which is that of the leaves below."""
    counted = trees.mass & np.uint32(0xFFFF)
    for depth in range(trees.height - 1, -1, -1):
        at = slice(2**depth - 1, 2 ** (depth + 1) - 1)
        below = slice(2 ** (depth + 1) - 1, 2 ** (depth + 2) - 1)
        counted[:, at] = counted[:, below].reshape(trees.n_trees, -1, 2).sum(axis=2)
    return (trees.mass & ~np.uint32(0xFFFF)) | counted


def _taken(mass: NDArray[np.uint32], height: int, window_size: int) -> NDArray[np.uint32]:
    """`Trees.taken`, level by level."""
    taken, alive = np.zeros((len(mass), 1), np.uint32), np.ones((len(mass), 1), np.bool_)
    for depth in range(height + 1):
        r_mass = mass[:, 2**depth - 1 : 2 ** (depth + 1) - 1] >> np.uint32(16)
        taken = taken + np.where(alive, r_mass << np.uint32(depth), np.uint32(0))
        alive = alive & (r_mass >= SIZE_LIMIT * window_size)
        if depth < height:
            taken, alive = taken.repeat(2, axis=1), alive.repeat(2, axis=1)
    return taken
