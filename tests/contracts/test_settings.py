import pytest

from contracts.errors import SettingsError
from contracts.settings import KafkaSettings, Servers

ADDRESSES = [
    "localhost:9092",
    "one:9092,two:9093",
    "kafka+ssl://broker:9093?cafile=%2Fetc%2Fca.pem&certfile=c.pem&keyfile=k.pem",
    "kafka+sasl://user:p%40ss%2Fw%3Ard@broker:9092?mechanism=SCRAM-SHA-256",
    "kafka+sasl+ssl://user:secret@one:9092,two:9092?mechanism=PLAIN&cafile=ca.pem",
]


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_read_back_whole(text: str) -> None:
    """Settings written as an address for a child process are the same settings there, security and odd passwords included."""
    settings = KafkaSettings.parse(text)
    assert KafkaSettings.parse(settings.address) == settings


@pytest.mark.parametrize("text", ADDRESSES)
def test_a_child_resolves_the_same_servers(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment handed to a child leads it to the same Kafka and Redis."""
    servers = Servers.resolve(text, "rediss://:secret@store:6380/2")
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    assert Servers.resolve() == servers


def test_settings_show_no_password() -> None:
    """What is printed of the settings holds no credentials."""
    assert "secret" not in repr(KafkaSettings.parse(ADDRESSES[-1]))


@pytest.mark.parametrize("port", ["abc", "0", "99999", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    """A mistyped port of either server is a SettingsError at once, which repeats no password."""
    for kafka, redis in (
        (f"one:9092,two:{port}", "store"),
        (f"kafka+sasl://user:secret@one:{port}", "store"),
        ("one", f"redis://:secret@store:{port}/2"),
    ):
        with pytest.raises(SettingsError, match="port") as refused:
            Servers.resolve(kafka, redis)
        assert "secret" not in str(refused.value)
