"""Real servers for the integration tests: the embedded stack, and Apache Kafka beside redis-server under the mark `kafka`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.settings import Servers
from streamgauge.local_stack import LocalStack


@pytest.fixture(scope="session")
def stack() -> Iterator[Servers]:
    """The embedded broker and store, shared by all tests: name feeds and topics after the test."""
    with LocalStack() as running:
        yield running.servers


@pytest.fixture(params=["embedded"])
def servers(request: pytest.FixtureRequest) -> Servers:
    """Runs a test on the embedded stack, and once more on Apache Kafka under the mark `kafka`."""
    return request.getfixturevalue({"embedded": "stack", "apache": "kafka_stack"}[request.param])
