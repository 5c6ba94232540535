"""Half-Space Trees against river's, score for score, and their bytes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray
from river import anomaly

from contracts.errors import ModelError, StateError
from online_model.anomaly_model import HalfSpaceTrees
from online_model.half_space_trees import (
    is_ready,
    learn_trees,
    make_trees,
    score_and_learn_trees,
    score_trees,
)
from online_model.half_space_trees_bytes import trees_from_bytes, trees_to_bytes
from tests.online_model.model_conformance import check_model

SIZES = [(3, 25, 8, 250, 1), (1, 5, 3, 3, 42), (7, 11, 6, 50, 9), (40, 25, 8, 100, 7), (2, 1, 1, 1, 0), (5, 3, 10, 60, 123456789)]


def vectors(n: int, features: int, seed: int) -> NDArray[np.float64]:
    """Vectors around the middle, some outside [0, 1], with NaN and infinities among them."""
    rng = np.random.default_rng(seed)
    out = rng.normal(0.5, 0.2, (n, features))
    out[rng.uniform(size=(n, features)) < 0.01] = np.nan
    out[rng.uniform(size=(n, features)) < 0.005] = np.inf
    out[rng.uniform(size=(n, features)) < 0.005] = -1e300
    return out


@pytest.mark.parametrize(("features", "n_trees", "height", "window", "seed"), SIZES)
def test_scores_are_rivers(features: int, n_trees: int, height: int, window: int, seed: int) -> None:
    """Every score equals river's bit for bit over several windows, scored and learnt apart or in one walk."""
    names = [f"f{i}" for i in range(features)]
    random.Random(seed).shuffle(names)
    river = anomaly.HalfSpaceTrees(n_trees=n_trees, height=height, window_size=window, seed=seed)
    apart = make_trees(names, seed, n_trees, height, window)
    together = make_trees(names, seed, n_trees, height, window)
    for i, x in enumerate(vectors(2 * window + 100, features, seed)):
        if i % 5 == 0:  # a value on the very split
            x[apart.feature[i % n_trees, 0]] = apart.split[i % n_trees, 0]
        named = dict(zip(names, x.tolist(), strict=True))
        expected = river.score_one(named)
        river.learn_one(named)
        assert score_trees(apart, x) == expected
        learn_trees(apart, x)
        assert score_and_learn_trees(together, x) == expected
    assert trees_to_bytes(apart) == trees_to_bytes(together)


def test_ready_when_river_scores() -> None:
    """`is_ready` turns true with the vector that fills the first window, as river's scores begin after it."""
    trees = make_trees(["a", "b"], 1, 3, 4, 10)
    for i in range(20):
        assert is_ready(trees) == (i >= 10)
        score_and_learn_trees(trees, np.array([0.4, 0.6]))


def test_order_of_columns_does_not_matter() -> None:
    """The same named values in another order of columns give the same scores."""
    left, right = make_trees(["b", "a", "c"], 5, 5, 5, 20), make_trees(["c", "b", "a"], 5, 5, 5, 20)
    for x in vectors(60, 3, 1):
        assert score_and_learn_trees(left, x) == score_and_learn_trees(right, x[[2, 0, 1]])


def test_conformance() -> None:
    """Half-Space Trees hold to what every anomaly model must."""
    check_model(lambda seed: HalfSpaceTrees([f"f{i}" for i in range(6)], seed), 6, seeded=True)


def test_bytes_of_other_trees_are_refused() -> None:
    """A model does not take up masses that were counted in other trees."""
    data = HalfSpaceTrees(["a", "b"], 1, 5, 3, 10).to_bytes()
    for other in (
        HalfSpaceTrees(["a", "b"], 2, 5, 3, 10),
        HalfSpaceTrees(["a", "c", "b"], 1, 5, 3, 10),
        HalfSpaceTrees(["a", "b"], 1, 5, 3, 11),
    ):
        with pytest.raises(StateError, match="other features"):
            other.from_bytes(data)


def test_restored_amid_a_window() -> None:
    """Trees out of their bytes go on with the same scores and bytes, wherever in a window they were put down."""
    trees = make_trees(["a", "b", "c"], 1, 7, 4, 10)
    for x in vectors(45, 3, 4):
        restored = trees_from_bytes(trees_to_bytes(trees))
        assert np.array_equal(restored.taken, trees.taken)
        assert score_and_learn_trees(restored, x) == score_and_learn_trees(trees, x)
        assert trees_to_bytes(restored) == trees_to_bytes(trees)


def test_hostile_bytes() -> None:
    """Cut, grown or altered bytes give a StateError, or trees whose walks stay within bounds; never anything else."""
    trees = make_trees(["a", "b", "c"], 1, 4, 4, 10)
    for x in vectors(25, 3, 2):
        learn_trees(trees, x)
    data = trees_to_bytes(trees)
    assert trees_to_bytes(trees_from_bytes(data)) == data
    rng = random.Random(3)
    refused = 0
    for _ in range(2000):
        altered = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            altered[rng.randrange(len(data) if rng.random() < 0.5 else 40)] = rng.randrange(256)
        hostile = bytes(altered[: rng.randrange(len(data))]) if rng.random() < 0.2 else bytes(altered) + b"\0" * rng.randint(0, 1)
        try:
            score = score_trees(trees_from_bytes(hostile), np.array([0.2, 0.5, 0.9]))
            assert -1e6 < score <= 1.0
        except StateError:
            refused += 1
    assert refused > 500


def test_content_out_of_bounds_is_refused() -> None:
    """A feature beyond the vector, a split outside the cube, a mass above its window or unlike those below it: each is a StateError."""
    trees = make_trees(["a", "b", "c"], 1, 4, 4, 10)
    for x in vectors(15, 3, 2):
        learn_trees(trees, x)
    unlike = trees.mass.copy()
    unlike[1, 0] -= np.uint32(1 << 16)
    spoilt = [
        trees._replace(mass=unlike),
        trees._replace(feature=trees.feature + np.uint16(3)),
        trees._replace(n_features=0),
        trees._replace(split=trees.split * np.nan),
        trees._replace(split=trees.split + 1.0),
        trees._replace(mass=trees.mass + np.uint32(1)),
        trees._replace(mass=trees.mass + np.uint32(1 << 16)),
        trees._replace(turn=np.array([-1, 0])),
        trees._replace(turn=np.array([10, 0])),
        trees._replace(turn=np.array([5, 1])),
        trees._replace(turn=np.array([5, 2])),
    ]
    for wrong in spoilt:
        with pytest.raises(StateError):
            trees_from_bytes(trees_to_bytes(wrong))


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        ([], {}),
        (["a", "a"], {}),
        (["a"], {"n_trees": 0}),
        (["a"], {"height": 40}),
        (["a"], {"window_size": 70_000}),
        (["a"], {"height": True}),
    ],
)
def test_wrong_sizes_are_refused(names: list[str], sizes: dict[str, int]) -> None:
    """A size out of bounds is a ModelError that says what to write."""
    with pytest.raises(ModelError, match=r"name each|write a whole number"):
        make_trees(names, 1, **sizes)
