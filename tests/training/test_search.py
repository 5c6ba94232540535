from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from contracts.definition import Feed, Regression
from contracts.records import DatasetPin
from feature_store.feature_columns import feature_names
from online_model.online_predictor import load_snapshot, make_online_predictor
from online_model.predictor import predict
from online_model.predictor_bytes import predictor_from_bytes, predictor_to_bytes
from tests.training.examples import classification, examples_of, feed_with, regression
from training.candidate import Candidate
from training.relearnt import predict_served
from training.search import mean_loss, train
from training.snapshot import make_snapshot
from training.training_set import TooLittle


@pytest.mark.slow
def test_the_same_examples_give_the_same_bytes_in_every_process() -> None:
    """Two processes with different hash seeds and numbers of threads, and this one, train the same model byte for byte."""
    script = (
        "import hashlib; from tests.training.examples import *; from training.search import train; "
        "f = classification(); "
        "print(hashlib.sha256(train(f, examples_of(f, 900, changed_from=400, curved=True)).state).hexdigest())"
    )
    feed = classification()
    here = hashlib.sha256(train(feed, examples_of(feed, 900, changed_from=400, curved=True)).state).hexdigest()
    for seed, threads in (("1", "1"), ("2", "4")):
        import os

        variables = os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == here


@pytest.mark.parametrize(
    ("feed", "curved"), [(regression(), False), (regression(), True), (classification(2), True), (classification(4), True)]
)
def test_what_is_trained_beats_what_anyone_would_guess(feed: Feed, curved: bool) -> None:
    """The held-out error is far below the constant guess's, the compiled form is scikit-learn's model, and its bytes read back."""
    examples = examples_of(feed, 3_000, curved=curved)
    trained = train(feed, examples)
    truths = trained.held_out[0]
    guess = np.median(truths, axis=0) if feed.outputs == 1 else truths.mean(axis=0)
    loss = trained.metrics["mae" if feed.outputs == 1 else "log_loss"]
    assert loss < 0.6 * mean_loss(truths, np.tile(guess, (len(truths), 1)))
    assert trained.parameters["family"] == ("boosting" if curved else "linear")
    assert trained.metrics["conversion_difference"] < 1e-9
    again = predictor_from_bytes(trained.state, examples.vectors.shape[1], feed.outputs)
    assert predictor_to_bytes(again) == trained.state
    if feed.outputs == 1:
        assert trained.half_width is not None
        assert np.mean(np.abs(truths - trained.held_out[1]) <= trained.half_width) == pytest.approx(0.9, abs=0.01)


def test_a_change_is_learnt_from_what_came_after_it() -> None:
    """With the relation turned round at a row that the request names, the model is trained on the rows since, and predicts those."""
    feed = regression()
    examples = examples_of(feed, 3_000, changed_from=2_000)
    trained = train(feed, examples)
    assert trained.parameters["window"] == "changed"
    assert trained.metrics["mae"] < 0.2
    assert train(feed, examples._replace(changed_from=0)).metrics["mae"] > 3 * trained.metrics["mae"]


RELEARNT = Candidate("changed", "relearnt")


@pytest.mark.parametrize(
    ("predictor", "family"), [("linear", "compiled"), ("river.linear_model.LinearRegression", "river.linear_model.LinearRegression")]
)
def test_the_online_model_is_learnt_anew_from_the_change_onward(monkeypatch: pytest.MonkeyPatch, predictor: str, family: str) -> None:
    """It is a candidate where a change is dated, is as good as if the old relation had never been, and is served as it was learnt."""
    feed = dataclasses.replace(regression(), predictor=predictor)
    examples = examples_of(feed, 2_000, changed_from=1_000)
    tried = dict(train(feed, examples, budget=7).tried)
    assert tried[RELEARNT] < 0.5 * tried[Candidate()]
    assert RELEARNT not in dict(train(feed, examples._replace(changed_from=0), budget=7).tried)
    monkeypatch.setattr("training.search.fit", lambda *_: None)  # the others cannot be fitted, so it is the best
    trained = train(feed, examples)
    assert (trained.family, trained.parameters["family"], trained.parameters["model"]) == (family, "relearnt", predictor)
    model = make_online_predictor(feed)
    for vector, value in zip(examples.vectors[1_000:], examples.values[1_000:], strict=True):
        model.learn(vector, value)
    assert trained.state == model.snapshot()[1]
    assert set(trained.reference) <= set(feature_names(feed))


def test_too_few_examples_are_told() -> None:
    """Fewer rows than can be trained on and judged, rows whose labels come too late, and rows all of one class raise TooLittle."""
    feed = regression()
    with pytest.raises(TooLittle, match="150 examples"):
        train(feed, examples_of(feed, 150))
    with pytest.raises(TooLittle, match="1h late"):
        late = feed_with(Regression("power", "kW"), label_delay="1h")
        train(late, examples_of(late, 1_000))
    classes = classification()
    examples = examples_of(classes, 1_000)
    with pytest.raises(TooLittle, match="one class"):
        train(classes, examples._replace(values=np.tile([1.0, 0.0, 0.0], (1_000, 1))))


def test_a_rare_class_is_weighted_and_its_probability_is_still_its_share() -> None:
    """With a class in 3 % of the rows, weights are among the candidates; weighted or not, mean probabilities are the shares."""
    feed = classification(2)
    examples = examples_of(feed, 3_000)
    score = examples.vectors[:, 0] + np.nanstd(examples.vectors[:, 0]) * np.random.default_rng(2).normal(size=3_000)
    values = np.eye(2)[(np.nan_to_num(score) > np.nanquantile(score, 0.97)).astype(int)]
    trained = train(feed, examples._replace(values=values))
    assert any(tried.candidate.weighted for tried in trained.tried)
    from online_model.online_predictor import design_columns
    from training.candidate import fit

    for weighted in (False, True):
        fitted = fit(Candidate(weighted=weighted), examples.vectors, values, *design_columns(feed))
        assert fitted is not None
        assert predict(fitted.predictor(), examples.vectors)[:, 1].mean() == pytest.approx(0.03, abs=0.006)


def test_the_snapshot_is_what_every_reader_loads() -> None:
    """The record's state is checksummed and loads as a version that predicts what was trained; its reference adds up to 1."""
    import base64

    from crc32c import crc32c

    feed = regression()
    examples = examples_of(feed, 1_000)
    trained = train(feed, examples)
    pin = DatasetPin(feed=feed.name, definition=feed.hash, generations={"0": 1}, offsets={"0": (0, 10)})
    snapshot = make_snapshot(feed, trained, "v4", "lines/0/retrain/3/snapshot/0", "r", pin)
    state = base64.b64decode(snapshot.state)
    assert crc32c(state) == snapshot.crc32c
    served = load_snapshot(feed, snapshot.family, state)
    np.testing.assert_array_equal(
        served.predict(examples.vectors[5]), predict_served(feed, trained.family, trained.state, examples.vectors[5:6])[0]
    )
    for reference in snapshot.reference.values():
        assert reference.missing + sum(reference.shares) == pytest.approx(1.0)
        assert len(reference.shares) == len(reference.edges) + 1
