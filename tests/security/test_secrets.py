"""Credentials do not leave the addresses that they come in: neither in messages nor in what a command prints; and files name them."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from contracts.definition import Feed, Number
from contracts.errors import SettingsError, StreamgaugeError
from contracts.settings import KAFKA_VARIABLE, REDIS_VARIABLE, Servers, public_url
from feature_store.history_files import HistoryFiles
from feature_store.known_entities import known_entities
from stream_processors.waiting import wait_for_kafka, wait_for_redis
from streamgauge.local_stack import LocalStack, free_port
from streamgauge.logs import set_up_logs
from tests.streamgauge.commands_in_process import command

SECRET = "hunter2"
FEED = Feed("pumps", entity="pump", time="ts", fields=[Number("temperature")])
PLANT = 'from streamgauge import Feed, Number\npumps = Feed("pumps", entity="pump", time="ts", fields=[Number("temperature")])\n'


def addresses() -> tuple[str, str]:
    """Of Kafka and Redis, where nobody listens; with a secret in each place that can hold one."""
    return (
        f"kafka+sasl://{SECRET}:{SECRET}@127.0.0.1:{free_port()}?mechanism=SCRAM-SHA-512",
        f"redis://{SECRET}:{SECRET}@127.0.0.1:{free_port()}?password={SECRET}",
    )


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is logged meanwhile, at the lowest level, as a command logs."""
    text = io.StringIO()
    monkeypatch.setattr("sys.stderr", text)
    before = logging.getLogger().handlers[:]
    set_up_logs("debug", as_json=True)
    yield text  # type: ignore[misc]
    logging.getLogger().handlers[:] = before


def test_waiting_for_servers_that_are_gone_tells_no_secret(logged: io.StringIO) -> None:
    """Neither the sentence while it waits, nor the error, nor the logs of the client libraries."""
    kafka, redis = addresses()
    servers, said = Servers.resolve(kafka, redis), list[str]()
    for wait in (
        lambda: wait_for_kafka(servers.kafka, 0.5, said.append),
        lambda: wait_for_redis(servers.redis, 0.5, said.append),
        lambda: known_entities(servers.redis, FEED),
    ):
        with pytest.raises(StreamgaugeError) as refused:
            wait()
        said.append(str(refused.value))
    assert len(said) == 5
    assert SECRET not in "".join(said) + logged.getvalue() + repr(servers)


@pytest.mark.parametrize("name", ["status", "verify", "features", "alerts", "metrics", "dead-letters"])
def test_commands_without_their_servers_print_no_secret(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives up with a sentence that names the server, and not who would have connected."""
    monkeypatch.setattr("stream_processors.waiting.WAIT_SECONDS", 0.2)
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT)
    kafka, redis = addresses()
    monkeypatch.setenv(KAFKA_VARIABLE, kafka)
    monkeypatch.setenv(REDIS_VARIABLE, redis)
    for wait in (wait_for_kafka, wait_for_redis):
        monkeypatch.setattr(wait, "__defaults__", (0.2, *wait.__defaults__[1:]))  # type: ignore[index]
    done = command([name, str(plant), *(["pump-1"] if name == "features" else [])])
    assert done.code == 1
    assert "127.0.0.1" in done.err
    assert SECRET not in done.out + done.err


@pytest.mark.parametrize("address", ["kafka://u:hunter2@h:x", "kafka+sasl://u:hunter2@", "odd://u:hunter2@h", "kafka://u:hunter2@[::1"])
def test_an_address_that_cannot_be_used_is_refused_without_its_secret(address: str) -> None:
    """Of Kafka and of Redis."""
    for resolve in (lambda: Servers.resolve(address, None), lambda: Servers.resolve(None, address.replace("kafka", "redis"))):
        try:
            resolve()
        except SettingsError as error:
            assert SECRET not in str(error)
        else:
            assert address.endswith("@"), "it was taken"


def test_addresses_come_from_files_where_variables_name_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As container secrets are handed over; a variable with the address itself goes first, an option before both."""
    for variable, text in ((KAFKA_VARIABLE, "kafka+sasl://u:p@one:9092"), (REDIS_VARIABLE, "rediss://u:p@two:6380")):
        monkeypatch.delenv(variable, raising=False)
        (tmp_path / variable).write_text(f"{text}\n")
        monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / variable))
    servers = Servers.resolve()
    assert (servers.kafka.servers, servers.kafka.password, servers.redis) == (("one:9092",), "p", "rediss://u:p@two:6380")
    monkeypatch.setenv(KAFKA_VARIABLE, "three:9092")
    assert Servers.resolve().kafka.servers == ("three:9092",)
    assert Servers.resolve("four:9092").kafka.servers == ("four:9092",)
    monkeypatch.setenv(f"{REDIS_VARIABLE}_FILE", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match=f"{REDIS_VARIABLE}_FILE.*cannot be read.*write the address"):
        Servers.resolve()


def test_a_stack_shows_the_addresses_of_its_own_servers_alone() -> None:
    """`up` prints lines for another terminal: never for a server that was named, whose address may hold a password."""
    kafka, redis = addresses()
    servers = Servers.resolve(kafka, redis)
    stack = LocalStack(servers.kafka, servers.redis)
    stack.servers = servers
    assert stack.started == {}
    stack = LocalStack(servers.kafka, None)
    stack.servers = Servers(servers.kafka, "redis://127.0.0.1:7777")
    assert stack.started == {REDIS_VARIABLE: "redis://127.0.0.1:7777"}


def test_a_history_is_shown_without_its_credentials() -> None:
    """A URL of the history may hold some, as that of Redis."""
    assert public_url(f"ftp://user:{SECRET}@host/data?key={SECRET}") == "ftp://host/data"
    with pytest.raises(SettingsError) as refused:
        HistoryFiles(f"nothing://user:{SECRET}@host/data")
    assert SECRET not in str(refused.value)
