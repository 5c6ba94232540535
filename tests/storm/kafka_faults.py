"""Faults of Apache Kafka: one broker that goes and comes back, or one of three; leaders and coordinators that move."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from tests.apache_kafka_cluster import INTERNAL, NODES
from tests.storm.steps import Step

if TYPE_CHECKING:
    from tests.storm.storm import Storm


def broker_kill(storm: Storm, step: Step) -> None:
    """SIGKILL to the broker; it comes back on its log."""
    _restart_broker(storm, step, kill=True)


def broker_restart(storm: Storm, step: Step) -> None:
    """The broker, or one of three, is stopped in order and comes back."""
    if storm.servers.brokers is not None:
        _lose_one(storm, step, _chosen(storm, step), kill=False)
    else:
        _restart_broker(storm, step, kill=False)


def _restart_broker(storm: Storm, step: Step, kill: bool) -> None:
    time.sleep(step.after)
    began = time.monotonic()
    storm.servers.restart_broker(kill)
    storm.tally.broker_restarts += 1
    storm.recovered(began)


def one_lost(storm: Storm, step: Step) -> None:
    """SIGKILL to one of three brokers; work must go on without it, then it comes back."""
    _lose_one(storm, step, _chosen(storm, step), kill=True)


def coordinator_lost(storm: Storm, step: Step) -> None:
    """SIGKILL to the broker that coordinates the workers' group."""
    assert storm.servers.brokers is not None
    found = storm.servers.brokers.partitions()
    _lose_one(storm, step, next(row["leader_id"] for at, row in found.items() if at.topic == INTERNAL[0]), kill=True)


def _lose_one(storm: Storm, step: Step, node: int, kill: bool) -> None:
    brokers = storm.servers.brokers
    assert brokers is not None
    time.sleep(step.after)
    began = time.monotonic()
    brokers.end(node, kill)
    storm.recovered(began)  # by two of three
    brokers.wait_until_missed(node)
    brokers.start(node)
    storm.tally.broker_restarts += 1
    storm.recovered(None)


def _chosen(storm: Storm, step: Step) -> int:
    return random.Random(f"broker {storm.seed} {step.number}").choice(NODES)


def leader_moved(storm: Storm, step: Step) -> None:
    """Every partition of the feed gets another leader, three times; no broker ends."""
    _move(storm, step, lambda topic: topic not in INTERNAL)


def coordinator_moved(storm: Storm, step: Step) -> None:
    """The coordinators of group and transactions move, three times; no broker ends."""
    _move(storm, step, lambda topic: topic in INTERNAL)


def _move(storm: Storm, step: Step, topics) -> None:  # type: ignore[no-untyped-def]
    assert storm.servers.brokers is not None
    began = time.monotonic()
    for _ in range(3):
        time.sleep(step.after / 2)
        storm.servers.brokers.move_leaders(topics)
    storm.recovered(began)
