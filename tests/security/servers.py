"""Apache Kafka with TLS, SCRAM and its authorizer, and redis-server with TLS and an ACL file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import redis

from contracts.settings import KafkaSettings
from streamgauge.local_stack import free_port
from tests.apache_kafka import PROPERTIES, ApacheKafka
from tests.redis_topologies import WAIT_SECONDS
from tests.security.certificates import Certificates

ADMIN = "admin"
_PLAIN = "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"
_SECURE = """
listeners=SASL_SSL://127.0.0.1:{{port}},SSL://127.0.0.1:{{outside}},CONTROLLER://127.0.0.1:{{controller}}
listener.security.protocol.map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login} username="admin" password="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={login};
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.ssl.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
allow.everyone.if.no.acl.found=false
"""


class SecureKafka(ApacheKafka):
    """Every user has SCRAM of both kinds; a client with a certificate needs no password. `settings` are the administrator's."""

    def __init__(self, certificates: Certificates, passwords: dict[str, str]) -> None:
        secure = _SECURE.format(login=_LOGIN, password=passwords[ADMIN], server=certificates.server, authority=certificates.authority)
        kinds = ("SCRAM-SHA-512", "SCRAM-SHA-256")
        scram = [f"{kind}=[name={name},password={password}]" for name, password in passwords.items() for kind in kinds]
        super().__init__(PROPERTIES.replace(_PLAIN, secure), format_options=[part for each in scram for part in ("--add-scram", each)])
        self._certificates, self._passwords = certificates, passwords

    def address(self, port: int, outside: int) -> str:
        """The administrator's."""
        self._port, self._outside = port, outside
        return self.of(ADMIN)

    def of(self, name: str, password: str | None = None, mechanism: str = "SCRAM-SHA-512", cafile: Path | None = None) -> str:
        """A user's address."""
        word = quote(self._passwords[name] if password is None else password, safe="")
        file = cafile or self._certificates.authority
        return f"kafka+sasl+ssl://{name}:{word}@127.0.0.1:{self._port}?mechanism={mechanism}&cafile={file}"

    def by_certificate(self) -> str:
        """The address at which the client's certificate says who one is."""
        found = self._certificates
        files = f"cafile={found.authority}&certfile={found.client_certificate}&keyfile={found.client_key}"
        return f"kafka+ssl://127.0.0.1:{self._outside}?{files}"

    @property
    def without_security(self) -> KafkaSettings:
        """The secure port, as one who forgets to name its security."""
        return KafkaSettings.parse(f"127.0.0.1:{self._port}")


@contextmanager
def secure_redis(directory: Path, certificates: Certificates, users: str) -> Iterator[int]:
    """The port of a redis-server that speaks TLS alone and knows the users of an ACL file."""
    port, users_file = free_port(), directory / "users.acl"
    users_file.write_text(users)
    files = {"cert": certificates.server_certificate, "key": certificates.server_key, "ca-cert": certificates.authority}
    options = [part for name, file in files.items() for part in (f"--tls-{name}-file", str(file))]
    command = ["redis-server", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--tls-auth-clients", "no", "--save", ""]
    process = subprocess.Popen([*command, *options, "--aclfile", str(users_file), "--dir", str(directory)], stdout=subprocess.DEVNULL)
    try:
        _wait_for(port, certificates)
        yield port
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, certificates: Certificates) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with redis.Redis(port=port, host="127.0.0.1", ssl=True, ssl_ca_certs=str(certificates.authority), retry=None) as client:
                client.ping()
        except redis.AuthenticationError:
            return  # it is up, and knows nobody without a name
        except redis.RedisError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
