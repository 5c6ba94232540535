"""The loop from labels to a champion, with real workers of which one is killed: what serves is a function of the logs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from kafka import KafkaConsumer, TopicPartition

from contracts.definition import Feed
from contracts.event_time import format_event_time
from contracts.plant import load_plant
from contracts.records import Arrival, Decision, Example, Rollout, Score
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.partition_reader import PartitionReader
from feature_store.redis_connection import async_client
from online_model import held_losses, risk_test
from online_model.learner import Learner
from producers.sender import Sender
from stream_processors.log_ends import end_offsets
from stream_processors.remarks_reader import read_remarks
from stream_processors.topics import ensure_topics
from stream_processors.verification.log_reader import read_models
from stream_processors.verification.verification import FeedReport
from streamgauge.commands.verify import overall, verify_feeds
from streamgauge.local_stack import LocalStack, free_port
from streamgauge.local_stack.child import Child
from streamgauge.local_stack.processes import command_child
from streamgauge.warm_up import warm_up
from tests.streamgauge.commands_in_process import command
from tests.streamgauge.test_worker_process import wait_for

pytestmark = pytest.mark.integration
PLANT = """
from streamgauge import Feed, Number, Regression

ovens = Feed(
    "learning-ovens",
    entity="oven",
    time="at",
    fields=[Number("heat"), Number("load")],
    windows=["1m"],
    lateness="30s",
    season=None,
    partitions=2,
    target=Regression("power", unit="kW"),
    label_delay="1m",
    false_alarms_per_week=100,
)
"""
OVENS = ("a", "b", "c", "d")
BLOCK = 300  # readings of each oven
MOST_BLOCKS = 16  # five are usual; how many the gate takes depends on the order of the examples, which is the joiner's
START = 1_767_225_600_000  # ms


class Loop(NamedTuple):
    """What stands on the topics when all is folded."""

    feed: Feed
    sent: int  # events, and as many labels
    changed: int  # ms from which on another relation holds
    examples: list[tuple[int, bytes]]
    scores: list[Score]
    rollouts: list[Rollout]
    evidence: list[dict[str, Any]]
    reports: list[FeedReport]
    plant: Path
    servers: Servers
    workers: list[Child]


def readings(block: int, slope: float, chance: np.random.Generator) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Keys, events and labels of one block."""
    keys, events, labels = [], [], []
    for i in range(block * BLOCK, (block + 1) * BLOCK):
        for oven in OVENS:
            at, (heat, load) = START + i * 10_000, chance.standard_normal(2).round(3).tolist()
            power = 5.0 + slope * heat - 2.0 * load + 0.1 * chance.standard_normal()
            keys.append(oven.encode())
            events.append(json.dumps({"oven": oven, "at": at, "heat": heat, "load": load}).encode())
            labels.append(json.dumps({"entity": oven, "event_time": at, "value": power}).encode())
    return keys, events, labels


def topic(feed: Feed, servers: Servers, kind: str, partitions: int = 1) -> list[tuple[int, bytes]]:
    """(offset, value) of all records of a topic up to its present end."""
    ends = end_offsets([(topic_name(feed, kind), partition) for partition in range(partitions)], servers.kafka)
    consumer = KafkaConsumer(
        **servers.kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    try:
        consumer.assign([TopicPartition(*place) for place in ends])
        found: list[tuple[int, bytes]] = []
        while any(consumer.position(TopicPartition(*place)) < end for place, end in ends.items()):
            for fetched in consumer.poll(200).values():
                found += [(record.offset, record.value) for record in fetched]
        return found
    finally:
        consumer.close()


@pytest.fixture(scope="module", params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def loop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """Events, then their labels, block by block, until a champion's risk is known and then until its change is; a worker is killed
    amid the labels of the second block, and another goes on."""
    broker: Servers = request.getfixturevalue({"embedded": "stack", "apache": "kafka_stack"}[request.param])
    directory: Path = tmp_path_factory.mktemp("learning")
    plant = directory / "plant.py"
    plant.write_text(PLANT)
    (feed,) = load_plant(plant)
    chance = np.random.default_rng(4)
    warm_up()
    with LocalStack(kafka=broker.kafka) as own:
        servers, sent = own.servers, 0
        ensure_topics(feed, servers.kafka)

        def worker(n: int) -> Child:
            return command_child(["worker", str(plant), "--web-port", str(free_port())], servers, directory, f"worker-{n}")

        def send_block(slope: float) -> None:
            nonlocal sent, workers
            block = sent // (BLOCK * len(OVENS))
            assert block < MOST_BLOCKS, f"after {block} blocks: {asyncio.run(read_models(feed, servers.kafka)).rollouts}"
            keys, events, labels = readings(block, slope, chance)
            sent += len(keys)
            with Sender(servers.kafka) as sender:
                sender.send(topic_name(feed, "events"), keys, events)
                sender.flush()
                wait_for("the events", lambda: asyncio.run(covered(feed, servers, 0, 1)) >= sent, workers)
                sender.send(topic_name(feed, "labels"), keys, labels)
                sender.flush()
            if block == 1:
                os.kill(workers[0].pid, signal.SIGKILL)
                workers[0].stop()
                workers = [worker(1)]
            wait_for("the learner", lambda: asyncio.run(covered(feed, servers, "examples")) >= sent, workers)

        workers = [worker(0)]
        try:
            send_block(3.0)
            send_block(3.0)
            while champions_examples(feed, servers) < risk_test.REFERENCE + held_losses.FIRST:
                send_block(3.0)
            changed = START + sent // len(OVENS) * 10_000
            while not concept_rose(evidence(feed, servers)):
                send_block(-3.0)
            yield Loop(
                feed,
                sent,
                changed,
                topic(feed, servers, "examples"),
                [msgspec.json.decode(value, type=Score) for _, value in topic(feed, servers, "scores", 2)],
                asyncio.run(read_models(feed, servers.kafka)).rollouts,
                evidence(feed, servers),
                asyncio.run(verify_feeds([feed], servers, str(directory / "history"), labels=True)),
                plant,
                servers,
                workers,
            )
        finally:
            for child in workers:
                child.stop()


async def covered(feed: Feed, servers: Servers, *logs: int | str) -> int:
    """How many records of these logs the checkpoints cover."""
    redis = await async_client(servers.redis)
    try:
        manifests = [await PartitionReader(redis, feed.name, log).manifest() for log in logs]
    finally:
        await redis.aclose()
    return sum(manifest.counters["read"] for manifest in manifests if manifest is not None)


def champions_examples(feed: Feed, servers: Servers) -> int:
    """Labels of events that a champion predicted."""
    return sum(msgspec.json.decode(value, type=Example).version is not None for _, value in topic(feed, servers, "examples"))


def concept_rose(found: list[dict[str, Any]]) -> bool:
    """Whether there is evidence that the champion's errors have grown."""
    return any(record["kind"] == "level" and record["source"] == "concept" and record["log10_e"] > 3 for record in found)


def evidence(feed: Feed, servers: Servers) -> list[dict[str, Any]]:
    """Every record of evidence."""
    return [json.loads(value) for _, value in topic(feed, servers, "evidence")]


def test_every_label_becomes_one_example(loop: Loop) -> None:
    """Also those that the killed worker had in hand: each event has one example, and none has two."""
    examples = [msgspec.json.decode(value, type=Example) for _, value in loop.examples]
    assert len({example.score for example in examples}) == len(examples) == loop.sent


def test_a_version_that_beats_the_baselines_serves(loop: Loop) -> None:
    """The online version is tried in the shadow, becomes champion, and its revisions predict on the score records."""
    stages = [rollout.stage for rollout in loop.rollouts if rollout.stage != "revision"]
    assert stages[:2] == ["shadow", "champion"]
    served = [score for score in loop.scores if score.version is not None]
    assert served
    assert all(score.version in score.predictions for score in served)


def test_the_rollout_follows_from_the_examples_alone(loop: Loop) -> None:
    """A learner that reads the log once, without Kafka and without a restart, decides the same, id for id."""
    learner, decided = Learner(loop.feed, 1), []
    for offset, value in loop.examples:
        for kind, record in learner.take(offset, msgspec.json.decode(value, type=Example | Arrival | Decision)):
            decided += [record] if kind == "models" and isinstance(record, Rollout) else []
    assert decided == loop.rollouts


def test_the_changed_relation_is_concept_drift(loop: Loop) -> None:
    """The readings are distributed as before, and the champion's errors are not: evidence of the concept rises, of drift it does not."""
    levels = [record for record in loop.evidence if record["kind"] == "level"]
    assert concept_rose(levels)
    assert not any(level["source"] == "drift" and level["log10_e"] > 5 for level in levels)


def test_folded_again_every_byte_is_the_same(loop: Loop) -> None:
    """Scores with their predictions by the recorded switches, and the learner's models, from the logs alone."""
    differences = [f"{place.place}: {line}" for report in loop.reports for place in report.places for line in place.differences]
    assert differences == []
    assert overall(loop.reports) == "same"


def test_a_tag_is_a_slice_at_once(loop: Loop) -> None:
    """Somebody tags what an oven did since the change; the errors of just its events that a champion predicted are a slice then."""
    start, end = loop.changed, START + loop.sent // len(OVENS) * 10_000
    examples = [msgspec.json.decode(value, type=Example) for _, value in loop.examples]
    last = [example for example in examples if example.version is not None and example.event_time >= start * 1000]
    oven = Counter(example.entity for example in last).most_common(1)[0][0]
    span = ["--span", oven, format_event_time(start * 1000), format_event_time(end * 1000)]
    done = command(["label", str(loop.plant), *span, "--tag", "changed", "--by", "ana"], loop.servers)
    assert done.code == 0, done.err
    wait_for("the tag", lambda: len(read_remarks(loop.feed, loop.servers.kafka).said) == 1, loop.workers)
    done = command(["metrics", str(loop.plant), "--by", "tag", "--json"], loop.servers)
    assert done.code == 0, done.err
    (changed,) = json.loads(done.out)["slices"]
    errors = [abs(e.value[0] - e.predictions[e.version or ""][0]) for e in last if e.entity == oven]
    assert (changed["name"], changed["labels"]) == ("changed", len(errors))
    assert changed["loss"] == pytest.approx(sum(errors) / len(errors))
