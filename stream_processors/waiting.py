"""Every command waits for its servers, says so, and gives up with the name, the place and the fix."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError

from contracts.errors import ServerUnavailable
from contracts.settings import KafkaSettings, public_url
from feature_store.redis_addresses import CLIENT_ERRORS, make_client

WAIT_SECONDS = 30.0  # Apache Kafka is up in 5 s on two idle cores, and took 20 s beside a full test run
PAUSE_SECONDS = 0.1
PROBE_SECONDS = 2.0  # a host that drops packets would otherwise hold one try for minutes
ANSWER_SECONDS = 5.0  # of one try; a try as long as the whole wait would never say that it waits

SECURITY = "; does the address name its security rightly, as kafka+ssl:// or kafka+sasl://USER:PASSWORD@?"

KAFKA_FIX = "start one with: streamgauge up; or name a running one with --kafka HOST:PORT or STREAMGAUGE_KAFKA"
REDIS_FIX = "start one with: streamgauge up; or name a running one with --redis redis://HOST:PORT or STREAMGAUGE_REDIS"

Say = Callable[[str], None]


def silent(message: str) -> None:
    """Say nothing."""


def wait_for_kafka(settings: KafkaSettings, timeout: float = WAIT_SECONDS, say: Say = silent, fix: str = KAFKA_FIX) -> None:
    """Return once a broker answers a metadata request.

    Args:
        settings: where and how to connect.
        timeout: seconds until giving up.
        say: called once with a sentence, if the first try fails; it holds the fix already.
        fix: what a person can do, for that sentence and the error.

    Raises:
        ServerUnavailable: none of the servers answered in time, or they refused the credentials.
    """
    where = ",".join(settings.servers)
    _wait(lambda left: _ask_kafka(settings, left), f"Kafka at {where}", fix, timeout, say)


def wait_for_redis(url: str, timeout: float = WAIT_SECONDS, say: Say = silent, fix: str = REDIS_FIX) -> None:
    """Return once Redis answers PING, also one that is still loading its data; arguments and errors as `wait_for_kafka`."""
    _wait(lambda left: _ask_redis(url, left), f"Redis at {public_url(url)}", fix, timeout, say)


def _wait(ask: Callable[[float], None], what: str, fix: str, timeout: float, say: Say) -> None:
    deadline = time.monotonic() + timeout
    said = False
    while True:
        try:
            ask(max(deadline - time.monotonic(), PAUSE_SECONDS))
        except (KafkaError, *CLIENT_ERRORS) as error:
            if time.monotonic() + PAUSE_SECONDS >= deadline:
                raise ServerUnavailable(f"{what} did not answer within {timeout:g} s ({_reason(error)}); {fix}") from error
            if not said:
                say(f"waiting up to {timeout:g} s for {what} ({_reason(error)}); {fix}")
                said = True
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _ask_kafka(settings: KafkaSettings, left: float) -> None:
    _connect_any(settings, min(left, PROBE_SECONDS))
    milliseconds = max(int(min(left, ANSWER_SECONDS) * 1000), 1)
    try:
        client = KafkaAdminClient(**settings.client_options(), bootstrap_timeout_ms=milliseconds, request_timeout_ms=milliseconds)
    except KafkaTimeoutError as error:
        raise ConnectionError(f"it takes connections but does not answer{SECURITY}") from error
    try:
        client.describe_cluster()
    finally:
        client.close()


def _connect_any(settings: KafkaSettings, timeout: float) -> None:
    """A bare connection to the first server that takes one; spares the client's log a warning at every try.

    With TLS the handshake is done too: the client waits without end for one that is not answered.
    """
    failure: OSError | None = None
    for server in settings.servers:
        host, _, port = server.rpartition(":")
        host = host.strip("[]")
        try:
            with socket.create_connection((host, int(port)), timeout) as connection:
                if "SSL" in settings.protocol:
                    _tls(settings).wrap_socket(connection, server_hostname=host).close()
        except TimeoutError as error:
            failure = ConnectionError(f"{server} gives no answer{SECURITY if 'SSL' in settings.protocol else ''}")
            failure.__cause__ = error
        except OSError as error:
            failure = error
        else:
            return
    if failure:
        raise failure


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.cafile)
    if settings.certfile:
        context.load_cert_chain(settings.certfile, settings.keyfile)
    return context


def _ask_redis(url: str, left: float) -> None:
    timeout = min(left, PROBE_SECONDS)
    with contextlib.closing(make_client(url, socket_connect_timeout=timeout, socket_timeout=timeout)) as client:
        client.ping()


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
