"""People speak of what a real worker raised, and of what it did not: commands on a real broker and store, with and without a target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from contracts.definition import Feed
from contracts.event_time import format_event_time
from contracts.plant import load_plant
from contracts.records import Label
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from producers.sender import Sender
from stream_processors.alert_reader import read_alerts
from stream_processors.remarks_reader import read_remarks
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack, free_port
from streamgauge.local_stack.child import Child
from streamgauge.local_stack.processes import command_child
from streamgauge.warm_up import warm_up
from tests.streamgauge.commands_in_process import Done, command
from tests.streamgauge.test_worker_process import wait_for

pytestmark = pytest.mark.integration
PLANT = """
from streamgauge import Feed, Number, Regression

pumps = Feed(
    "{name}",
    entity="pump",
    time="ts",
    fields=[Number("flow", low=0, high=100)],
    windows=["10m"],
    lateness="30s",
    season=None,
    partitions=2,
    target={target},
)
"""
START, MINUTES = 1_767_225_600, 2 * 1_440  # midnight; two days
BROKEN, SINCE = "pump-3", 2_000  # its flow is out of range for an hour from this minute on


class Place(NamedTuple):
    """A feed with one incident."""

    plant: Path
    feed: Feed
    servers: Servers
    workers: list[Child]
    incident: str

    def run(self, *arguments: str) -> Done:
        """A command on the plant."""
        return command([arguments[0], str(self.plant), *arguments[1:]], self.servers)

    def label(self, *arguments: str) -> dict[str, Any]:
        """The record that `label` wrote, once it can be read."""
        before = self.remarks()
        done = self.run("label", *arguments, "--json")
        assert done.code == 0, done.err
        wait_for("the remark", lambda: self.remarks() > before, self.workers)
        return json.loads(done.out)

    def remarks(self) -> int:
        return len(read_remarks(self.feed, self.servers.kafka).said)

    def people(self) -> dict[str, Any]:
        done = self.run("metrics", "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)["people"]

    def spans(self, by: str) -> list[tuple[str, str, str]]:
        done = self.run("label", "--next", "--by", by, "--json")
        assert done.code == 0, done.err
        return [(span["entity"], span["from"], span["to"]) for span in json.loads(done.out)["spans"]]


@pytest.fixture(scope="module", params=[None, 'Regression("power")'], ids=["without a target", "with a target"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stack: Servers) -> Iterator[Place]:
    """Two days of four pumps, one reading a minute, folded by a worker, until the broken pump's incident stands on the alerts."""
    directory = tmp_path_factory.mktemp("people")
    plant = directory / "plant.py"
    plant.write_text(PLANT.format(name=f"judged-pumps-{'plain' if request.param is None else 'target'}", target=request.param))
    (feed,) = load_plant(plant)
    flow = np.random.default_rng(3).normal(50.0, 2.0, (MINUTES, 4)).round(2)
    flow[SINCE : SINCE + 60, 3] = 500.0
    warm_up()
    with LocalStack(kafka=stack.kafka) as own:
        servers = own.servers
        ensure_topics(feed, servers.kafka)
        workers = [command_child(["worker", str(plant), "--web-port", str(free_port())], servers, directory, "worker")]
        try:
            with Sender(servers.kafka) as sender:
                events = [{"pump": f"pump-{p}", "ts": START + 60 * i, "flow": float(flow[i, p])} for i in range(MINUTES) for p in range(4)]
                sender.send(events_topic(feed), [e["pump"].encode() for e in events], [msgspec.json.encode(e) for e in events])
                sender.flush()

            def resolved() -> list[str]:
                alerts = read_alerts([feed], servers.kafka, follow=False)
                return [a.incident for a in alerts if a.entity == BROKEN and a.kind == "range" and a.status == "resolved"]

            wait_for("the incident", lambda: bool(resolved()), workers)
            yield Place(plant, feed, servers, workers, resolved()[0])
        finally:
            for worker in workers:
                worker.stop()


def test_verdicts_and_answers_become_figures(place: Place) -> None:
    """Two people disagree, a third settles; answers about offered spans give misses and recall; the same by any producer."""
    assert place.incident in command(["alerts", str(place.plant)], place.servers, redis=False).out
    assert place.people()["misses"] is None
    said = place.label(place.incident, "confirm", "--by", "ana", "--tag", "valve", "--note", "stuck open")
    assert said == {"tags": ["valve"], "incident": place.incident, "verdict": "confirm", "by": "ana", "note": "stuck open"}
    place.label(place.incident, "dismiss", "--by", "ben")
    found = place.people()
    source = next(item for item in found["sources"] if item["source"] == "range")
    assert (source["disputed"], source["settled"], source["precision"]) == (1, 0, None)
    assert found["agreement"] == {"pairs": 1, "agreeing": 0, "rate": 0.0}
    before = place.remarks()
    with Sender(place.servers.kafka) as sender:
        record = msgspec.json.encode(Label(incident=place.incident, verdict="confirm", by="work orders"))
        sender.send(topic_name(place.feed, "labels"), [BROKEN.encode()], [record])
    wait_for("the record", lambda: place.remarks() > before, place.workers)
    source = next(item for item in place.people()["sources"] if item["source"] == "range")
    assert (source["disputed"], source["settled"], source["confirmed"], source["precision"]) == (0, 1, 1, 1.0)
    assert (source["low"], source["high"]) == (pytest.approx(0.025), 1.0)

    spans = place.spans("ana")
    assert len(spans) == 5
    alarm = SINCE // 480 * 480
    assert (BROKEN, format_event_time((START + 60 * alarm) * 1_000_000)) not in {span[:2] for span in spans}
    assert spans == place.spans("ana")
    place.label("--span", *spans[0], "missed", "--by", "ana")
    for span in spans[1:4]:
        place.label("--span", *span, "fine", "--by", "ana")
    assert place.spans("ana")[0] == spans[4]
    misses = place.people()["misses"]
    assert (misses["answered"], misses["missed"], misses["not_drawn"]) == (4, 1, 0)
    assert misses["spans_with_alarm"] + misses["spans_without"] <= 4 * 6
    recall = misses["recall"]
    assert 0.0 < recall["low"] < recall["recall"] < recall["high"] < 1.0
    shown = place.run("metrics").out
    assert "missed in 1 of 4 answered spans" in shown
    assert "1 of 3 pairs of people agree" in shown


def test_what_cannot_be_meant_is_refused(place: Place) -> None:
    """An incident that was never raised, a verdict of the other kind, a span that nobody is asked about, and half a command:
    each with what to write instead, and nothing is recorded."""
    before = place.remarks()
    span = ("pump-1", "2026-01-01T01:00:00Z", "2026-01-01T09:00:00Z")
    wrong = {
        (place.incident[:-1] + "7", "confirm"): f"did you mean {place.incident}?",
        ("bearing", "confirm"): "see: streamgauge alerts",
        (place.incident, "fine"): "write confirm or dismiss",
        (place.incident,): "say it as: streamgauge label",
        (): "say it as: streamgauge label",
        ("--span", *span, "confirm"): "write fine or missed",
        ("--span", *span, "fine"): "answer those of --next",
        ("--span", "pump-1", "monday", "tuesday", "fine"): "two times such as 2026-01-01T08:00:00Z",
        ("--next", "--tag", "x"): "--next only shows",
    }
    for arguments, fix in wrong.items():
        done = place.run("label", *arguments)
        assert (done.code, done.out) == (1, ""), arguments
        assert fix in done.err
    assert place.remarks() == before


def test_tags_need_no_verdict(place: Place) -> None:
    """On an incident, and on any stretch of an entity's events, whoever is asked about it."""
    assert place.label(place.incident, "--tag", "spring", "--tag", "valve")["tags"] == ["spring", "valve"]
    said = place.label("--span", "pump-1", "2026-01-01T01:00:00Z", "2026-01-01T09:00:00Z", "--tag", "rain", "--by", "ana")
    assert said == {
        "entity": "pump-1",
        "event_time": "2026-01-01T01:00:00Z",
        "until": "2026-01-01T09:00:00Z",
        "tags": ["rain"],
        "by": "ana",
    }
    done = place.run("metrics", "--by", "tag")
    assert done.code == 0, done.err
    assert "alarms by tag" in done.out
    assert {item["tag"] for item in place.people()["tags"]} >= {"spring", "valve"}
