"""The compiled form's bytes: what goes in comes out, and damaged bytes are refused or harmless."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from contracts.errors import StateError
from online_model.predictor import LOGISTIC, Predictor, predict
from online_model.predictor_bytes import ARRAYS, predictor_from_bytes, predictor_to_bytes
from tests.online_model.predictors import random_predictor, vectors

DIMENSION = 6


def predictor(outputs: int = 3, trees: int = 4, seed: int = 1) -> Predictor:
    return random_predictor(np.random.default_rng(seed), DIMENSION, outputs, trees)


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("trees", [0, 9])
def test_round_trip(outputs: int, trees: int) -> None:
    """Any model comes back with the same arrays, predicts the same bits and gives the same bytes again."""
    model = predictor(outputs, trees)
    data = predictor_to_bytes(model)
    back = predictor_from_bytes(data, DIMENSION, outputs)
    for name in ARRAYS:
        before, after = getattr(model, name), getattr(back, name)
        assert before.dtype == after.dtype
        assert before.shape == after.shape
        assert before.tobytes() == after.tobytes()
    assert (back.link, back.reach) == (model.link, model.reach)
    assert predictor_to_bytes(back) == data
    rows = vectors(np.random.default_rng(2), 20, DIMENSION)
    assert predict(back, rows).tobytes() == predict(model, rows).tobytes()


def put(array: Any, place: Any, value: float) -> Any:
    changed = array.copy()
    changed[place] = value
    return changed


def inner_node(model: Predictor) -> int:
    return int(np.flatnonzero(model.feature >= 0)[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p._replace(source=put(p.source, 0, DIMENSION)),
        lambda p: p._replace(source=put(p.source, 0, -1)),
        lambda p: p._replace(scale=put(p.scale, 0, 0.0)),
        lambda p: p._replace(scale=put(p.scale, 0, np.nan)),
        lambda p: p._replace(fill=put(p.fill, 0, np.inf)),
        lambda p: p._replace(center=put(p.center, 0, np.nan)),
        lambda p: p._replace(coefficients=put(p.coefficients, (0, 0), 1e101)),
        lambda p: p._replace(leaf=put(p.leaf, 0, np.nan)),
        lambda p: p._replace(feature=put(p.feature, inner_node(p), len(p.source))),
        lambda p: p._replace(feature=put(p.feature, inner_node(p), -2)),
        lambda p: p._replace(left=put(p.left, inner_node(p), inner_node(p))),
        lambda p: p._replace(right=put(p.right, inner_node(p), len(p.feature))),
        lambda p: p._replace(roots=put(p.roots, 0, len(p.feature))),
        lambda p: p._replace(root_output=put(p.root_output, 0, 3)),
        lambda p: p._replace(link=LOGISTIC),
        lambda p: p._replace(link=9),
        lambda p: p._replace(reach=0.0),
        lambda p: p._replace(reach=np.inf),
    ],
)
def test_impossible_models_are_refused(change: Any) -> None:
    """A model that would read outside of its arrays, walk in a circle or not stay finite is a StateError."""
    model = predictor()
    assert predictor_from_bytes(predictor_to_bytes(model), DIMENSION, 3)
    with pytest.raises(StateError):
        predictor_from_bytes(predictor_to_bytes(change(model)), DIMENSION, 3)


def test_other_sizes_are_refused() -> None:
    """Bytes cut or lengthened, or for another vector or number of outputs, are a StateError that says what was expected."""
    data = predictor_to_bytes(predictor())
    for damaged in (b"", data[:20], data[:-1], data + b"\0", b"XXXX" + data[4:], data[:4] + b"\x07" + data[5:]):
        with pytest.raises(StateError, match=r"anew|bytes"):
            predictor_from_bytes(damaged, DIMENSION, 3)
    with pytest.raises(StateError, match="1 numbers"):
        predictor_from_bytes(data, 1, 3)
    with pytest.raises(StateError, match="4 outputs"):
        predictor_from_bytes(data, DIMENSION, 4)


def test_damaged_bytes() -> None:
    """Whatever bytes are altered, the answer is a StateError or a model whose predictions are finite."""
    rng = random.Random(3)
    data = predictor_to_bytes(predictor())
    rows = vectors(np.random.default_rng(4), 5, DIMENSION) * 1e300
    refused = 0
    for _ in range(1500):
        hostile = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            hostile[rng.randrange(len(hostile))] = rng.randrange(256)
        try:
            model = predictor_from_bytes(bytes(hostile), DIMENSION, 3)
        except StateError:
            refused += 1
            continue
        assert np.all(np.isfinite(predict(model, rows)))
    assert refused > 300
