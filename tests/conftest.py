"""Real servers for the integration tests: the embedded stack, and Apache Kafka beside redis-server under the mark `kafka`.

A test that takes `servers` runs on the embedded stack in ``make test`` and on Apache Kafka in ``make test-kafka``; one that
needs what only Apache Kafka has takes `kafka_stack` and bears ``@pytest.mark.kafka``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from contracts.settings import Servers
from streamgauge.local_stack import LocalStack
from tests.apache_kafka import ApacheKafka

SERVERS_BY = 0.7  # of the other files, the share among which files with servers stand: at the very end a long one would run alone

SPREAD = ("tests/storm/test_mechanisms.py", "tests/streamgauge/test_kafka_outage.py")  # in one process either would be the last to end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first: begun last, one would run alone. Those that run servers, and wait, stand among those that compute."""
    kinds = {item.path: 2 for item in items}
    for kind, mark in ((1, "integration"), (0, "slow")):
        kinds |= {item.path: kind for item in items if item.get_closest_marker(mark)}
    place: dict[Path, float] = {}
    for kind, first, last in ((0, -1.0, 0.0), (1, 0.0, SERVERS_BY), (2, 0.0, 1.0)):
        paths = [path for path, found in kinds.items() if found == kind]
        place |= {path: first + (last - first) * n / len(paths) for n, path in enumerate(paths)}
    items.sort(key=lambda item: place[item.path])


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests run in one process, which share its servers, but for those of a file in which each has its own for minutes."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(SPREAD) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """In the place of ``--dist loadfile``."""
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def stack() -> Iterator[Servers]:
    """The embedded broker and store, shared by all tests: name feeds and topics after the test."""
    with LocalStack() as running:
        yield running.servers


@pytest.fixture(scope="session")
def kafka_stack() -> Iterator[Servers]:
    """Apache Kafka and the machine's redis-server, shared by all tests."""
    assert shutil.which("redis-server"), "the tests marked kafka need redis-server on PATH; .ci/run installs it"
    with ApacheKafka() as broker, LocalStack(kafka=broker.settings) as running:
        yield running.servers


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def servers(request: pytest.FixtureRequest) -> Servers:
    """Runs a test on the embedded stack, and once more on Apache Kafka under the mark `kafka`."""
    return request.getfixturevalue({"embedded": "stack", "apache": "kafka_stack"}[request.param])
