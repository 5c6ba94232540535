from __future__ import annotations

import numpy as np
import pytest

from contracts.definition import Feed
from online_model.online_predictor import design_columns
from online_model.predictor import predict
from online_model.predictor_bytes import check_predictor
from tests.training.examples import classification, examples_of, regression
from training.candidate import Candidate, fit
from training.selection import SELECTIONS


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("family", ["linear", "boosting"])
@pytest.mark.parametrize("feed", [regression(), classification(2), classification(3)], ids=["number", "two classes", "three classes"])
def test_the_compiled_form_is_scikit_learns_model(feed: Feed, family: str, selection: str) -> None:
    """On rows that were not trained on, missing and infinite values among them, within 1e-9; trees of a number to the last bit."""
    examples = examples_of(feed, 800, curved=True)
    candidate = Candidate(family=family, strength=15.0, selection=selection)  # type: ignore[arg-type]
    fitted = fit(candidate, examples.vectors[:500], examples.values[:500], *design_columns(feed))
    assert fitted is not None
    predictor = fitted.predictor()
    check_predictor(predictor, examples.vectors.shape[1], feed.outputs)
    vectors = examples.vectors[500:].copy()
    vectors[::7, 0] = np.inf
    vectors[::11, 1] = 1e300
    compiled, original = predict(predictor, vectors), fitted.original(vectors)
    np.testing.assert_allclose(compiled, original, rtol=1e-9, atol=1e-9)
    if family == "boosting" and feed.outputs == 1:
        np.testing.assert_array_equal(compiled, original)
    assert selection == "all" or len(predictor.source) < len(design_columns(feed)[0])


@pytest.mark.parametrize("absent", [0, 1, 2])
@pytest.mark.parametrize("family", ["linear", "boosting"])
def test_a_class_that_was_never_seen_is_unlikely_and_not_impossible(family: str, absent: int) -> None:
    """Three classes of which two stand in the rows: the third gets about half an example's share."""
    feed = classification(3)
    examples = examples_of(feed, 600)
    rows = examples.values[:, absent] == 0.0
    candidate = Candidate(family=family, strength=7.0)  # type: ignore[arg-type]
    fitted = fit(candidate, examples.vectors[rows], examples.values[rows], *design_columns(feed))
    assert fitted is not None
    predicted = predict(fitted.predictor(), examples.vectors)
    np.testing.assert_allclose(predicted, fitted.original(examples.vectors), rtol=1e-9, atol=1e-12)
    assert 0.0 < predicted[:, absent].mean() < 0.02
