"""Online predictors by name: which are refused, what the design is made of, and that no hash seed shows."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from contracts.definition import Classification, Regression, Target
from contracts.errors import DefinitionError
from feature_store.feature_columns import feature_names
from online_model.online_predictor import LinearPredictor, make_online_predictor
from online_model.predictor_bytes import predictor_from_bytes
from tests.online_model.test_predictor_conformance import CASES, examples, feed_of, run

NUMBER, TWO, THREE = Regression("power"), Classification("state", ["a", "b"]), Classification("state", ["a", "b", "c"])


@pytest.mark.parametrize(
    ("predictor", "target", "fix"),
    [
        ("logistic", NUMBER, r"choose from linear, river\.linear_model\.LinearRegression, river\.neighbors\.KNNRegressor"),
        ("linear", TWO, "choose from logistic, river"),
        ("river.linear_model.LinearRegression", TWO, r"choose from logistic, river\.linear_model\.LogisticRegression"),
        ("river.linear_model.LogisticRegression", THREE, r"choose from logistic, river\.naive_bayes\.GaussianNB"),
        ("river.linear_model.LogisticRegression", NUMBER, "choose from linear"),
        ("river.tree.HoeffdingTreeRegressor", NUMBER, "choose from linear"),
        ("river.anomaly.LODA", NUMBER, "choose from linear"),
        ("os.system", TWO, "choose from logistic"),
        (None, None, "target=Regression"),
    ],
)
def test_other_names_are_refused(predictor: str | None, target: Target | None, fix: str) -> None:
    """A model that is none, or not for this target, is a DefinitionError that lists those that are; nothing is imported."""
    with pytest.raises(DefinitionError, match=fix):
        make_online_predictor(feed_of(predictor, target))


def test_codes_are_one_hot() -> None:
    """The code of a stated category is a column a value in the compiled model; every other number of the vector is one column."""
    feed = feed_of(None, NUMBER)
    model = make_online_predictor(feed)
    assert isinstance(model, LinearPredictor)
    place = feature_names(feed).index("mode_code")
    predictor = predictor_from_bytes(model.snapshot()[1], len(feature_names(feed)), 1)
    assert predictor.source.tolist() == [*range(place), place, place]
    assert np.nan_to_num(predictor.equals, nan=-1.0).tolist() == [-1.0] * place + [0.0, 1.0]


def test_the_compiled_linear_model_is_the_adapters() -> None:
    """On numbers alone "linear" and river's LinearRegression by name predict the same: one rule of scaling and of missing inputs."""
    compiled, named = feed_of(None, NUMBER), feed_of("river.linear_model.LinearRegression", NUMBER)
    mine, rivers = make_online_predictor(compiled), make_online_predictor(named)
    vectors, values = examples(compiled, 500)
    vectors[:, -1] = np.nan  # the code: one-hot in one, a number in the other
    for vector, value in zip(vectors, values, strict=True):
        np.testing.assert_allclose(mine.predict(vector), rivers.predict(vector), rtol=1e-9, atol=1e-9)
        mine.learn(vector, value)
        rivers.learn(vector, value)


_PRINT_BYTES = """
from tests.online_model.test_online_predictor import every_state
print(every_state())
"""


def every_state() -> str:
    """The bytes of all cases after 40 examples, in hex."""
    out = []
    for predictor, target in CASES:
        feed = feed_of(predictor, target)
        model = make_online_predictor(feed)
        out += [part.hex() for part in run(model, *examples(feed, 40))] + [model.to_bytes().hex()]
    return " ".join(out)


def test_no_hash_seed_shows() -> None:
    """Predictions and bytes are the same in a process with another seed of Python's hashes, by which sets are ordered."""
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    other = subprocess.run([sys.executable, "-c", _PRINT_BYTES], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == every_state()
