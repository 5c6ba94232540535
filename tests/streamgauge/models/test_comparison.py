"""Two versions on the same joined examples, and the list of what became of versions."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error

from contracts.definition import Classification, Feed, Number, Regression
from contracts.errors import ModelError
from contracts.records import Example, Rollout, Snapshot
from stream_processors.models_log import Models
from streamgauge.models.comparison import compare
from streamgauge.models.listing import decisions, versions

FEED = Feed("f", entity="e", time="t", fields=[Number("x")], windows=["1m"], target=Regression("power"))


def snapshot(version: str) -> Snapshot:
    """A version that nobody loads."""
    return Snapshot(id="s", version=version, family="compiled", definition="d", features=[], outputs=1, state="", crc32c=0)


def example(i: int, value: list[float], predictions: dict[str, list[float]]) -> Example:
    """The label of event i."""
    vector = base64.b64encode(b"").decode()
    return Example(id=f"{i}", score=f"f/1/0/{i}/score/0", entity="a", event_time=i, value=value, predictions=predictions, vector=vector)


SNAPSHOTS = {name: snapshot(name) for name in ("v0.1", "v0.2", "v1")}


def test_both_are_measured_on_the_events_that_both_predicted() -> None:
    """Revisions count as their version, a corrected label with its last value; the interval leaves no doubt who is better."""
    chance = np.random.default_rng(1)
    truth, one, other = chance.standard_normal((3, 3_000))
    one, other = truth + one, truth + 0.2 * other
    told = [
        example(i, [truth[i]], {"v0.1" if i < 500 else "v0.2": [one[i]]} | ({"v1": [other[i]]} if i >= 100 else {})) for i in range(3_000)
    ]
    found = compare(FEED, SNAPSHOTS, [example(200, [9.0], told[200].predictions), *told], "v0", "v1")
    assert found["labels"] == 2_900
    first, second = found["versions"]["v0"], found["versions"]["v1"]
    assert first["metrics"]["mae"] == pytest.approx(mean_absolute_error(truth[100:], one[100:]))
    assert second["metrics"]["mae"] == pytest.approx(mean_absolute_error(truth[100:], other[100:]))
    assert first["snapshot"] == "v0.2"
    low, high = found["difference"]["interval"]
    assert 0.0 < low < first["metrics"]["mae"] - second["metrics"]["mae"] < high
    assert found["difference"]["better"] == "v1"
    assert compare(FEED, SNAPSHOTS, told, "v1", "v0")["difference"]["better"] == "v1"


def test_where_nothing_is_shown_nothing_is_said() -> None:
    """Equally good ones: an interval around 0; a few labels: no interval; none: no difference; a name that is none: which there are."""
    chance = np.random.default_rng(2)
    told = [example(i, [0.0], {"v0.1": [a], "v1": [b]}) for i, (a, b) in enumerate(chance.standard_normal((2_000, 2)).tolist())]
    shown = compare(FEED, SNAPSHOTS, told, "v0", "v1")["difference"]
    assert shown["interval"][0] < 0.0 < shown["interval"][1] and shown["better"] is None
    few = compare(FEED, SNAPSHOTS, told[:5], "v0", "v1")["difference"]
    assert few["interval"] is None and few["better"] is None and np.isfinite(few["mean"])
    assert compare(FEED, SNAPSHOTS, [], "v0", "v1")["difference"] is None
    with pytest.raises(ModelError, match=r"no version 'v7'; it has v0, v1"):
        compare(FEED, SNAPSHOTS, told, "v0", "v7")


def test_classes_are_compared_by_their_log_loss() -> None:
    """The metrics are those of classes."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x")], windows=["1m"], target=Classification("state", ["a", "b"]))
    told = [example(i, [1.0, 0.0], {"v0.1": [0.5, 0.5], "v1": [0.8, 0.2]}) for i in range(40)]
    found = compare(feed, SNAPSHOTS, told, "v0", "v1")
    assert found["loss"] == "log loss"
    assert found["versions"]["v1"]["metrics"]["mean_loss"] == pytest.approx(-np.log(0.8))
    assert found["versions"]["v1"]["metrics"]["accuracy"] == 1.0


def test_the_list_says_who_did_what_when_and_why() -> None:
    """A version has its revisions, its role, and what became of it; revisions of an online version are no decisions."""
    models = Models()
    models.snapshots = dict(SNAPSHOTS)
    models.rollouts = [
        Rollout(id="f/1/examples/1/rollout/0", stage="champion", version="v0.1", champion="v0.1", challenger=None, why="beats both"),
        Rollout(id="f/1/examples/2/rollout/0", stage="revision", version="v0.2", champion="v0.2", challenger=None),
        Rollout(
            id="f/1/examples/3/rollout/0",
            stage="champion",
            version="v1",
            champion="v1",
            challenger="v0.2",
            by="ada",
            when=1_767_225_600_000_000,
            why="audit",
            event_time=-1,
        ),
    ]
    online, trained = versions(models)
    assert (online["version"], online["role"], online["revisions"], trained["role"]) == ("v0", "beside", 2, "champion")
    assert [told["why"] for told in online["rollouts"]] == ["beats both"]
    assert [(told["version"], told["by"], told["decided"], told["event_time"]) for told in decisions(models)] == [
        ("v0.1", "gate", None, "1970-01-01T00:00:00Z"),
        ("v1", "ada", "2026-01-01T00:00:00Z", None),
    ]
