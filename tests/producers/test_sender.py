"""The sender delivers every record once and in order to a real broker, and counts what it could not deliver."""

from __future__ import annotations

import socket
import threading
import uuid

import pytest
import structlog
from kafka import KafkaConsumer, TopicPartition

from contracts.definition import Feed, Number
from contracts.errors import ServerUnavailable
from contracts.settings import KafkaSettings, Servers
from contracts.topics import events_topic
from producers.sender import Sender
from stream_processors.topics import ensure_topics
from stream_processors.waiting import wait_for_kafka
from streamgauge.local_stack import Child
from streamgauge.local_stack.broker import BROKER_GRACE, broker_command
from streamgauge.local_stack.stack import free_port
from tests.producers.refusing_gateway import RefusingGateway

pytestmark = pytest.mark.integration


def new_topic(servers: Servers, partitions: int = 3) -> str:
    feed = Feed(f"sender-{uuid.uuid4().hex[:12]}", entity="e", time="t", fields=[Number("x")], partitions=partitions)
    ensure_topics(feed, servers.kafka)
    return events_topic(feed)


def read(servers: Servers, topic: str, partitions: int, count: int):
    consumer = KafkaConsumer(**servers.kafka.client_options(), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, p) for p in range(partitions)])
    found = []
    for _ in range(200):
        found += [record for records in consumer.poll(100).values() for record in records]
        if len(found) >= count:
            break
    consumer.close()
    return found


def test_every_record_arrives_once_and_in_the_order_of_its_key(servers):
    """20,000 records of 50 keys, ten times the bound: all delivered, each key on one partition, in order; a null value too."""
    topic = new_topic(servers)
    keys = [f"k{i % 50}".encode() for i in range(20_000)]
    values = [str(i).encode() for i in range(19_999)] + [None]
    with Sender(servers.kafka, max_unacknowledged=2_000) as sender:
        sender.send(topic, keys[:7], values[:7])
        sender.send(topic, keys[7:], values[7:])
        sender.flush()
        assert (sender.delivered, sender.failed) == (20_000, 0)
    found = read(servers, topic, 3, 20_000)
    assert len(found) == 20_000
    order: dict[bytes, list[bytes | None]] = {}
    places: dict[bytes, set[int]] = {}
    for record in found:
        order.setdefault(record.key, []).append(record.value)
        places.setdefault(record.key, set()).add(record.partition)
    assert order == {key: values[i::50] for i, key in enumerate(keys[:50])}
    assert all(len(where) == 1 for where in places.values())


def test_the_timestamp_is_the_wall_clock(servers):
    """Kafka's timestamp is that of sending or appending, whatever event time the value states."""
    topic = new_topic(servers)
    with Sender(servers.kafka) as sender:
        sender.send(topic, [b"k"], [b'{"t": 0}'])
    (record,) = read(servers, topic, 3, 1)
    assert record.timestamp > 1_700_000_000_000


def test_a_value_too_large_to_send_is_counted_as_failed(servers):
    """The others go on, first or later, and the reason is kept."""
    topic = new_topic(servers)
    huge = b"x" * 5_000_000
    with Sender(servers.kafka) as sender:
        sender.send(topic, [b"a", b"b", b"c", b"d"], [huge, b"1", huge, b"2"])
        sender.flush()
        assert (sender.delivered, sender.failed) == (2, 2)
        assert sender.last_error is not None
        assert "MessageSizeTooLarge" in sender.last_error


def test_the_broker_is_found_to_be_idempotent(servers):
    """Both brokers give kafka-python a producer id, so a retry repeats nothing."""
    with Sender(servers.kafka) as sender:
        sender.send(new_topic(servers), [b"k"], [b"v"])
        assert sender.idempotent


def test_without_a_broker_the_error_says_what_to_do(monkeypatch):
    """Nobody listens: one sentence with address and fix, after the wait for a bootstrap."""
    monkeypatch.setattr("producers.sender.BOOTSTRAP_SECONDS", 0.3)
    with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1 does not take records.*streamgauge up"):
        Sender(KafkaSettings.parse("127.0.0.1:1"))


@pytest.fixture
def gateway(tmp_path):
    """A broker of its own behind a gateway that refuses idempotent producers."""
    listener = socket.create_server(("127.0.0.1", 0))
    outside, inside = listener.getsockname()[1], free_port()
    command = broker_command(inside)
    command[command.index("--advertised-listener-url") + 1] = f"tcp://127.0.0.1:{outside}"
    broker = Child("broker", command, tmp_path, BROKER_GRACE)
    refusing, settings = RefusingGateway(inside, listener), KafkaSettings.parse(f"127.0.0.1:{outside}")
    wait_for_kafka(settings, 15.0)
    yield refusing, settings
    listener.close()
    broker.stop()


def test_a_broker_that_refuses_idempotence_gets_one_request_at_a_time(gateway, monkeypatch):
    """The sender goes on without idempotence, says so in the log, and each record still arrives once."""
    refusing, settings = gateway
    monkeypatch.setattr("producers.sender.IDEMPOTENCE_SECONDS", 1.0)
    servers = Servers(settings, "redis://unused")
    topic = new_topic(servers)
    with structlog.testing.capture_logs() as logs, Sender(settings) as sender:
        sender.send(topic, [b"k"] * 100, [str(i).encode() for i in range(100)])
        sender.flush()
        assert (sender.delivered, sender.failed, sender.idempotent) == (100, 0, False)
        # the refused producer's thread has ended: it would send its record once more as soon as it is let through
        assert len([thread for thread in threading.enumerate() if thread.name.endswith("-network-thread")]) == 1
    assert refusing.refused > 0
    assert "one request in flight" in logs[0]["event"]
    assert [int(record.value) for record in read(servers, topic, 3, 100)] == list(range(100))
