"""The real trainer as a process: killed while it trains, started again; then its version is listed, exported and scored."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaProducer

from contracts.plant import load_plant
from contracts.records import Rollout
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.feature_columns import feature_names
from online_model.online_predictor import load_snapshot
from stream_processors.topics import ensure_topics
from stream_processors.trainer.logs import FeedLogs
from streamgauge.local_stack.child import Child
from streamgauge.local_stack.processes import command_child
from tests.doc_pages import ROOT
from tests.stream_processors.trainer.retrain_log import MINUTE, Story, put_examples, request, request_id
from tests.streamgauge.commands_in_process import command
from tests.training.examples import examples_of

pytestmark = pytest.mark.integration
WAIT_SECONDS = 150.0  # some 20 s on two idle cores; the rest is for a machine shared with other work
PLANT = """
from streamgauge import Category, Feed, Number, Regression

some = ["last", "mean", "std"]
fields = [Number(f"x{n}", features=some) for n in range(4)] + [Category("mode", values=["run", "idle", "wash"])]
mills = Feed(
    "mills", "line", "at", fields, windows=["1m"], target=Regression("power", "kW"), label_delay="1m", partitions=1
)
"""


def wait_for(what: str, done: Callable[[], bool], trainer: Child) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not done():
        assert trainer.poll() is None, f"the trainer ended while waiting for {what}:\n{trainer.log_tail()}"
        assert time.monotonic() < deadline, f"{what} did not come within {WAIT_SECONDS:.0f} s:\n{trainer.log_tail()}"
        time.sleep(0.05)


def aliases(directory: Path) -> dict[str, str]:
    """Of the registered model, as MLflow's database beside the plant has them."""
    with sqlite3.connect(directory / "mlruns" / "mlflow.db") as database:
        return {alias: str(version) for alias, version in database.execute("SELECT alias, version FROM registered_model_aliases")}


@pytest.mark.slow
def test_a_trainer_killed_while_it_trains_is_made_good_and_its_model_leaves_the_house(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL after `started`: the next process trains that request once; `models` exports it; onnxruntime alone scores it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT)
    (feed,) = load_plant(plant)
    ensure_topics(feed, servers.kafka)
    put_examples(feed, servers.kafka, 3_000)
    logs = FeedLogs(feed, servers.kafka)
    producer = KafkaProducer(**servers.kafka.client_options(), enable_idempotence=False)
    producer.send(topic_name(feed, "retrain"), value=request(feed, 0)).get(30)
    first = command_child(["trainer", str(plant)], servers, tmp_path, "first")
    try:
        wait_for("the first start", lambda: "started" in Story(logs).outcomes, first)
        os.kill(first.pid, signal.SIGKILL)
    finally:
        first.stop()
    assert Story(logs).arrivals == []
    producer.send(topic_name(feed, "retrain"), value=request(feed, 1, 3 * MINUTE)).get(30)
    producer.close()
    second = command_child(["trainer", str(plant)], servers, tmp_path, "second")
    try:
        wait_for("the answers", lambda: len(Story(logs).final) == 2, second)
        for n, stage in enumerate(("shadow", "champion")):
            champion, challenger = ("v1", None) if stage == "champion" else (None, "v1")
            told = Rollout(id=f"mills/1/examples/{n}/rollout/0", stage=stage, version="v1", champion=champion, challenger=challenger)  # type: ignore[arg-type]
            logs.append("models", msgspec.json.encode(told))
        wait_for("MLflow's aliases", lambda: aliases(tmp_path) == {"champion": "1"}, second)
    finally:
        second.stop()
    story = Story(logs)
    assert {a.request: a.outcome for a in story.answers} == {request_id(feed, 0): "trained", request_id(feed, 1): "in_progress"}
    assert [len(story.snapshots), len(story.arrivals), set(story.final.values())] == [1, 1, {1}]
    assert (tmp_path / "mlruns" / "mlflow.db").exists()

    kafka = ["--kafka", servers.kafka.address]
    listed = command(["models", str(plant), "list", "--json", *kafka])
    assert json.loads(listed.out)["version"] == "v1", listed.err
    exported = command(["models", str(plant), "export", "v1", "--format", "onnx", "-o", str(tmp_path / "mills.onnx"), *kafka])
    assert exported.code == 0, exported.err
    card = (tmp_path / "mills.md").read_text()
    assert "# mills v1" in card and "| mae |" in card
    assert command(["models", str(plant), "export", "v7", *kafka]).err == "Error: feed 'mills' has no version 'v7'; it has v1\n"

    vector = examples_of(feed, 2).vectors[0]
    row = json.dumps({name: value for name, value in zip(feature_names(feed), vector.tolist(), strict=True) if value == value})
    device = [sys.executable, str(ROOT / "deploy/score_onnx.py"), str(tmp_path / "mills.onnx")]
    scored = subprocess.run(device, input=row, capture_output=True, text=True, check=True)
    answer = json.loads(scored.stdout)
    (expected,) = load_snapshot(feed, "compiled", base64.b64decode(story.snapshots[0].state)).predict(vector)
    assert answer["power"] == pytest.approx(expected, rel=1e-9)
    assert answer["low"] < answer["power"] < answer["high"] and answer["unit"] == "kW"
    mistyped = subprocess.run(device, input='{"x0_lsat": 1.0}', capture_output=True, text=True, check=False)
    assert mistyped.returncode == 1 and "knows no feature x0_lsat; it takes " in mistyped.stderr


def test_a_plant_without_a_target_has_nothing_to_train(tmp_path: Path) -> None:
    """The commands say so, and what to write."""
    plant = tmp_path / "plant.py"
    plant.write_text('from streamgauge import Feed, Number\nf = Feed("f", "e", "t", [Number("x")])\n')
    assert "write target=Regression(...)" in command(["trainer", str(plant)]).err
    assert "write target=Regression(...)" in command(["models", str(plant), "list"]).err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without MLflow the trainer ends at once and says what to install."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT)
    done = command(["trainer", str(plant), "--kafka", "127.0.0.1:1"])
    assert done.code == 1 and "pip install 'streamgauge[training]'" in done.err
