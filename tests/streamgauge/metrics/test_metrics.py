"""From joined labels to metrics and slices."""

from __future__ import annotations

import base64
import dataclasses
from math import isnan

import numpy as np
import pytest

from contracts.definition import Category, Classification, Feed, Number, Regression
from contracts.records import Example, Label, Remark
from feature_store.feature_plan import feature_names
from online_model.raised import Raised
from streamgauge.metrics.joined import Joined, join, slice_names, slice_of
from streamgauge.metrics.report import FEWEST, metrics, overlapping_slices, slices
from streamgauge.metrics.tags import tag_masks

HOUR = 3_600_000_000
FEED = Feed(
    "f", entity="e", time="t", fields=[Number("x"), Category("mode", values=["run", "eco"])], windows=["1m"], target=Regression("power")
)
WIDTH = len(feature_names(FEED))


def example(i: int, value: float, prediction: float | None, entity: str = "a", code: float = 0.0, previous: float | None = None) -> Example:
    """The label of event i, one an hour."""
    vector = np.zeros(WIDTH)
    vector[feature_names(FEED).index("mode_code")] = code
    return Example(
        id=f"f/1/labels-0/{i}/example/0",
        score=f"f/1/0/{i}/score/0",
        entity=entity,
        event_time=i * HOUR,
        value=[value],
        previous=None if previous is None else [previous],
        version=None if prediction is None else "v3.2",
        predictions={} if prediction is None else {"v3.2": [prediction], "v4": [0.0]},
        vector=base64.b64encode(vector.astype("<f8").tobytes()).decode(),
    )


def test_what_was_served_is_measured_and_nothing_else() -> None:
    """The error is that of the prediction that counted then; a label of an event that nobody predicted has none."""
    joined = join(FEED, [example(0, 5.0, None), example(1, 6.0, 5.0), example(2, 6.0, 9.0)])
    assert joined.version == ["none", "v3", "v3"]
    served = metrics(FEED, joined)["served"]
    assert (served["labels"], served["mae"], served["rmse"], served["bias"]) == (2, 2.0, pytest.approx(5.0**0.5), 1.0)
    assert metrics(FEED, joined)["last value"]["mae"] == pytest.approx(0.5)


def test_the_newest_labels_count_most_lately() -> None:
    """After a long good time a bad one shows in the fading error first; both are scikit-learn's, with weights."""
    from sklearn.metrics import mean_absolute_error

    n, bad = 6_000, 1_000
    joined = join(FEED, [example(i, 1.0, 1.0 if i < n - bad else 3.0) for i in range(n)])
    found = metrics(FEED, joined)
    weights = 0.999 ** np.arange(n - 1, -1, -1)
    errors = [0.0] * (n - bad) + [2.0] * bad
    assert found["served"]["mae"] == pytest.approx(2.0 * bad / n)
    assert found["served, lately"]["mae"] == pytest.approx(mean_absolute_error(np.zeros(n), errors, sample_weight=weights))
    assert found["served, lately"]["mae"] > 1.2


def test_coverage_is_the_share_within_the_interval_of_the_version_that_served() -> None:
    """Two of three errors lie within half the width that the version was trained with; without one there is no coverage."""
    joined = join(FEED, [example(0, 5.0, 5.5), example(1, 5.0, 4.0), example(2, 5.0, 7.5)])
    assert metrics(FEED, joined, {"v3": 1.0, "v4": 0.1})["served"]["coverage"] == pytest.approx(2 / 3)
    assert "coverage" not in metrics(FEED, joined, {"v9": 1.0})["served"]


def test_a_correction_replaces_the_value() -> None:
    """One row an event, with the last value that was told and the prediction that was made."""
    joined = join(FEED, [example(0, 5.0, 4.0), example(0, 7.0, 4.0, previous=5.0)])
    assert joined.value.tolist() == [[7.0]]
    assert metrics(FEED, joined)["served"]["mae"] == 3.0


def test_slices_are_named_by_what_an_event_was() -> None:
    """By entity, by hour of the day, by version, and by a category whose values the definition states."""
    joined = join(FEED, [example(0, 1.0, 1.0), example(25, 1.0, 1.0, entity="b", code=1.0), example(26, 1.0, 1.0, code=15.0)])
    assert slice_names(FEED) == ["entity", "hour", "version", "tag", "mode"]
    assert slice_of(FEED, joined, "entity") == ["a", "b", "a"]
    assert slice_of(FEED, joined, "hour") == ["00:00", "01:00", "02:00"]
    assert slice_of(FEED, joined, "version") == ["v3"] * 3
    assert slice_of(FEED, joined, "mode") == ["run", "eco", "other"]


def test_the_slice_that_would_gain_most_comes_first() -> None:
    """Share, mean loss, gap to the rest and gain add up: the whole loss less the gain is what the rest has."""
    names = ["bad"] * FEWEST + ["good"] * (3 * FEWEST) + ["few"] * (FEWEST - 1)
    losses = np.array([4.0] * FEWEST + [1.0] * (3 * FEWEST) + [1.0] * (FEWEST - 1))
    table = slices(losses, names)
    assert [item.name for item in table] == ["bad", "good"]
    assert table[0].loss == 4.0
    assert table[0].gap == pytest.approx(3.0)
    assert losses.mean() - table[0].gain == pytest.approx(1.0)
    assert table[1].gain == 0.0
    assert isnan(slices(losses, ["all"] * len(names))[0].gap)


def test_classes_have_their_own_metrics() -> None:
    """A sure and right prediction of each class has an accuracy and areas of 1, and the confusion matrix is diagonal."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x")], target=Classification("state", ["ok", "worn"]))
    value = np.array([[1.0, 0.0], [0.0, 1.0]] * 10)
    joined = Joined([""] * 20, ["a"] * 20, np.arange(20), ["v1"] * 20, value, 0.8 * value + 0.1, value, value, np.zeros((20, 1)))
    found = metrics(feed, joined)["served"]
    assert (found["accuracy"], found["roc_auc"], found["pr_auc"], found["f1"]) == (1.0, 1.0, 1.0, 1.0)
    assert found["confusion"] == [[10, 0], [0, 10]]
    assert found["log_loss"] == pytest.approx(-np.log(0.9))


def test_a_tag_is_a_slice() -> None:
    """On an incident it is on the events of its entity, or of all, while it was open; on an interval, a time or a score on just those.
    Tags of several people are one, and an event may have several."""
    joined = join(FEED, [example(i, 1.0, 1.0, entity="ab"[i % 2]) for i in range(10)])
    raised = {
        "one": Raised("one", "drift", "a", 2 * HOUR, 5 * HOUR),
        "all": Raised("all", "drift", None, 3 * HOUR, 4 * HOUR),
        "open": Raised("open", "drift", "b", 7 * HOUR, None),
    }
    labels = [
        Label(incident="one", tags=["rain", "warm"]),
        Label(incident="all", tags=["outage"]),
        Label(incident="open", tags=["open"], verdict="confirm"),
        Label(incident="gone", tags=["gone"]),
        Label(entity="a", event_time=6 * HOUR, until=9 * HOUR, tags=["rain"]),
        Label(entity="b", event_time=9 * HOUR, tags=["rain"]),
        Label(score="f/1/0/0/score/0", tags=["first"]),
        Label(incident="one", verdict="confirm"),
    ]
    feed = dataclasses.replace(FEED, time_unit="us")
    found = tag_masks(
        feed, joined, [Remark(id=f"f/1/labels-0/{i}/remark/0", when=i, label=label) for i, label in enumerate(labels)], raised
    )
    assert {tag: np.flatnonzero(mask).tolist() for tag, mask in found.items()} == {
        "rain": [2, 4, 6, 8, 9],
        "warm": [2, 4],
        "outage": [3, 4],
        "open": [7, 9],
        "gone": [],
        "first": [0],
    }
    table = overlapping_slices(np.array([1.0, 1.0, 3.0, 1.0, 3.0] + [1.0] * 5), found, fewest=1)
    warm = next(item for item in table if item.name == "warm")
    assert (warm.labels, warm.loss, warm.gap, warm.gain) == (2, 3.0, 2.0, pytest.approx(0.4))
    assert sum(item.labels for item in table) == 12
