"""river's detectors by name: what is allowed, that scores are river's, and that bytes carry them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from river import anomaly, neighbors

from contracts.errors import ModelError, StateError
from online_model.river_adapter import WARM_UP, allowed_models, make_river_model
from tests.online_model.model_conformance import check_model, stream

NAMES = ["c", "a", "b", "d"]
CASES: list[tuple[str, dict[str, int | float], bool]] = [
    ("river.anomaly.HalfSpaceTrees", {"n_trees": 10, "window_size": 100}, True),
    ("river.anomaly.LODA", {"n_bins": 5, "n_random_cuts": 5}, True),
    ("river.anomaly.LocalOutlierFactor", {"n_neighbors": 2, "window_size": 20}, False),
    ("river.anomaly.OneClassSVM", {"nu": 0.2}, False),
]


@pytest.mark.parametrize(("name", "options", "seeded"), CASES)
def test_conformance(name: str, options: dict[str, int | float], seeded: bool) -> None:
    """Each allowed detector holds to what every anomaly model must."""
    check_model(lambda seed: make_river_model(name, NAMES, seed, options), len(NAMES), seeded)


def test_every_allowed_model_is_checked() -> None:
    """The list of allowed models is that of the cases above."""
    assert allowed_models() == tuple(name for name, _, _ in CASES)


def test_scores_are_rivers() -> None:
    """Given the same named values, the adapter's scores are those of the river object itself."""
    river: dict[str, Any] = {
        "river.anomaly.HalfSpaceTrees": anomaly.HalfSpaceTrees(n_trees=10, window_size=100, seed=4),
        "river.anomaly.LODA": anomaly.LODA(n_bins=5, n_random_cuts=5, seed=4),
        "river.anomaly.LocalOutlierFactor": anomaly.LocalOutlierFactor(2, neighbors.LazySearch(window_size=20, dist_func=None)),
        "river.anomaly.OneClassSVM": anomaly.OneClassSVM(nu=0.2),
    }
    vectors = np.nan_to_num(stream(WARM_UP + 50, len(NAMES)), nan=0.5)
    for name, options, _ in CASES:
        model = make_river_model(name, NAMES, 4, options)
        for i, vector in enumerate(vectors):
            named = dict(zip(NAMES, vector.tolist(), strict=True))
            score = model.score_one(vector)
            assert score == river[name].score_one(named) if i >= WARM_UP else True
            model.learn_one(vector)
            river[name].learn_one(named)


@pytest.mark.parametrize("name", ["river.anomaly.GaussianScorer", "river.anomaly.QuantileFilter", "os.system", "", "LODA"])
def test_other_names_are_refused(name: str) -> None:
    """A name that is not allowed is a ModelError that lists those that are; nothing is imported."""
    with pytest.raises(ModelError, match=r"river\.anomaly\.LODA, river\.anomaly\.LocalOutlierFactor"):
        make_river_model(name, NAMES, 1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("river.anomaly.LODA", {"seed": 3}),
        ("river.anomaly.LODA", {"n_bins": 10**6}),
        ("river.anomaly.LODA", {"n_bins": 5.0}),
        ("river.anomaly.LocalOutlierFactor", {"engine": 1}),
        ("river.anomaly.HalfSpaceTrees", {"height": 30}),
        ("river.anomaly.OneClassSVM", {"nu": float("nan")}),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any]) -> None:
    """An option that is unknown, of another type or unbounded is a ModelError that says what to write."""
    with pytest.raises(ModelError, match=r"choose from|write a"):
        make_river_model(name, NAMES, 1, options)


@pytest.mark.parametrize(("name", "options", "seeded"), CASES)
def test_bytes_of_another_model_are_refused(name: str, options: dict[str, int | float], seeded: bool) -> None:
    """A model takes up only bytes of its own name, features, options and, where it draws, seed."""
    data = make_river_model(name, NAMES, 1, options).to_bytes()
    others = [make_river_model(name, [*NAMES, "e"], 1, options), make_river_model(name, NAMES, 1)]
    others += [make_river_model(other, NAMES, 1, o) for other, o, _ in CASES if other != name]
    for other in others:
        with pytest.raises(StateError):
            other.from_bytes(data)


@pytest.mark.parametrize(("name", "options", "seeded"), CASES)
def test_hostile_bytes(name: str, options: dict[str, int | float], seeded: bool) -> None:
    """Altered bytes give a StateError or a model that learns and scores; never anything else."""
    model = make_river_model(name, NAMES, 1, options)
    for vector in stream(30, len(NAMES)):
        model.learn_one(vector)
    data = model.to_bytes()
    rng = random.Random(2)
    for _ in range(300):
        hostile = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            hostile[rng.randrange(len(hostile))] = rng.choice((rng.randrange(256), *b"NTFID"))
        try:
            restored = model.from_bytes(bytes(hostile))
        except StateError:
            continue
        restored.learn_one(np.full(len(NAMES), 0.5))
        restored.score_one(np.full(len(NAMES), 0.5))
