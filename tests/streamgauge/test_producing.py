"""streamgauge simulate and replay put events on a real broker and end with a planned stop."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition

from contracts.event_time import format_event_time
from contracts.records import Evidence
from contracts.settings import Servers
from producers.labels import EVERY
from stream_processors.log_ends import end_offsets
from streamgauge.command_line import run

pytestmark = pytest.mark.integration

PLANT = """
from streamgauge import Category, Feed, Number
feed = Feed("{name}", entity="pump", time="ts", fields=[Number("flow", low=0, high=10), Category("mode")], lateness="30s")
"""


@pytest.fixture
def plant(tmp_path: Path) -> tuple[Path, str]:
    name = f"feed-{uuid.uuid4().hex[:12]}"
    path = tmp_path / "plant.py"
    path.write_text(PLANT.format(name=name))
    return path, name


def read(servers: Servers, topic: str, partitions: int):
    """All records of a topic up to its present end."""
    ends = end_offsets([(topic, partition) for partition in range(partitions)], servers.kafka)
    consumer = KafkaConsumer(**servers.kafka.client_options(), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(*place) for place in ends])
    found = []
    while any(consumer.position(TopicPartition(*place)) < end for place, end in ends.items()):
        found += [record for records in consumer.poll(100).values() for record in records]
    consumer.close()
    return found


def the_stop(servers: Servers, name: str) -> Evidence:
    (record,) = read(servers, f"{name}.evidence", 1)
    return msgspec.json.decode(record.value, type=Evidence)


def kafka_of(servers: Servers) -> list[str]:
    return ["--kafka", ",".join(servers.kafka.servers)]


def test_replay_sends_every_row_and_stops(servers, plant, tmp_path, capsys):
    """All rows of two files arrive with their path as key, and the stop has the greatest event time."""
    path, name = plant
    for file in ("north/a", "south/b"):
        (tmp_path / "data" / file).parent.mkdir(parents=True)
        rows = [f"{format_event_time(1_767_225_600_000_000 + i * 1_000_000)},{i % 10},run" for i in range(150)]
        (tmp_path / "data" / f"{file}.csv").write_text("\n".join(["ts,flow,mode", *rows]) + "\n")
    assert run(["replay", str(path), str(tmp_path / "data"), "--entity-from", "path", *kafka_of(servers)]) == 0
    assert "300 events of 2 files delivered, 0 failed" in capsys.readouterr().out
    found = read(servers, f"{name}.events", 4)
    assert len(found) == 300
    assert {record.key for record in found} == {b"north/a", b"south/b"}
    assert all(json.loads(record.value)["pump"] == record.key.decode() for record in found)
    stop = the_stop(servers, name)
    assert (stop.kind, stop.event_time, stop.detail) == ("planned_stop", 1_767_225_600_000_000 + 149_000_000, "replay")


def test_a_replay_of_what_was_sent_before_warns(servers, plant, tmp_path, capsys):
    """The first time, and with what follows on it, nothing is said; the same file again is warned of with both times and the fix."""
    path, name = plant

    def replay(start: int) -> str:
        rows = [f"{format_event_time((1_767_225_600 + start + i) * 1_000_000)},a,{i % 7},on" for i in range(50)]
        (tmp_path / "a.csv").write_text("\n".join(["ts,pump,flow,mode", *rows]) + "\n")
        assert run(["replay", str(path), str(tmp_path / "a.csv"), *kafka_of(servers)]) == 0
        return capsys.readouterr().err

    assert "warning" not in replay(0)
    assert "warning" not in replay(50)
    said = replay(0)
    words = f"warning: {name}.events holds readings up to 2026-01-01T00:01:39Z, and these files begin at 2026-01-01T00:00:00Z"
    assert words in said
    assert "give the feed another name" in said


def test_a_row_that_cannot_be_read_stops_the_replay_with_its_line(servers, plant, tmp_path, capsys):
    """File and line on stderr, exit 1, and a planned stop for what was sent before."""
    path, name = plant
    good = [f"{format_event_time(1_767_225_600_000_000 + i * 1_000_000)},1,run" for i in range(20_000)]
    (tmp_path / "a.csv").write_text("\n".join(["ts,flow,mode", *good, "2026-01-02,1.2.3,run"]) + "\n")
    assert run(["replay", str(path), str(tmp_path / "a.csv"), *kafka_of(servers)]) == 1
    assert "a.csv:20002: column 'flow': '1.2.3' is not a number" in capsys.readouterr().err
    assert the_stop(servers, name).detail == "replay"


def test_simulate_sends_what_its_plan_says(servers, plant, tmp_path, capsys):
    """As many records as expected arrive, the plan is printed and written, and the stop ignores a clock a year ahead."""
    path, name = plant
    options = ["--speed", "max", "--duration", "1h", "--fault", "stuck", "--fault", "duplicates", "--fault", "clock_ahead"]
    assert run(["simulate", str(path), *options, "--plan-file", str(tmp_path / "plan.json"), *kafka_of(servers)]) == 0
    out = capsys.readouterr().out
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert {item["kind"] for item in plan["planted"]} == {"stuck", "duplicates", "clock_ahead"}
    assert all(item["kind"] in out for item in plan["planted"])
    expected = plan["expected"]
    assert f"{expected['folded']:,} folded" in out
    assert len(read(servers, f"{name}.events", 4)) == expected["read"]
    assert plan["start"] < the_stop(servers, name).event_time <= plan["end"]


def test_simulate_sends_labels_of_a_feed_with_a_target(servers, tmp_path, capsys):
    """A truth of every fifth reading, as many as the command says, each of a reading that was sent; the change is in the plan."""
    name = f"feed-{uuid.uuid4().hex[:12]}"
    target = 'target=Regression("power"), label_delay="2m", '
    path = tmp_path / "plant.py"
    path.write_text(PLANT.format(name=name).replace("import ", "import Regression, ").replace("lateness=", target + "lateness="))
    assert run(["simulate", str(path), "--speed", "max", "--fault", "concept", *kafka_of(servers)]) == 0
    out = capsys.readouterr().out
    assert "concept" in out
    events = [json.loads(record.value) for record in read(servers, f"{name}.events", 4)]
    found = read(servers, f"{name}.labels", 4)
    labels = [json.loads(record.value) for record in found]
    assert f"{len(events)} events and {len(labels)} labels delivered, 0 failed" in out
    assert len(labels) == len(events) // EVERY == 60
    sent = {(event["pump"], format_event_time(event["ts"] * 1000)) for event in events}
    assert {(label["entity"], label["event_time"]) for label in labels} <= sent
    assert all(record.key.decode() == label["entity"] for record, label in zip(found, labels, strict=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rate", "100", "--speed", "2"], "--rate says how often"),
        (["--fault", "stukc"], "no fault 'stukc'; choose from stuck,"),
        (["--duration", "soon"], "--duration: 'soon' is not a duration"),
        (["--kafka", "http://x"], "scheme 'http://'"),
        (["--feed", "other"], "no feed 'other'"),
        (["--fault", "concept"], "has none; give it a target"),
    ],
)
def test_options_that_cannot_be_are_refused(plant, options, words, capsys):
    """Contradicting or unknown options are one sentence, before any server is asked."""
    assert run(["simulate", str(plant[0]), *options]) == 1
    assert words in capsys.readouterr().err
