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
    assert "secret" not in repr(Servers.resolve("broker:9092", "redis://user:secret@store:6379?password=secret"))


@pytest.mark.parametrize(
    ("kafka", "redis"),
    [
        ("kafka://[::1", None),
        ("localhost:none", None),
        ("localhost:0", None),
        ("one:9092,two:99999", None),
        (None, "redis://[::1"),
        (None, "redis://user:secret@store:none"),
        (None, "store:99999"),
    ],
)
def test_an_address_that_was_mistyped_is_a_sentence(kafka: str | None, redis: str | None) -> None:
    """Brackets that do not close and ports that are none end in a sentence with an example, and without the password."""
    with pytest.raises(SettingsError, match=r"address.*host:port") as refused:
        Servers.resolve(kafka or "localhost:9092", redis or "redis://localhost:6379")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("text", "server"), [("[::1]", "[::1]:9092"), ("[::1]:9093", "[::1]:9093"), ("broker", "broker:9092")])
def test_a_server_without_a_port_gets_the_usual_one(text: str, server: str) -> None:
    """Also one that is named by an IPv6 address."""
    assert KafkaSettings.parse(text).servers == (server,)
