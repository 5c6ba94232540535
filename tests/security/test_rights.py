"""Every role at work under exactly the rights of docs/security.md, over TLS, with a password of its own on each server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError

from contracts.definition import Feed
from contracts.errors import SettingsError, StreamgaugeError
from contracts.plant import load_plant
from contracts.settings import KafkaSettings, Servers
from contracts.topics import events_topic, topic_name
from feature_store.readers import FeatureReader
from producers.sender import Sender
from stream_processors.status import feed_status
from stream_processors.topics import ensure_topics
from stream_processors.trainer.logs import FeedLogs
from stream_processors.waiting import wait_for_kafka
from streamgauge.local_stack import free_port
from streamgauge.local_stack.processes import command_child
from streamgauge.warm_up import warm_up
from tests.security.certificates import Certificates, make_certificates
from tests.security.rights import grant, redis_users, rights, roles
from tests.security.servers import ADMIN, SecureKafka, secure_redis
from tests.stream_processors.trainer.retrain_log import Story, request
from tests.streamgauge.commands_in_process import Done, command
from tests.streamgauge.test_worker_process import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
WAIT_SECONDS = 240.0
PASSWORD = "p@ss/w:rd%41-of-"  # with each sign that an address gives a meaning
PLANT = """
from streamgauge import Category, Feed, Number, Regression

mills = Feed(
    "mills", "line", "at", [Number("load"), Category("mode")], windows=["1m"], lateness="30s", season=None, label_delay="1m",
    partitions=2, target=Regression("power", "kW"), archive="raw",
)
"""
EVENTS = 2_000
START = 1_767_225_600_000_000


class House(NamedTuple):
    """What stands after every role has done its work."""

    plant: Path
    feed: Feed
    kafka: SecureKafka
    redis_port: int
    certificates: Certificates
    exits: dict[str, int]
    logs: str  # all that the processes have printed
    said: dict[str, Done]  # by command

    def servers(self, role: str) -> Servers:
        return servers_of(self.kafka, self.redis_port, self.certificates, role)


def servers_of(kafka: SecureKafka, redis_port: int, certificates: Certificates, role: str, who: str | None = None) -> Servers:
    """What a role connects to; at Redis as `who`, the role where left out."""
    redis = f"rediss://{who or role}:{quote(PASSWORD, safe='')}@127.0.0.1:{redis_port}?ssl_ca_certs={certificates.authority}"
    return Servers.resolve(kafka.of(role), redis)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Worker, archiver and trainer run; a producer and a labeller send; an operator looks; then all end at SIGTERM."""
    directory = tmp_path_factory.mktemp("house")
    plant = directory / "plant.py"
    plant.write_text(PLANT)
    (feed,) = load_plant(plant)
    warm_up()
    certificates = make_certificates(directory, "producer")
    passwords = {name: f"{PASSWORD}{name}".replace(" ", "-") for name in [ADMIN, *roles(feed)]}
    with SecureKafka(certificates, passwords) as kafka, secure_redis(directory, certificates, redis_users(PASSWORD)) as redis_port:
        ensure_topics(feed, kafka.settings)
        given = rights(feed, plant.stem)
        grant(kafka.settings, given)
        grant(kafka.settings, [right for right in given if right.role == "producer"], "User:CN={role}")

        def servers(role: str, who: str | None = None) -> Servers:
            return servers_of(kafka, redis_port, certificates, role, who)

        children = {
            "worker": command_child(["worker", str(plant), "--web-port", str(free_port())], servers("worker"), directory, "worker"),
            "archiver": command_child(
                ["archive", str(plant), "--to", str(directory / "history")], servers("archiver"), directory, "archiver"
            ),
            "trainer": command_child(["trainer", str(plant)], servers("trainer"), directory, "trainer"),
        }
        said: dict[str, Done] = {}
        try:
            _send(kafka, feed)
            wait_for("all to be folded and joined", lambda: _is_folded(feed, servers("operator")), list(children.values()), WAIT_SECONDS)
            said = {"verify": command(["verify", str(plant)], servers("operator"))}  # before a request that no fold has made
            with Sender(servers("worker").kafka) as sender:
                sender.send(topic_name(feed, "retrain"), [None], [request(feed, 0)])
            logs_of = FeedLogs(feed, servers("operator").kafka)
            wait_for("a trained version to arrive", lambda: bool(Story(logs_of).arrivals), list(children.values()), WAIT_SECONDS)
            said |= _look(plant, servers)
        finally:
            exits = {name: child.stop() for name, child in children.items()}
            logs = "".join(child.log_path.read_text(errors="replace") for child in children.values())
        yield House(plant, feed, kafka, redis_port, certificates, exits, logs, said)


def _send(kafka: SecureKafka, feed: Feed) -> None:
    """Half of the events with a password, half with a certificate; then a label for each."""
    keys = [b"line-%d" % (i % 4) for i in range(EVENTS)]
    values = [b'{"line":"line-%d","at":%d,"load":%d.5,"mode":"run"}' % (i % 4, START + i * 1_000_000, i % 17) for i in range(EVENTS)]
    for address, part in ((kafka.of("producer"), slice(0, EVENTS // 2)), (kafka.by_certificate(), slice(EVENTS // 2, EVENTS))):
        with Sender(KafkaSettings.parse(address)) as sender:
            sender.send(events_topic(feed), keys[part], values[part])
            sender.flush()
    labels = [b'{"entity":"line-%d","event_time":%d,"value":%d}' % (i % 4, START + i * 1_000_000, i % 17) for i in range(EVENTS)]
    with Sender(KafkaSettings.parse(kafka.of("labeller"))) as sender:
        sender.send(topic_name(feed, "labels"), keys, labels)
        sender.flush()


def _is_folded(feed: Feed, servers: Servers) -> bool:
    status = asyncio.run(feed_status(feed, servers))
    labels = status["labels"]
    return bool(status["totals"]["read"] == EVENTS and labels["joined"] == EVENTS and status["balanced"])


def _look(plant: Path, servers: Callable[..., Servers]) -> dict[str, Done]:
    """What each kind of reader sees."""
    operator, path = servers("operator"), str(plant)
    reader = ["--redis", servers("operator", "reader").redis]
    return {
        "status": command(["status", path, "--json"], operator),
        "metrics": command(["metrics", path], operator),
        "models": command(["models", path, "list"], operator, redis=False),
        "dead-letters": command(["dead-letters", path], operator, redis=False),
        "alerts": command(["alerts", path], servers("alert reader"), redis=False),
        "features": command(["features", path, "line-3", *reader]),
    }


def test_every_role_does_its_work_under_the_rights_on_the_page(house: House) -> None:
    """Worker, archiver and trainer end in order; every command of a reader ends well, and verify says same."""
    assert house.exits == {"worker": 0, "archiver": 0, "trainer": 0}, house.logs[-3_000:]
    assert {name: done.code for name, done in house.said.items()} == dict.fromkeys(house.said, 0), house.said
    assert json.loads(house.said["status"].out)["feeds"]["mills"]["balanced"]
    assert "line-3" in house.said["features"].out


def test_no_process_was_refused_anything(house: House) -> None:
    """A right that the page lacks would show as a refusal in some log."""
    assert "uthorization" not in house.logs, house.logs[-3_000:]


def test_no_password_shows_in_anything_printed(house: House) -> None:
    """Neither as it is nor as an address writes it, in logs of processes and output of commands."""
    printed = house.logs + "".join(done.out + done.err for done in house.said.values())
    assert len(printed) > 1_000
    for word in (PASSWORD, quote(PASSWORD, safe="")):
        assert word not in printed


@pytest.mark.parametrize("kind", ["events", "labels", "scores"])
def test_who_sends_reads_nothing(house: House, kind: str) -> None:
    """A sender's rights open neither what others sent nor what is made of it; an operator sees it in the same way."""
    topic = topic_name(house.feed, kind)
    assert _sees(KafkaSettings.parse(house.kafka.of("operator")), topic, WAIT_SECONDS)
    for role in ("producer", "labeller"):
        assert not _sees(KafkaSettings.parse(house.kafka.of(role)), topic, 3.0)


@pytest.mark.parametrize(
    ("role", "kind"),
    [("producer", "labels"), ("producer", "switches"), ("labeller", "events"), ("labeller", "examples"), ("alert reader", "alerts"),
     ("operator", "switches"), ("operator", "examples"), ("archiver", "scores"), ("trainer", "switches"), ("worker", "events")],
)  # fmt: skip
def test_nobody_writes_what_is_not_theirs(house: House, role: str, kind: str) -> None:
    """Each role is refused where the page gives it no right to write."""
    producer = KafkaProducer(**KafkaSettings.parse(house.kafka.of(role)).client_options(), enable_idempotence=False, max_block_ms=5_000)
    try:
        with pytest.raises(KafkaError, match="uthorization") as refused:
            producer.send(topic_name(house.feed, kind), b"{}").get(30)
        assert not isinstance(refused.value, KafkaTimeoutError)
    finally:
        producer.close(timeout=5)


def _sees(kafka: KafkaSettings, topic: str, seconds: float) -> bool:
    """Whether any record of a topic can be read within a time; a refusal is a no."""
    consumer = KafkaConsumer(**kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(2)])
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if consumer.poll(200):
                return True
        return False
    except TopicAuthorizationFailedError:
        return False
    finally:
        consumer.close()


def test_a_reader_of_features_reads_and_writes_nothing(house: House) -> None:
    """Its user is refused by Redis where it writes."""
    url = house.servers("operator").redis.replace("operator", "reader", 1)
    with FeatureReader(url, house.feed) as reader:
        assert (reader.read(["line-0"]).event_time > 0).all()
        with pytest.raises(Exception, match="permissions"):
            reader._client.set("sg:x", 1)


def test_what_is_wrong_with_a_connection_is_a_sentence_without_the_password(house: House) -> None:
    """A wrong password, an authority that is not trusted, and a secure port addressed in the clear; of Kafka and of Redis."""
    stranger = house.certificates.stranger
    wrong = f"wrong-{PASSWORD}"
    port, good = house.redis_port, house.certificates.authority
    kafkas = [house.kafka.of("worker", wrong), house.kafka.of("worker", cafile=stranger), house.kafka.without_security.address]
    redises = [
        f"rediss://worker:{quote(wrong, safe='')}@127.0.0.1:{port}?ssl_ca_certs={good}",
        f"rediss://worker:{quote(PASSWORD, safe='')}@127.0.0.1:{port}?ssl_ca_certs={stranger}",
        f"redis://worker:{quote(PASSWORD, safe='')}@127.0.0.1:{port}",
        f"rediss://127.0.0.1:{port}?ssl_ca_certs={good}",
    ]
    for address in kafkas:
        with pytest.raises(StreamgaugeError) as refused:
            wait_for_kafka(KafkaSettings.parse(address), timeout=8.0)
        assert PASSWORD not in str(refused.value) and quote(PASSWORD, safe="") not in str(refused.value)
    for url in redises:
        with pytest.raises(StreamgaugeError) as refused:
            FeatureReader(url, house.feed)
        assert PASSWORD not in str(refused.value) and quote(PASSWORD, safe="") not in str(refused.value)
        assert isinstance(refused.value, SettingsError) or "does not answer" in str(refused.value)


def test_both_kinds_of_scram_are_taken(house: House) -> None:
    """SHA-256 as well as SHA-512."""
    wait_for_kafka(KafkaSettings.parse(house.kafka.of("worker", mechanism="SCRAM-SHA-256")))
