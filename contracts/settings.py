"""Where Kafka and Redis are: command-line options over STREAMGAUGE_* variables, or files that they name, over a local default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from contracts.errors import SettingsError

KAFKA_VARIABLE = "STREAMGAUGE_KAFKA"
REDIS_VARIABLE = "STREAMGAUGE_REDIS"
FILE_SUFFIX = "_FILE"  # STREAMGAUGE_KAFKA_FILE names a file with the address: environments are shown by more tools than files are

_PROTOCOLS = {"kafka": "PLAINTEXT", "kafka+ssl": "SSL", "kafka+sasl": "SASL_PLAINTEXT", "kafka+sasl+ssl": "SASL_SSL"}

_REDIS = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


@dataclass(frozen=True)
class KafkaSettings:
    """Bootstrap servers and security, read from ``host:port,host:port`` or a URL.

    URL: ``kafka://host:port,host:port``, ``kafka+ssl://…``, ``kafka+sasl://user:password@…`` (SASL in the clear) or
    ``kafka+sasl+ssl://…``; query options ``mechanism`` (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), ``cafile``,
    ``certfile``, ``keyfile``.
    """

    servers: tuple[str, ...]
    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: str | None = None
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    def __repr__(self) -> str:
        return f"KafkaSettings({','.join(self.servers)}, {self.protocol})"

    @classmethod
    def parse(cls, text: str) -> KafkaSettings:
        """Settings of an address; raises SettingsError with what to write instead."""
        parts = _parts(text if "://" in text else f"kafka://{text}", "Kafka")
        if parts.scheme not in _PROTOCOLS:
            raise SettingsError(f"Kafka address has the scheme '{parts.scheme}://'; write host:port or one of {', '.join(_PROTOCOLS)}://")
        credentials, _, hosts = parts.netloc.rpartition("@")
        servers = tuple(h if ":" in h.rpartition("]")[2] else f"{h}:9092" for h in hosts.split(",") if h)
        if not servers:
            raise SettingsError("Kafka address names no server; write host:port, such as localhost:9092")
        for server in servers:
            port = server.rpartition(":")[2]
            if not _is_port(port):
                raise SettingsError(f"Kafka address has the port '{port}' in '{server}'; write host:port, such as localhost:9092")
        user, _, password = credentials.partition(":")
        options = dict(parse_qsl(parts.query))
        unknown = set(options) - {"mechanism", "cafile", "certfile", "keyfile"}
        if unknown:
            raise SettingsError(f"Kafka address has the unknown option '{sorted(unknown)[0]}'; use mechanism, cafile, certfile or keyfile")
        return cls(
            servers,
            _PROTOCOLS[parts.scheme],
            options.get("mechanism", "PLAIN") if "sasl" in parts.scheme else None,
            unquote(user) or None,
            unquote(password) or None,
            options.get("cafile"),
            options.get("certfile"),
            options.get("keyfile"),
        )

    @property
    def address(self) -> str:
        """The text that `parse` reads back, credentials included: for a child's environment, never for a log."""
        servers = ",".join(self.servers)
        if self.protocol == "PLAINTEXT":
            return servers
        scheme = next(name for name, protocol in _PROTOCOLS.items() if protocol == self.protocol)
        user = "" if self.username is None else f"{quote(self.username, safe='')}:{quote(self.password or '', safe='')}@"
        names = ("mechanism", "cafile", "certfile", "keyfile")
        options = urlencode({name: getattr(self, name) for name in names if getattr(self, name)})
        return f"{scheme}://{user}{servers}" + (f"?{options}" if options else "")

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments that kafka-python clients take."""
        out: dict[str, Any] = {"bootstrap_servers": list(self.servers), "security_protocol": self.protocol}
        if self.mechanism:
            out |= {"sasl_mechanism": self.mechanism, "sasl_plain_username": self.username, "sasl_plain_password": self.password}
        if "SSL" in self.protocol:
            out |= {"ssl_cafile": self.cafile, "ssl_certfile": self.certfile, "ssl_keyfile": self.keyfile}
        return out


@dataclass(frozen=True)
class Servers:
    """The two servers that everything runs against."""

    kafka: KafkaSettings
    redis: str  # an address as feature_store.redis_connection takes it

    def __repr__(self) -> str:
        return f"Servers({self.kafka!r}, {public_url(self.redis)})"

    @classmethod
    def resolve(cls, kafka: str | None = None, redis: str | None = None) -> Servers:
        """Options first, then the environment, then the file that it names, then localhost."""
        kafka_text = kafka or configured(KAFKA_VARIABLE) or "localhost:9092"
        redis_text = redis or configured(REDIS_VARIABLE) or "redis://localhost:6379"
        if "://" not in redis_text:
            redis_text = f"redis://{redis_text}"
        parts = _parts(redis_text, "Redis")
        if parts.scheme not in _REDIS:
            raise SettingsError(
                "Redis address has an unknown scheme; write redis://host:port, rediss://host:port, "
                "redis+sentinel://host:port,host:port/service or redis+cluster://host:port,host:port"
            )
        for host in parts.netloc.rpartition("@")[2].split(","):
            port = host.rpartition("]")[2].partition(":")[2]
            if port and not _is_port(port):
                raise SettingsError(f"Redis address has the port '{port}'; write redis://host:port, such as redis://localhost:6379")
        return cls(KafkaSettings.parse(kafka_text), redis_text)

    @property
    def environment(self) -> dict[str, str]:
        """The variables from which `resolve` finds these servers again, for a child process; may hold credentials."""
        return {KAFKA_VARIABLE: self.kafka.address, REDIS_VARIABLE: self.redis}


def configured(variable: str) -> str:
    """The address in a variable, or in the file that its twin with FILE_SUFFIX names; "" where there is neither."""
    path = os.environ.get(variable + FILE_SUFFIX)
    if os.environ.get(variable) or not path:
        return os.environ.get(variable, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{variable}{FILE_SUFFIX}: {path} cannot be read ({reason}); write the address into that file") from error


def public_url(url: str) -> str:
    """A URL as it may be shown: without user, password and options, any of which can be a secret."""
    parts = _parts(url, "Server")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) < 65_536


def _parts(url: str, what: str) -> SplitResult:
    """The URL's parts; the message of an error does not repeat the URL, which may hold a password."""
    try:
        return urlsplit(url)
    except ValueError as error:
        raise SettingsError(f"{what} address cannot be read ({error}); write host:port, or {what.lower()}://host:port") from error
