"""MLflow's aliases follow the models topic, with a real MLflow on SQLite."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import msgspec
import pytest

from contracts.definition import Feed
from contracts.records import DatasetPin, RetrainRequest, Rollout, Snapshot
from feature_store.feature_columns import feature_names
from online_model.river_predictor import RiverPredictor
from stream_processors.trainer import aliases
from stream_processors.trainer.aliases import Aliases
from stream_processors.trainer.mlflow_tracking import MlflowTracking
from tests.training.examples import examples_of, regression
from training.search import Trained, train
from training.snapshot import make_snapshot

TOPIC = "aliased.models"


class Shown:
    """A real MLflow, shared by all tests, with a feed for each; and what is asked of it."""

    def __init__(self, directory: Path, name: str, trained: Trained) -> None:
        self.feed = regression(name)
        self.tracking = MlflowTracking([self.feed], directory)
        self.trained = trained
        self.calls = 0

    def register(self, version: str) -> None:
        request = RetrainRequest(id=f"request of {version}", incident="", reason="", event_time=0, from_offset={}, pin=self._pin())
        self.tracking.record(self.snapshot(version), self.trained, request, (0, 400))

    def snapshot(self, version: str) -> Snapshot:
        return make_snapshot(self.feed, self.trained, version, f"snapshot of {version}", f"request of {version}", self._pin())

    def _pin(self) -> DatasetPin:
        return DatasetPin(feed=self.feed.name, definition=self.feed.hash, generations={}, offsets={})

    def aliases(self) -> dict[str, str]:
        """Alias -> version of ours."""
        client = self.tracking._client
        found = client.get_registered_model(self.feed.name).aliases
        return {alias: client.get_model_version(self.feed.name, number).tags["streamgauge.version"] for alias, number in found.items()}

    def record(self, snapshot: Snapshot, trained: Trained, request: RetrainRequest, examples: tuple[int, int]) -> None:
        self.tracking.record(snapshot, trained, request, examples)

    def follow(self, feed: Feed, champion: Snapshot | None, challenger: Snapshot | None) -> bool:
        self.calls += 1
        return self.tracking.follow(feed, champion, challenger)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """A directory for MLflow, and a trained model: the same for all versions, as nobody predicts with them here."""
    feed = regression()
    return tmp_path_factory.mktemp("runs"), train(feed, examples_of(feed, 400), budget=1)


@pytest.fixture
def shown(runs: tuple[Path, Trained], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it for child processes: undone when the test ends
    monkeypatch.setattr(aliases, "AGAIN_SECONDS", 0.0)
    directory, trained = runs
    return Shown(directory, request.node.name.removeprefix("test_")[:40], trained)  # a feed's name has 64 letters at most


def rollout(n: int, champion: str | None, challenger: str | None) -> bytes:
    """The n-th record of the learner."""
    return msgspec.json.encode(
        Rollout(id=f"aliased/1/examples/{n}/rollout/0", stage="champion", version="v1", champion=champion, challenger=challenger)
    )


def followed(shown: Any, values: list[bytes]) -> Aliases:
    """A process that has read these records of the models topic, and has asked MLflow once for each look that was due."""
    follower = Aliases({TOPIC: shown.feed}, shown)
    follower.taken([TOPIC])
    for value in values:
        follower.take(TOPIC, value)
    work(follower)
    return follower


def work(follower: Aliases) -> None:
    """One call of MLflow where one is due, and what becomes of it."""
    with ThreadPoolExecutor(1) as pool:
        follower.work(pool)
    with ThreadPoolExecutor(1) as pool:
        follower.work(pool)


def test_aliases_name_what_serves_and_what_runs_beside(shown: Shown) -> None:
    """Set, exchanged, and removed as the rollouts say; an online version is not in MLflow, so no alias stands for it."""
    for version in ("v1", "v2"):
        shown.register(version)
    assert shown.aliases() == {"challenger": "v2"}
    snapshots = [msgspec.json.encode(shown.snapshot(version)) for version in ("v1", "v2")]
    story = [("v1", None), ("v1", "v2"), ("v2", "v1"), ("v0.3", "v2"), ("v2", None)]
    expected = [
        {"champion": "v1"},
        {"champion": "v1", "challenger": "v2"},
        {"champion": "v2", "challenger": "v1"},
        {"challenger": "v2"},
        {"champion": "v2"},
    ]
    records = snapshots + [rollout(n, *placed) for n, placed in enumerate(story)]
    for n, wanted in enumerate(expected):
        followed(shown, records[: 3 + n])
        assert shown.aliases() == wanted


def test_a_restart_sets_right_what_it_missed_and_an_older_record_changes_nothing(shown: Shown) -> None:
    """An alias that somebody moved is moved back; a repeat of an old rollout behind a newer one is no news."""
    for version in ("v1", "v2"):
        shown.register(version)
    records = [msgspec.json.encode(shown.snapshot(version)) for version in ("v1", "v2")]
    records += [rollout(1, "v1", "v2"), rollout(2, "v2", None), rollout(1, "v1", "v2")]
    followed(shown, records)
    assert shown.aliases() == {"champion": "v2"}
    shown.tracking._client.set_registered_model_alias(shown.feed.name, "champion", "1")
    followed(shown, records)
    assert shown.aliases() == {"champion": "v2"}


def test_a_version_that_is_registered_late_gets_its_alias_then(shown: Shown) -> None:
    """The rollout comes before the version is in MLflow: asked again until it is, and then no more."""
    shown.register("v1")
    records = [msgspec.json.encode(shown.snapshot(version)) for version in ("v1", "v2")]
    follower = followed(shown, [*records, rollout(1, "v2", "v1")])
    assert shown.aliases() == {"challenger": "v1"}
    shown.register("v2")
    assert shown.aliases() == {"challenger": "v2"}
    work(follower)
    work(follower)
    assert shown.aliases() == {"champion": "v2", "challenger": "v1"}
    calls = shown.calls
    work(follower)
    assert shown.calls == calls
    follower.look_again()
    work(follower)
    assert shown.calls == calls + 1


def test_an_mlflow_that_fails_is_asked_again(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is told in the log, and the next call sets the alias."""
    shown.register("v1")
    with monkeypatch.context() as patch:
        patch.setattr(shown.tracking._client, "get_registered_model", lambda _: (_ for _ in ()).throw(OSError("no route")))
        follower = followed(shown, [msgspec.json.encode(shown.snapshot("v1")), rollout(1, "v1", None)])
    assert shown.aliases() == {"challenger": "v1"}
    work(follower)
    work(follower)
    assert shown.aliases() == {"champion": "v1"}


def test_a_version_of_rivers_is_registered_as_the_record_that_workers_load(shown: Shown) -> None:
    """It has no ONNX form; the registered version holds the snapshot itself, and its tag says of which family it is."""
    model = RiverPredictor("river.linear_model.LinearRegression", feature_names(shown.feed), 1)
    family, state = model.snapshot()
    shown.trained = shown.trained._replace(family=family, state=state)
    shown.register("v1")
    assert shown.aliases() == {"challenger": "v1"}
    (version,) = shown.tracking._client.search_model_versions(f"name = '{shown.feed.name}'")
    assert version.tags["streamgauge.family"] == family
    held = Path(unquote(urlparse(version.source).path)) / "snapshot.json"
    assert msgspec.json.decode(held.read_bytes(), type=Snapshot) == shown.snapshot("v1")
