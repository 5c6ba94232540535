"""Faults of the logs themselves: partitions added, the head deleted, the end cut off, the topic deleted and created anew."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from contracts.topics import events_topic
from feature_store.history_files import HistoryFiles
from stream_processors.archive.archived_log import ArchivedLog
from stream_processors.topics import describe_topics, ensure_topics
from tests.storm import oracle
from tests.storm.steps import Step

if TYPE_CHECKING:
    from tests.storm.storm import Storm

KEPT_SHARE = 0.6  # of a log whose end is cut off, in bytes
DELETED_SECONDS = 30.0


def partitions_added(storm: Storm, step: Step) -> None:
    """Events get one more partition amid the traffic; half of the devices move."""
    topic = events_topic(storm.feed)
    time.sleep(step.after)
    began = time.monotonic()
    storm.partitions += 1
    _admin(storm, lambda client: client.create_partitions({topic: storm.partitions}))
    storm.flow.reconnect()  # else its client would look for new partitions in five minutes only
    storm.tally.rebalances += 1
    storm.recovered(began)


def head_deleted(storm: Storm, step: Step) -> None:
    """Everything archived and folded of the log is deleted from Kafka, and a worker dies: another goes on from the state."""
    time.sleep(step.after)
    storm.fleet.dismiss_other("archive")  # told to end it writes what it has
    stored = {name: at for name, at, _ in asyncio.run(oracle.progress(storm.feed, storm.servers.servers, storm.partitions))[1]}
    topic = events_topic(storm.feed)
    topic_id = describe_topics([topic], storm.servers.servers.kafka)[topic].topic_id
    files, heads = HistoryFiles(str(storm.history)), {}
    for partition in range(storm.partitions):
        archived = ArchivedLog(files, storm.feed, "events", topic_id, partition).end(0)
        heads[TopicPartition(topic, partition)] = min(archived, stored[str(partition)])
    assert max(heads.values()), "nothing of the log is archived yet"
    began = time.monotonic()
    _admin(storm, lambda client: client.delete_records(heads))
    storm.fleet.lose(storm.fleet.workers[0])
    storm.fleet.start_worker()
    storm.fleet.start_other("archive")
    storm.tally.kills += 1
    storm.tally.rebalances += 2
    storm.recovered(began)


def topic_recreated(storm: Storm, step: Step) -> None:
    """Events are deleted and created again, amid the traffic, under running workers: every partition begins a generation."""
    topic = events_topic(storm.feed)
    time.sleep(step.after)
    storm.flow.pause()
    began = time.monotonic()
    _admin(storm, lambda client: client.delete_topics([topic]))
    deadline = time.monotonic() + DELETED_SECONDS
    while topic in describe_topics([topic], storm.servers.servers.kafka):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ensure_topics(storm.feed, storm.servers.servers.kafka)
    storm.gone_events = storm.flow.events
    storm.generations |= {f"{topic}/{partition}": 2 for partition in range(storm.partitions)}
    storm.flow.reconnect()
    storm.flow.resume()
    storm.recovered(began)


def end_cut(storm: Storm, step: Step) -> None:
    """The broker dies and comes back without the end of one partition, acknowledged records and what was folded of them."""
    topic = events_topic(storm.feed)
    time.sleep(step.after)
    storm.flow.pause()
    servers, broker = storm.servers.servers, storm.servers.broker
    assert broker is not None
    ends = oracle.ends(storm.feed, servers, storm.partitions)
    partition = random.Random(f"cut {storm.seed} {step.number}").choice([p for p, end in ends.items() if end])
    began = time.monotonic()
    broker.end(kill=True)
    _cut(broker.log_directory / f"{topic}-{partition}")
    broker.start()
    storm.tally.broker_restarts += 1
    lost = ends[partition] - oracle.ends(storm.feed, servers, storm.partitions)[partition]
    assert lost > 0, "the broker found the end of its log again"
    storm.gone_events += lost
    storm.generations[f"{topic}/{partition}"] = 2
    storm.flow.reconnect()
    storm.flow.resume()
    storm.recovered(began)


def _cut(directory: Path) -> None:
    """As a disk that lost its last writes."""
    newest = max(directory.glob("*.log"))
    with newest.open("r+b") as log:
        log.truncate(int(newest.stat().st_size * KEPT_SHARE))


def _admin(storm: Storm, ask: Any) -> None:
    client = KafkaAdminClient(**storm.servers.servers.kafka.client_options())
    try:
        ask(client)
    finally:
        client.close()
