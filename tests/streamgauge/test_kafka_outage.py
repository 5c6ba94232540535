"""Apache Kafka killed, started again, and hung under running processes: worker, archiver and alert follower go on by themselves."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.plant import load_plant
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.history_files import HistoryFiles
from producers.sender import Sender
from stream_processors.status import feed_status
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import Child, LocalStack, free_port
from streamgauge.local_stack.processes import command_child
from streamgauge.warm_up import warm_up
from tests.failing_kafka import FailingKafka
from tests.stream_processors.stream_fold.golden import golden_log
from tests.streamgauge.commands_in_process import command
from tests.streamgauge.test_worker_process import PLANT, page, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
OUTAGE_SECONDS = 45.0  # longer than a session, and than the 40 s after which a client gives a request up
LOG = golden_log()
COUNT = len(LOG.values)


class Running:
    """A worker, an archiver and a follower of alerts beside a broker of their own."""

    def __init__(self, broker: FailingKafka, servers: Servers, directory: Path) -> None:
        self.broker, self.servers, self.directory = broker, servers, directory
        self.plant = directory / "plant.py"
        self.plant.write_text(PLANT)
        (self.feed,) = load_plant(self.plant)
        ensure_topics(self.feed, servers.kafka)
        self.port = free_port()
        commands = [
            ["worker", str(self.plant), "--web-port", str(self.port)],
            ["archive", str(self.plant), "--to", str(directory / "history"), "--what", "scores,events"],
            ["alerts", str(self.plant), "--follow", "--json"],
        ]
        self.children: list[Child] = [command_child(words, servers, directory) for words in commands]

    def send(self, start: int, end: int) -> None:
        with Sender(self.servers.kafka) as sender:
            sender.send(topic_name(self.feed, "events"), LOG.keys[start:end], LOG.values[start:end])
            sender.flush()

    def wait(self, what: str, read: int) -> None:
        def done() -> bool:
            totals = asyncio.run(feed_status(self.feed, self.servers))["totals"]
            return totals["lag"] == 0 and totals["read"] >= read

        wait_for(what, done, self.children)

    def ready(self) -> tuple[int, str]:
        return page(self.port, "/ready/")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    warm_up()
    with FailingKafka() as broker, LocalStack(kafka=broker.settings) as stack:
        found = Running(broker, stack.servers, tmp_path)
        try:
            found.send(0, COUNT // 3)
            found.wait("the first third", COUNT // 3)
            wait_for("readiness", lambda: found.ready()[0] == 200, found.children)
            yield found
        finally:
            for child in found.children:
                child.stop()


@pytest.mark.parametrize("how", ["kill", "hang"])
def test_what_runs_goes_on_when_kafka_is_back(running: Running, how: str) -> None:
    """Amid work the broker goes away for longer than any timeout: nobody ends, readiness says why, and after it verify says same."""
    running.send(COUNT // 3, COUNT // 2)
    getattr(running.broker, how)()
    until = time.monotonic() + OUTAGE_SECONDS
    wait_for("the outage to be told", lambda: "waiting for Kafka since" in running.ready()[1], running.children)
    assert running.ready()[0] == 503
    wait_for("the end of the outage", lambda: time.monotonic() > until, running.children)
    (running.broker.start_again if how == "kill" else running.broker.go_on)()
    running.send(COUNT // 2, COUNT)
    running.wait("everything", COUNT)
    wait_for("readiness", lambda: running.ready() == (200, "ready\n"), running.children)
    worker, archive, alerts = running.children
    told = json.loads(command(["verify", str(running.plant), "--json"], running.servers).out)
    expected = command(["alerts", str(running.plant), "--json"], running.servers, redis=False).out.splitlines()

    def followed() -> list[str]:
        return [line for line in alerts.log_path.read_text().splitlines() if line.startswith("{")]

    wait_for("all alerts", lambda: len(followed()) >= len(expected), running.children)
    assert told["verdict"] == "same", told
    assert Counter(followed()) == Counter(expected), "each alert once"
    assert [child.stop() for child in (worker, archive)] == [0, 0]
    for child in running.children:
        before, _, trace = child.log_path.read_text().partition("Traceback")
        assert not trace, f"{child.name}: {before[-1_000:]}Traceback{trace[:4_000]}"


@pytest.mark.parametrize("how", ["kill", "hang"])
def test_told_to_stop_while_kafka_is_gone_each_ends_soon(running: Running, how: str) -> None:
    """With a batch that cannot be published at hand, worker and archiver end with 0 within the 10 s that supervisors give."""
    running.send(COUNT // 3, COUNT // 2)
    getattr(running.broker, how)()
    wait_for("the outage to be told", lambda: "waiting for Kafka since" in running.ready()[1], running.children)
    for child in running.children[:2]:
        began = time.monotonic()
        assert child.stop() == 0, child.log_tail()
        assert time.monotonic() - began < 10, child.name
    if how == "hang":
        running.broker.go_on()
    assert HistoryFiles(str(running.directory / "history")).scores(running.feed.name) == []
