"""Real workers as processes: one is killed, another takes over, and every command then tells the same story."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import redis
from kafka.admin import KafkaAdminClient

from contracts.definition import Feed
from contracts.plant import load_plant
from contracts.schemas import topic_schemas
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.redis_layout import partition_keys
from producers.sender import Sender
from stream_processors.status import feed_status
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack, free_port
from streamgauge.local_stack.child import Child
from streamgauge.local_stack.processes import command_child
from streamgauge.warm_up import warm_up
from tests.stream_processors.stream_fold.golden import golden_log
from tests.streamgauge.commands_in_process import Done, command

pytestmark = pytest.mark.integration
WAIT_SECONDS = 150.0  # some 10 s on two idle cores; the rest is for a machine shared with other work
PLANT = """
from streamgauge import Category, Feed, Number

lines = Feed(
    "worker-lines",
    entity="line",
    time="at",
    fields=[Number("heat", low=-40, high=150), Number("load"), Number("pieces", counter=True), Category("mode")],
    windows=["1m", "10m"],
    lateness="30s",
    season="20m",
    partitions=2,
    max_entities=7,
    false_alarms_per_week=1000,
)
"""


def wait_for(what: str, done: Callable[[], bool], workers: list[Child], seconds: float = WAIT_SECONDS) -> None:
    """Polls a condition until a deadline; a worker that has ended meanwhile is told at once."""
    deadline = time.monotonic() + seconds
    while not done():
        for worker in workers:
            assert worker.poll() is None, f"{worker.name} ended while waiting for {what}:\n{worker.log_tail()}"
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s:\n{workers[-1].log_tail()}"
        time.sleep(0.1)


def page(port: int, path: str) -> tuple[int, str]:
    """Status and text of a worker's page; (0, "") where nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Story(NamedTuple):
    """What happened, and with which servers."""

    plant: Path
    feed: Feed
    servers: Servers
    sent: int
    pages: dict[str, tuple[int, str]]
    exits: list[int]
    log: str


@pytest.fixture(scope="module", params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two workers fold; one is killed in the middle; a third joins; all is folded; the two that live end at SIGTERM."""
    broker: Servers = request.getfixturevalue({"embedded": "stack", "apache": "kafka_stack"}[request.param])
    directory = tmp_path_factory.mktemp("worker")
    plant = directory / "plant.py"
    plant.write_text(PLANT)
    (feed,) = load_plant(plant)
    log = golden_log()
    count = len(log.values)
    warm_up()  # compiled before the first deadline begins
    with LocalStack(kafka=broker.kafka) as own:
        servers = own.servers
        ensure_topics(feed, servers.kafka)
        ports = [free_port() for _ in range(3)]

        def worker(n: int) -> Child:
            return command_child(["worker", str(plant), "--web-port", str(ports[n]), "--log-json"], servers, directory, f"worker-{n}")

        def send(start: int, end: int) -> None:
            with Sender(servers.kafka) as sender:
                sender.send(topic_name(feed, "events"), log.keys[start:end], log.values[start:end])
                sender.flush()

        def totals() -> dict[str, int]:
            return asyncio.run(feed_status(feed, servers))["totals"]

        workers = [worker(0), worker(1)]
        try:
            send(0, count // 3)
            wait_for("the first third", lambda: totals()["lag"] == 0 and totals()["read"] >= count // 3, workers)
            wait_for("worker 1", lambda: page(ports[1], "/live/")[0] == 200, workers)
            send(count // 3, count // 2)
            os.kill(workers[0].pid, signal.SIGKILL)  # the guard; the worker dies with it, as by kill -9
            workers[0].stop()
            workers = [workers[1], worker(2)]
            send(count // 2, count)
            wait_for("what the killed one left", lambda: totals()["lag"] == 0 and totals()["read"] >= count, workers)
            wait_for("worker 2", lambda: page(ports[2], "/ready/")[0] == 200, workers)
            wait_for("worker 1, after the rebalance", lambda: page(ports[1], "/ready/")[0] == 200, workers)
            wait_for("metrics", lambda: "streamgauge_records{" in page(ports[1], "/metrics/")[1], workers)
            pages = {path: page(ports[1], path) for path in ("/live/", "/ready/", "/metrics/")}
            exits = [child.stop() for child in reversed(workers)]
            yield Story(plant, feed, servers, count, pages, exits, workers[0].log_path.read_text())
        finally:
            for child in workers:
                child.stop()


def status(story: Story) -> dict[str, Any]:
    done = command(["status", str(story.plant), "--json"], story.servers)
    assert done.code == 0, done.err
    return json.loads(done.out)["feeds"][story.feed.name]


def verify(story: Story) -> Done:
    return command(["verify", str(story.plant), "--json"], story.servers)


def test_a_worker_ends_cleanly_at_sigterm(story: Story) -> None:
    """Both workers that were asked to end did so with exit code 0, within their grace."""
    assert story.exits == [0, 0]


def test_its_log_is_json_and_names_what_it_took(story: Story) -> None:
    """With --log-json every line is an object; taking a partition is told with its offset."""
    lines = [json.loads(line) for line in story.log.splitlines()]
    assert any("took" in json.dumps(line) for line in lines)
    assert "Traceback" not in story.log


def test_its_pages_answer(story: Story) -> None:
    """/live/ and /ready/ are 200, and /metrics/ says that every place is balanced and names no device."""
    assert story.pages["/live/"][0] == story.pages["/ready/"][0] == 200
    code, text = story.pages["/metrics/"]
    assert code == 200
    balanced = [line for line in text.splitlines() if line.startswith("streamgauge_balanced{")]
    assert balanced
    assert [line for line in balanced if not line.endswith(" 1.0")] == []
    assert "line-" not in text.replace("worker-lines", "")


def test_status_is_balanced_with_no_lag(story: Story) -> None:
    """Records read are those sent, the four outcomes add up to them in each partition, and nothing is left to read."""
    found = status(story)
    totals = found["totals"]
    assert found["balanced"] is True
    assert (totals["read"], totals["lag"]) == (story.sent, 0)
    for row in [*found["partitions"], totals]:
        assert row["folded"] + row["duplicate"] + row["late"] + row["dead_lettered"] == row["read"]
    assert all(
        row["generation"] == 1 and row["end_offset"] - row["start_offset"] == row["read"] + row["gaps"] for row in found["partitions"]
    )
    assert min(totals[name] for name in ("folded", "duplicate", "late", "dead_lettered")) > 0
    text = command(["status", str(story.plant)], story.servers)
    assert (text.code, "balanced" in text.out) == (0, True)


def test_verify_says_same(story: Story) -> None:
    """All outputs of workers that were killed, joined and ended are those of one fold over the log: exit 0."""
    done = verify(story)
    assert done.code == 0, done.out[-3000:] + done.err
    report = json.loads(done.out)
    assert report["verdict"] == "same"
    places = {place["place"]: place for place in report["feeds"][story.feed.name]["places"]}
    totals = status(story)["totals"]
    assert sum(places[f"worker-lines.events/{p}"]["compared"]["scores"] for p in (0, 1)) == totals["folded"]
    assert sum(p["compared"].get("vectors", 0) for p in places.values()) > 0
    assert places["worker-lines.evidence/0"]["compared"]["alerts"] > 0


def test_alerts_are_read_back(story: Story) -> None:
    """alerts --json gives each alert of the topic once, valid against its schema; for people one line each."""
    done = command(["alerts", str(story.plant), "--json"], story.servers, redis=False)
    alerts = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0
    assert max(Counter(a["id"] for a in alerts).values()) == 1
    validator = jsonschema.Draft202012Validator(json.loads(topic_schemas()["alerts"]))
    for alert in alerts:
        validator.validate(alert)
    assert alerts[0]["status"] == "opened"
    assert {a["incident"] for a in alerts} == {a["id"] for a in alerts if a["status"] == "opened"}
    text = command(["alerts", str(story.plant)], story.servers, redis=False)
    assert len(text.out.splitlines()) == len(alerts)


def test_dead_letters_hold_the_original(story: Story) -> None:
    """dead-letters --json lists late and damaged records with reason, place and the very bytes that were sent."""
    done = command(["dead-letters", str(story.plant), "--json"], story.servers, redis=False)
    letters = [json.loads(line) for line in done.out.splitlines()]
    totals = status(story)["totals"]
    reasons = Counter(letter["reason"] for letter in letters)
    assert reasons["late"] == totals["late"]
    assert sum(reasons.values()) - reasons["late"] == totals["dead_lettered"] == reasons["not_json"]
    sent = set(golden_log().values)
    assert all(base64.b64decode(letter["original"]) in sent for letter in letters)


def test_another_served_vector_is_told(story: Story) -> None:
    """One bit changed in one vector in Redis makes verify say different, name the entity, and exit with 1."""
    with redis.Redis.from_url(story.servers.redis) as client:
        key = next(key for p in (0, 1) for key in client.scan_iter(match=partition_keys(story.feed.name, p).vector + b"*"))
        kept = client.get(key)
        client.set(key, kept[:-1] + bytes([kept[-1] ^ 1]))
        done = verify(story)
        client.set(key, kept)
    assert done.code == 1, done.err
    report = json.loads(done.out)
    assert report["verdict"] == "different"
    lines = [line for place in report["feeds"][story.feed.name]["places"] for line in place["differences"]]
    entity = key.rpartition(b":")[2].decode()
    assert len(lines) == 1
    assert f"the vector served for {entity} differs" in lines[0]


def test_another_definition_is_not_checkable(story: Story, tmp_path: Path) -> None:
    """Where the plant file has changed since, nothing can be compared: exit 2, with the reason."""
    changed = tmp_path / "plant.py"
    changed.write_text(PLANT.replace('"30s"', '"40s"'))
    done = command(["verify", str(changed)], story.servers)
    assert done.code == 2
    assert "another definition" in done.out


def test_without_a_checkpoint_nothing_can_be_checked(story: Story) -> None:
    """A store that has forgotten a partition makes verify exit with 2 and say what to do."""
    with redis.Redis.from_url(story.servers.redis) as client:
        key = partition_keys(story.feed.name, 1).manifest
        kept = client.get(key)
        client.delete(key)
        done = command(["verify", str(story.plant)], story.servers)
        client.set(key, kept)
    assert done.code == 2
    assert "no checkpoint" in done.out


def test_a_feed_that_never_ran_has_words_for_it(story: Story, tmp_path: Path) -> None:
    """status, verify, alerts and dead-letters of a feed without topics end in a sentence or an empty list, not in a traceback."""
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT.replace("worker-lines", "never-ran"))
    assert command(["status", str(plant), "--json"], story.servers).code == 0
    done = command(["verify", str(plant)], story.servers)
    assert (done.code, "there is no topic never-ran.events" in done.out) == (2, True)
    for name in ("alerts", "dead-letters"):
        done = command([name, str(plant), "--json"], story.servers, redis=False)
        assert (done.code, done.out) == (0, "")


def test_a_feed_with_events_that_nobody_folded_yet(story: Story, tmp_path: Path) -> None:
    """Records that wait for their first worker are a lag, and nothing that could be checked."""
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT.replace("worker-lines", "not-yet"))
    admin = KafkaAdminClient(**story.servers.kafka.client_options())
    admin.create_topics({"not-yet.events": {"num_partitions": 2}}, wait_for_metadata=True)
    admin.close()
    with Sender(story.servers.kafka) as sender:
        sender.send("not-yet.events", [b"a"] * 5, [b"{}"] * 5)
        sender.flush()
    found = json.loads(command(["status", str(plant), "--json"], story.servers).out)["feeds"]["not-yet"]
    assert (found["totals"]["lag"], found["totals"]["read"], found["balanced"]) == (5, 0, True)
    done = command(["verify", str(plant)], story.servers)
    assert (done.code, "no checkpoint of its generation yet" in done.out) == (2, True)


def test_a_redrive_sends_the_damaged_ones_once(story: Story) -> None:
    """--redrive sends every original but the late ones, marked with where they came from; a second one sends nothing."""
    totals = status(story)["totals"]
    first = command(["dead-letters", str(story.plant), "--redrive"], story.servers, redis=False)
    assert first.code == 0, first.err
    assert f"{totals['dead_lettered']} sent again, {totals['late']} late" in first.out
    again = status(story)["totals"]
    assert again["lag"] == totals["dead_lettered"]
    second = command(["dead-letters", str(story.plant), "--redrive"], story.servers, redis=False)
    assert "0 sent again, 0 late" in second.out
    assert status(story)["totals"]["lag"] == totals["dead_lettered"]
