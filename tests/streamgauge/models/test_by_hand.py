"""Versions put in place by hand with the real command, worker and servers: seen in the scores, on the record, and folded again."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from crc32c import crc32c

from contracts.definition import Feed
from contracts.plant import load_plant
from contracts.records import Arrival, Score, Snapshot
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.feature_columns import feature_names
from online_model.predictor import IDENTITY, Predictor
from online_model.predictor_bytes import predictor_to_bytes
from producers.sender import Sender
from stream_processors.topics import ensure_topics
from stream_processors.trainer.logs import FeedLogs
from streamgauge.commands.verify import overall, verify_feeds
from streamgauge.local_stack import LocalStack, free_port
from streamgauge.local_stack.child import Child
from streamgauge.local_stack.processes import command_child
from streamgauge.models import decisions
from streamgauge.warm_up import warm_up
from tests.streamgauge.commands_in_process import Done, command
from tests.streamgauge.test_learning_loop import topic
from tests.streamgauge.test_worker_process import wait_for

pytestmark = pytest.mark.integration
PLANT = """
from streamgauge import Feed, Number, Regression

kilns = Feed(
    "kilns",
    entity="kiln",
    time="at",
    fields=[Number("heat", features=["last"])],
    windows=["1m"],
    lateness="30s",
    season=None,
    partitions=2,
    target=Regression("power", unit="kW"),
    label_delay="1m",
    learn="frozen",
)
"""
KILNS = tuple(f"kiln-{n}" for n in range(8))
START = 1_767_225_600_000  # ms


class Bench(NamedTuple):
    """A feed with two versions that ask to be tried, and a worker."""

    feed: Feed
    servers: Servers
    plant: Path
    workers: list[Child]
    sent: list[int]  # readings of each kiln so far

    def models(self, *arguments: str) -> Done:
        """The command on this plant."""
        return command(["models", str(self.plant), *arguments, "--kafka", self.servers.kafka.address])

    def scores(self) -> list[Score]:
        """All score records."""
        return [msgspec.json.decode(value, type=Score) for _, value in topic(self.feed, self.servers, "scores", 2)]

    def send(self, count: int = 5) -> None:
        """Readings and their labels, and waits for the scores."""
        due = (self.sent[0] + count) * len(KILNS)
        with Sender(self.servers.kafka) as sender:
            for i in range(self.sent[0], self.sent[0] + count):
                keys = [kiln.encode() for kiln in KILNS]
                events = [json.dumps({"kiln": kiln, "at": START + i * 10_000, "heat": float(i % 7)}).encode() for kiln in KILNS]
                labels = [json.dumps({"entity": kiln, "event_time": START + i * 10_000, "value": 2.0}).encode() for kiln in KILNS]
                sender.send(topic_name(self.feed, "events"), keys, events)
                sender.send(topic_name(self.feed, "labels"), keys, labels)
            sender.flush()
        self.sent[0] += count
        wait_for("the scores", lambda: len(self.scores()) >= due, self.workers)

    def served(self) -> dict[str, str | None]:
        """Whose prediction counts for each kiln now; a worker comes to know a rollout some readings after it."""
        self.send()
        return {score.entity: score.version for score in sorted(self.scores(), key=lambda score: score.event_time)}

    def wait_until_served(self, *versions: str | None) -> dict[str, str | None]:
        """Sends readings until exactly these versions serve."""
        last: dict[str, str | None] = {}

        def reached() -> bool:
            last.update(self.served())
            return set(last.values()) == set(versions)

        wait_for(f"{versions} to serve", reached, self.workers)
        return last


def snapshot(feed: Feed, version: str, power: float) -> Snapshot:
    """A version that predicts `power`, whatever it is asked."""
    none, no_place = np.zeros(0), np.zeros(0, np.int64)
    design = (np.zeros(1, np.int64), np.full(1, np.nan), np.zeros(1), np.zeros(1), np.ones(1))
    trees = (no_place, none, no_place, no_place, none, no_place, no_place)
    state = predictor_to_bytes(Predictor(*design, np.zeros((1, 1)), np.array([power]), *trees, IDENTITY, 10.0))
    return Snapshot(
        id=f"kilns/0/retrain/{version[1:]}/snapshot/0",
        version=version,
        family="compiled",
        definition=feed.hash,
        features=list(feature_names(feed)),
        outputs=1,
        state=base64.b64encode(state).decode(),
        crc32c=crc32c(state),
    )


@pytest.fixture(scope="module", params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """v1 predicts 2 kW, which is right, and v2 predicts 5 kW; both have arrived as a trainer's versions do."""
    broker: Servers = request.getfixturevalue({"embedded": "stack", "apache": "kafka_stack"}[request.param])
    directory: Path = tmp_path_factory.mktemp("by-hand")
    plant = directory / "plant.py"
    plant.write_text(PLANT)
    (feed,) = load_plant(plant)
    warm_up()
    with LocalStack(kafka=broker.kafka) as own:
        ensure_topics(feed, own.servers.kafka)
        logs = FeedLogs(feed, own.servers.kafka)
        for version, power in (("v1", 2.0), ("v2", 5.0)):
            made = snapshot(feed, version, power)
            logs.append("models", msgspec.json.encode(made))
            logs.append("examples", msgspec.json.encode(Arrival(id=f"{made.id}/a", version=version, request="r", snapshot=made)))
        worker = command_child(["worker", str(plant), "--web-port", str(free_port())], own.servers, directory, "worker")
        try:
            yield Bench(feed, own.servers, plant, [worker], [0])
        finally:
            worker.stop()


@pytest.fixture(scope="module")
def said(bench: Bench) -> dict[str, Done]:
    """Promote, promote, roll back, split, and what cannot be done, each seen in the scores before the next."""
    found: dict[str, Done] = {}
    found["promote v2"] = bench.models("promote", "v2", "--by", "ada", "--why", "the audit is tomorrow")
    bench.wait_until_served("v2")
    found["promote v1"] = bench.models("promote", "v1", "--by", "bob", "--why", "v2 is far off", "--json")
    bench.wait_until_served("v1")
    found["again"] = bench.models("promote", "v1", "--by", "bob", "--why", "to be sure")
    found["rollback"] = bench.models("rollback", "--by", "ada", "--why", "v1 was never reviewed")
    bench.wait_until_served("v2")
    found["split"] = bench.models("split", "v1", "0.5", "--by", "ada", "--why", "let us see", "--json")
    halves = bench.wait_until_served("v1", "v2")
    assert bench.served() == halves, "an entity stays in its share"
    found["end"] = bench.models("rollback", "--by", "ada", "--why", "seen enough")
    bench.wait_until_served("v2")
    found["nothing"] = bench.models("rollback", "--by", "ada", "--why", "once more")
    return found


def test_each_decision_ends_with_what_serves_now(said: dict[str, Done]) -> None:
    """In a sentence, or as the rollout's record; what cannot be done ends with the learner's reason."""
    assert {name: done.code for name, done in said.items() if done.code} == {"again": 1, "nothing": 1}
    assert said["promote v2"].out == "kilns: v2 champion by ada; v2 serves, and nothing runs beside it\n"
    record = json.loads(said["promote v1"].out)
    assert (record["champion"], record["challenger"], record["by"], record["why"]) == ("v1", "v2", "bob", "v2 is far off")
    assert said["rollback"].out == "kilns: v1 rolled back by ada; v2 serves, and nothing runs beside it\n"
    assert json.loads(said["split"].out)["share"] == 0.5
    assert said["again"].err == "Error: feed 'kilns': v1 is the champion already\n"
    assert "nothing is on trial" in said["nothing"].err


def test_the_list_tells_who_when_and_why(bench: Bench, said: dict[str, Done]) -> None:
    """Also the refused ones and what followed without a person; as text a line each."""
    listed = [json.loads(line) for line in bench.models("list", "--json").out.splitlines()]
    assert {version["version"]: version["role"] for version in listed} == {"v1": "", "v2": "champion"}
    told = [(told["stage"], told["by"], told["why"]) for version in listed for told in version["rollouts"] if version["version"] == "v1"]
    assert told == [
        ("shadow", "gate", "a version asks to be tried"),
        ("rejected", "gate", "v2 was put in place by hand"),
        ("champion", "bob", "v2 is far off"),
        ("refused", "bob", "v1 is the champion already"),
        ("rolled_back", "ada", "v1 was never reviewed"),
        ("split", "ada", "let us see"),
        ("rolled_back", "ada", "seen enough"),
    ]
    assert all(told["decided"] for version in listed for told in version["rollouts"] if told["by"] != "gate")
    assert "v1         champion    bob (20" in bench.models("list").out


def test_two_versions_are_compared_on_the_record(bench: Bench, said: dict[str, Done]) -> None:
    """On events that both predicted while they ran beside each other; an unknown one is answered with those there are."""
    found = json.loads(bench.models("compare", "v1", "v2", "--json").out)
    assert found["labels"] > 0
    assert [found["versions"][name]["metrics"]["mae"] for name in ("v1", "v2")] == [0.0, 3.0]
    assert "mean absolute error of v1 − v2: -3" in bench.models("compare", "v1", "v2").out
    assert bench.models("compare", "v1", "v7").err == "Error: feed 'kilns' has no version 'v7'; it has v1, v2\n"


def test_a_version_that_is_none_and_a_reason_that_is_missing_are_told_before_anything_is_written(
    bench: Bench, said: dict[str, Done]
) -> None:
    """A mistyped version, a revision, a share that is none, no reason: nothing is put on the record."""
    before = len(topic(bench.feed, bench.servers, "examples"))
    assert bench.models("promote", "v9", "--why", "x").err == "Error: feed 'kilns' has no version 'v9'; it has v1, v2\n"
    assert "so name v1" in bench.models("promote", "v1.3", "--why", "x").err
    assert "1.5 is not in the range" in bench.models("split", "v1", "1.5", "--why", "x").err
    assert "say why with --why TEXT" in bench.models("rollback").err
    assert len(topic(bench.feed, bench.servers, "examples")) == before


def test_without_a_learner_the_command_says_so_and_what_to_do(
    bench: Bench, said: dict[str, Done], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The feed of another plant, whose worker does not run: the decision stands, and the sentence says from when on it counts."""
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT.replace('"kilns"', '"idle-kilns"'))
    (feed,) = load_plant(plant)
    ensure_topics(feed, bench.servers.kafka)
    FeedLogs(feed, bench.servers.kafka).append("models", msgspec.json.encode(snapshot(feed, "v1", 2.0)))
    monkeypatch.setattr(decisions, "WAIT_SECONDS", 1.5)
    monkeypatch.setattr(decisions, "TELL_SECONDS", 0.5)
    done = command(["models", str(plant), "promote", "v1", "--why", "x", "--kafka", bench.servers.kafka.address])
    assert done.code == 1
    assert "waiting for the learner" in done.err
    assert "no learner has answered" in done.err and "at offset 0" in done.err and "see that a worker runs" in done.err


def test_folded_again_every_byte_is_the_same(bench: Bench, said: dict[str, Done], tmp_path: Path) -> None:
    """Scores by the recorded switches and the learner's rollouts, decisions of people among them, from the logs alone."""
    reports = asyncio.run(verify_feeds([bench.feed], bench.servers, str(tmp_path / "history")))
    assert [f"{place.place}: {line}" for report in reports for place in report.places for line in place.differences] == []
    assert overall(reports) == "same"
