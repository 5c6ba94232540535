"""Requests become versions, once each, wherever the trainer is killed; what the order of the log decides, on Apache Kafka as well."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from contracts.definition import Feed
from contracts.errors import StreamgaugeError
from contracts.ids import RecordId
from contracts.records import RetrainRequest, Snapshot
from contracts.settings import Servers
from stream_processors.topics import ensure_topics
from stream_processors.trainer.logs import FeedLogs
from stream_processors.trainer.trainer import Trainer
from tests.stream_processors.trainer.retrain_log import MINUTE, Story, put_examples, request, request_id
from tests.training.examples import regression
from training.search import Trained

pytestmark = pytest.mark.integration


class Killed(BaseException):
    """The process ends here: nothing that catches errors catches it."""


class MortalLogs(FeedLogs):
    """The real logs, and a process that is killed before or after its n-th record is acknowledged."""

    def __init__(self, feed: Feed, servers: Servers, before: int = -1, after: int = -1) -> None:
        super().__init__(feed, servers.kafka)
        self.before, self.after, self.written = before, after, 0

    def append(self, kind: str, value: bytes) -> int:
        if self.written == self.before:
            raise Killed
        offset = super().append(kind, value)
        self.written += 1
        if self.written - 1 == self.after:
            raise Killed
        return offset


class Shown:
    """What was shown of versions; kills the first process where asked to."""

    def __init__(self, kills: bool = False) -> None:
        self.versions: list[str] = []
        self.kills = kills

    def record(self, snapshot: Snapshot, trained: Trained, request: RetrainRequest, examples: tuple[int, int]) -> None:
        if self.kills:
            raise Killed
        self.versions.append(snapshot.version)

    def follow(self, feed: Feed, champion: Snapshot | None, challenger: Snapshot | None) -> bool:
        return True


def live(logs: FeedLogs, requests: list[bytes], shown: Shown, first: int = 0) -> None:
    """One process: reads all requests from the log's beginning and does what each asks for, one after the other."""
    trainer = Trainer(logs, shown)
    for offset, value in enumerate(requests, first):
        job = trainer.answer(offset, value)
        if job:
            job()


def feed_on(servers: Servers, name: str, examples: int = 400) -> Feed:
    feed = regression(name)
    ensure_topics(feed, servers.kafka)
    if examples:
        put_examples(feed, servers.kafka, examples)
    return feed


@pytest.mark.parametrize(
    ("place", "mortal"),
    [(f"{side}-{step}", {side: n}) for n, step in enumerate(("started", "snapshot", "arrival", "trained")) for side in ("before", "after")]
    + [("shown", {})],
)
def test_a_trainer_killed_at_any_step_loses_no_request_and_registers_nothing_twice(
    stack: Servers, place: str, mortal: dict[str, int]
) -> None:
    """Its successor ends with one snapshot, one arrival and one final answer, though more examples have come meanwhile."""
    kill_and_succeed(stack, place, mortal)


@pytest.mark.kafka
def test_on_apache_kafka_too_a_killed_trainer_loses_no_request(kafka_stack: Servers) -> None:
    """The step that is killed after all others, where a successor has every record to find."""
    kill_and_succeed(kafka_stack, "before-trained", {"before": 3})


def kill_and_succeed(servers: Servers, place: str, mortal: dict[str, int]) -> None:
    feed = feed_on(servers, f"killed-{place}")
    requests = [request(feed, 0)]
    with pytest.raises(Killed):
        live(MortalLogs(feed, servers, **mortal), requests, Shown(kills=not mortal))
    put_examples(feed, servers.kafka, 420, 400)
    shown = Shown()
    live(FeedLogs(feed, servers.kafka), requests, shown)
    live(FeedLogs(feed, servers.kafka), requests, shown)
    story = Story(FeedLogs(feed, servers.kafka))
    assert [snapshot.version for snapshot in story.snapshots] == ["v1"]
    assert [arrival.version for arrival in story.arrivals] == ["v1"]
    assert story.arrivals[0].snapshot == story.snapshots[0]
    assert story.final == {request_id(feed, 0): 1} and story.answers[-1].outcome == "trained"
    pinned = (0, 420) if place == "before-started" else (0, 400)
    assert {answer.examples for answer in story.answers} == {pinned}
    assert shown.versions == ([] if place == "after-trained" else ["v1"])


def test_the_same_request_gives_the_same_model_after_a_kill(stack: Servers) -> None:
    """A feed whose trainer was killed between training and the snapshot ends with the very weights of one that was not."""
    states = []
    for name, mortal in (("bytes-whole", {}), ("bytes-killed", {"before": 1})):
        feed = feed_on(stack, name)
        if mortal:
            with pytest.raises(Killed):
                live(MortalLogs(feed, stack, **mortal), [request(feed, 0)], Shown())
            put_examples(feed, stack.kafka, 420, 400)
        live(FeedLogs(feed, stack.kafka), [request(feed, 0)], Shown())
        (snapshot,) = Story(FeedLogs(feed, stack.kafka)).snapshots
        states.append((snapshot.state, snapshot.metrics, snapshot.reference))
    assert states[0] == states[1]


def test_requests_that_are_not_trained_are_told_why(stack: Servers) -> None:
    """Too little data, then too soon after that, then trained, then too soon, with a pause that doubles with a failure."""
    feed = feed_on(stack, "refused", 100)
    times = [0, MINUTE + 1, 2 * MINUTE, 2 * MINUTE + 10, 3 * MINUTE + 1]
    requests = [request(feed, n, time) for n, time in enumerate(times)]
    live(FeedLogs(feed, stack.kafka), requests[:2], Shown())
    put_examples(feed, stack.kafka, 400, 100)
    live(FeedLogs(feed, stack.kafka), requests, Shown())
    story = Story(FeedLogs(feed, stack.kafka))
    expected = ["too_little", "too_soon", "started", "trained", "too_soon", "started", "trained"]
    assert story.outcomes == expected
    assert [snapshot.version for snapshot in story.snapshots] == ["v3", "v5"]
    assert set(story.final.values()) == {1}
    assert "120 s must pass" in story.answers[1].reason and "60 s must pass" in story.answers[4].reason


def test_the_request_for_a_first_model_is_never_too_soon(stack: Servers) -> None:
    """A request of the judge came days later by its clock, and found no labels; the learner's is trained all the same."""
    feed = feed_on(stack, "first", 0)
    early = request(feed, 0, 7 * 1440 * MINUTE)
    first = msgspec.json.decode(request(feed, 1, 0), type=RetrainRequest)
    first.id = str(RecordId(feed.name, 1, "examples", 399, "retrain", 0))
    live(FeedLogs(feed, stack.kafka), [early], Shown())
    put_examples(feed, stack.kafka, 400)
    live(FeedLogs(feed, stack.kafka), [early, msgspec.json.encode(first)], Shown())
    assert Story(FeedLogs(feed, stack.kafka)).outcomes == ["too_little", "started", "trained"]


def test_a_request_during_a_training_is_told_so(stack: Servers) -> None:
    """The one that came while another was being trained is answered; what is no request is passed over."""
    feed = feed_on(stack, "busy")
    trainer = Trainer(FeedLogs(feed, stack.kafka), Shown())
    job = trainer.answer(0, request(feed, 0))
    assert job is not None
    assert trainer.answer(1, request(feed, 1, MINUTE * 9), busy=True) is None
    assert trainer.answer(2, b"no request") is None
    assert trainer.answer(0, request(feed, 0), busy=True) is None
    job()
    assert Story(FeedLogs(feed, stack.kafka)).outcomes == ["started", "in_progress", "trained"]


def test_a_changed_concept_waits_until_the_time_after_it_can_be_learnt(stack: Servers) -> None:
    """Its request waits for another training and for enough labels since the change, trains on those; other requests never wait."""
    feed = feed_on(stack, "concept", 500)
    trainer = Trainer(FeedLogs(feed, stack.kafka), Shown())
    concept = request(feed, 1, MINUTE * 9, changed_from=400)
    assert not trainer.waits(request(feed, 0), busy=True) and not trainer.waits(b"no request", busy=True)
    assert trainer.waits(concept, busy=True) and trainer.waits(concept, busy=False)
    put_examples(feed, stack.kafka, 1_110, 500)
    assert trainer.waits(concept, busy=False)  # 710 examples, of which 194 had their label, a minute late, when the first fold began
    put_examples(feed, stack.kafka, 1_310, 1_110)
    assert not trainer.waits(concept, busy=False)
    job = trainer.answer(1, concept)
    assert job is not None
    job()
    story = Story(FeedLogs(feed, stack.kafka))
    assert story.snapshots[0].metrics["held_out"] == 182 and story.outcomes == ["started", "trained"]


def test_of_two_trainers_that_begin_at_once_the_first_on_the_log_decides(servers: Servers) -> None:
    """A zombie and its successor, each with examples of its own, register one version from the first one's examples."""
    feed = feed_on(servers, "two")
    first, second = (Trainer(FeedLogs(feed, servers.kafka), Shown()) for _ in range(2))
    jobs = [first.answer(0, request(feed, 0))]
    put_examples(feed, servers.kafka, 420, 400)
    jobs.append(second.answer(0, request(feed, 0)))
    for job in reversed(jobs):
        assert job is not None
        job()
    story = Story(FeedLogs(feed, servers.kafka))
    assert story.outcomes == ["started", "started", "trained"]
    assert [len(story.snapshots), len(story.arrivals)] == [1, 1]
    assert story.answers[-1].examples == (0, 400)


def test_a_training_that_fails_is_answered_and_one_that_ends_the_process_is_given_up(
    stack: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error is an answer with its sentence; a request that has killed five processes is not begun again."""
    feed = feed_on(stack, "failing")
    monkeypatch.setattr("stream_processors.trainer.trainer.train", raising(StreamgaugeError("the disk is full")))
    live(FeedLogs(feed, stack.kafka), [request(feed, 0)], Shown())
    monkeypatch.setattr("stream_processors.trainer.trainer.train", raising(Killed()))
    requests = [request(feed, 0), request(feed, 1, 9 * MINUTE)]
    for _ in range(5):
        with pytest.raises(Killed):
            live(FeedLogs(feed, stack.kafka), requests, Shown())
    live(FeedLogs(feed, stack.kafka), requests, Shown())
    story = Story(FeedLogs(feed, stack.kafka))
    assert story.answers[1].reason == "the disk is full"
    assert story.outcomes == ["started", "failed", *["started"] * 5, "failed"]
    assert set(story.final.values()) == {1}


def raising(error: BaseException):  # type: ignore[no-untyped-def]
    def train(*_: object) -> None:
        raise error

    return train


def test_mlflow_on_sqlite_shows_the_request_its_candidates_and_the_challenger(
    stack: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One finished run a request with a nested one a candidate; one registered version with the alias, which predicts; all of it once."""
    import mlflow
    import numpy as np

    from stream_processors.trainer.mlflow_tracking import MlflowTracking
    from tests.training.examples import examples_of

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it for child processes: undone when the test ends
    feed = feed_on(stack, "tracked")
    tracking = MlflowTracking([feed], tmp_path / "runs")
    with pytest.raises(Killed):
        live(MortalLogs(feed, stack, before=3), [request(feed, 0)], tracking)  # type: ignore[arg-type]
    live(FeedLogs(feed, stack.kafka), [request(feed, 0)], tracking)  # type: ignore[arg-type]
    client = mlflow.MlflowClient(tracking.uri)
    experiment = client.get_experiment_by_name("streamgauge/tracked")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.status for run in parents] == ["FINISHED"]
    (snapshot,) = Story(FeedLogs(feed, stack.kafka)).snapshots
    assert parents[0].data.params["definition"] == feed.hash and parents[0].data.params["examples"] == "0 to 400"
    assert parents[0].data.metrics["mae"] == snapshot.metrics["mae"]
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(nested) == int(snapshot.parameters["candidates"])
    files = {item.path for item in client.list_artifacts(parents[0].info.run_id)}
    assert {"request.json", "environment.json", "model_card.md", "held_out"} <= files
    (version,) = client.search_model_versions("name = 'tracked'")
    assert client.get_model_version_by_alias("tracked", "challenger").version == version.version
    vectors = examples_of(feed, 5).vectors
    model = mlflow.pyfunc.load_model("models:/tracked@challenger")
    predicted = next(iter(model.predict({"vector": vectors}).values()))
    import base64

    from online_model.online_predictor import load_snapshot

    served = load_snapshot(feed, snapshot.family, base64.b64decode(snapshot.state))
    np.testing.assert_allclose(predicted, [served.predict(vector) for vector in vectors], rtol=1e-9)
    assert msgspec.json.decode(request(feed, 0), type=RetrainRequest).id == parents[0].data.tags["streamgauge.request"]
