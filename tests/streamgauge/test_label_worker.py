"""A real worker with a target: it joins labels, is killed amid them, and its successor repeats and loses none."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.plant import load_plant
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from producers.sender import Sender
from stream_processors.dead_letters import read_dead_letters, redrive_dead_letters
from stream_processors.status import feed_status
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack, free_port
from streamgauge.local_stack.processes import command_child
from streamgauge.warm_up import warm_up
from tests.stream_processors.runner.places import shell
from tests.streamgauge.commands_in_process import command
from tests.streamgauge.test_worker_process import wait_for

pytestmark = pytest.mark.integration
COUNT = 400  # readings, and as many labels
PLANT = """
from streamgauge import Feed, Number, Regression

pumps = Feed(
    "labelled-pumps",
    entity="pump",
    time="ts",
    fields=[Number("heat"), Number("flow")],
    windows=["1m"],
    lateness="30s",
    partitions=2,
    target=Regression("power", unit="kW"),
)
"""


@pytest.mark.slow
def test_a_killed_worker_loses_and_repeats_no_label(stack: Servers, tmp_path: Path) -> None:
    """Half of the labels come before their events. The worker is killed while it joins; in the end each label has one example,
    status is balanced, and a label without event is a dead letter that a redrive sends to the labels again."""
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT)
    (feed,) = load_plant(plant)
    start = 1_767_225_600
    warm_up()

    def send(kind: str, records: list[dict[str, Any]]) -> None:
        with Sender(servers.kafka) as sender:
            topic = events_topic(feed) if kind == "events" else topic_name(feed, kind)
            sender.send(topic, [r.get("pump", r.get("entity")).encode() for r in records], [msgspec.json.encode(r) for r in records])
            sender.flush()

    def labels() -> dict[str, Any]:
        return asyncio.run(feed_status(feed, servers))["labels"]

    async def examples() -> Counter[tuple[str, float]]:
        async with shell(servers, feed) as worker:
            found = [msgspec.json.decode(r.value) for r in await worker.on_topic("examples")]
            return Counter((e["entity"], e["value"][0]) for e in found)

    readings = [{"pump": f"pump-{i % 5}", "ts": start + i, "heat": 20.0 + i % 7, "flow": float(i)} for i in range(COUNT)]
    truths = [{"entity": f"pump-{i % 5}", "event_time": start + i, "value": i} for i in range(COUNT)]
    with LocalStack(kafka=stack.kafka) as own:
        servers = own.servers
        ensure_topics(feed, servers.kafka)
        children = [command_child(["worker", str(plant), "--web-port", str(free_port()), "--log-json"], servers, tmp_path, "worker-0")]
        try:
            send("events", readings[: COUNT // 2])
            send("labels", truths[: COUNT // 4])
            wait_for("the first labels", lambda: labels()["joined"] > 0, children)
            send("labels", truths[COUNT // 4 :])
            os.kill(children[0].pid, signal.SIGKILL)
            children[0].stop()
            children = [command_child(["worker", str(plant), "--web-port", str(free_port()), "--log-json"], servers, tmp_path, "worker-1")]
            wait_for("the second worker", lambda: labels()["waiting"] == COUNT // 2, children)
            send("events", readings[COUNT // 2 :])
            send("labels", [{"entity": "pump-1", "event_time": start + 2, "value": 1}])
            wait_for("all labels", lambda: labels()["joined"] + labels()["unmatched"] == COUNT + 1, children)
            found = labels()
            assert found["balanced"]
            assert (found["read"], found["joined"], found["unmatched"], found["waiting"], found["lag"]) == (COUNT + 1, COUNT, 1, 0, 0)
            assert asyncio.run(examples()) == Counter((t["entity"], float(t["value"])) for t in truths)
            assert "balanced" in command(["status", str(plant)], servers).out
            assert command(["verify", str(plant)], servers).code == 0
            (letter,) = read_dead_letters(feed, servers.kafka)
            assert letter.reason == "label_unmatched"
            assert redrive_dead_letters(feed, servers.kafka).sent == 1
            wait_for("the label that was sent again", lambda: labels()["unmatched"] == 2, children)
        finally:
            exits = [child.stop() for child in children]
        assert exits == [0]
