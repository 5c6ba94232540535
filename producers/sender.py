"""Sends records to Kafka: acknowledged by all replicas, idempotent where the broker can, never more in flight than agreed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import structlog
from kafka import KafkaProducer
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConfigurationError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    UnsupportedVersionError,
)

from contracts.errors import ServerUnavailable
from contracts.settings import KafkaSettings
from producers.placing import RememberedPlacing

LINGER_MS = 5  # with 0 every record would be a request of its own; with more, live events would wait for company
BATCH_BYTES = 262_144  # with the client's 16 KiB a request holds a hundred records, and the broker is the limit
REQUEST_BYTES = 4_194_304  # with the client's 1 MiB a value of the largest size allowed would not fit with its key
MAX_UNACKNOWLEDGED = 10_000  # records; without a bound a slow broker would fill the producer's memory, with 50,000 sending is slower
GIVE_UP_SECONDS = 60.0  # a record not acknowledged by then counts as failed; the client's own 120 s looks like a hang
BOOTSTRAP_SECONDS = 15.0  # commands wait for Kafka before; here only a broker that went away since is waited for
CLOSE_SECONDS = 5.0  # a thread of the client that hangs must not hold the command for ever
IDEMPOTENCE_SECONDS = 10.0  # a broker that leaves the request for a producer id unanswered is treated as one that refuses

_REFUSALS = (ClusterAuthorizationFailedError, KafkaConfigurationError, KafkaTimeoutError, UnsupportedVersionError)

log = structlog.get_logger(__name__)


class Sender:
    """Context manager around one kafka-python producer.

    `delivered` and `failed` count records; both are complete after `flush`. `idempotent` tells whether the broker drops
    what a retry repeats. Either way at most one request a partition is in flight, so order is kept.

    Args:
        settings: where and how to connect.
        max_unacknowledged: `send` waits while so many records are unacknowledged.

    Raises:
        ServerUnavailable: no broker answers.
    """

    def __init__(self, settings: KafkaSettings, max_unacknowledged: int = MAX_UNACKNOWLEDGED) -> None:
        self._settings = settings
        self._most = max_unacknowledged
        self._waiting: deque[Any] = deque()  # futures, in the order of sending
        self.delivered = 0
        self.failed = 0
        self.last_error: str | None = None
        self.idempotent = True
        self._proven = False
        self._producer = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close(discard=kind is not None)

    def send(self, topic: str, keys: Iterable[bytes | None], values: Iterable[bytes | None]) -> None:
        """Hand over records in order; waits while too many are unacknowledged.

        A record that the client refuses (too large) or that the broker does not take in time is counted in `failed`, with
        its reason in `last_error`; the others go on.

        Raises:
            ServerUnavailable: the broker tells nothing of the topic within 60 s.
        """
        pairs = iter(zip(keys, values, strict=True))
        if not self._proven:
            for key, value in pairs:
                self._prove(topic, key, value)
                break
        send, waiting, most = self._producer.send, self._waiting, self._most
        for key, value in pairs:
            if len(waiting) >= most:
                self._settle(most - most // 8)
            try:
                waiting.append(send(topic, value, key=key))
            except MessageSizeTooLargeError as error:
                self._fail(error)
            except KafkaError as error:
                raise self._unavailable(error) from error
        self._collect()

    def flush(self) -> None:
        """Wait until every record handed over is acknowledged or has failed."""
        if self._waiting:
            self._producer.flush()
        self._settle(0)

    def close(self, discard: bool = False) -> None:
        """Flush (unless `discard`) and disconnect; harmless when repeated."""
        if discard:
            _abandon(self._producer)
        else:
            self.flush()
            self._producer.close(timeout=CLOSE_SECONDS)

    def _open(self) -> Any:
        options = self._settings.client_options() | {
            "acks": "all",
            "linger_ms": LINGER_MS,
            "batch_size": BATCH_BYTES,
            "max_request_size": REQUEST_BYTES,
            "delivery_timeout_ms": int(GIVE_UP_SECONDS * 1000),
            "bootstrap_timeout_ms": int(BOOTSTRAP_SECONDS * 1000),
            "enable_idempotence": self.idempotent,
            "max_in_flight_requests_per_connection": 5 if self.idempotent else 1,
            "metrics_enabled": False,
            "partitioner": RememberedPlacing(),
        }
        try:
            return KafkaProducer(**options)
        except KafkaConfigurationError:
            if not self.idempotent:
                raise
            self._without_idempotence("the broker is older than 0.11")
            return self._open()
        except KafkaError as error:
            raise self._unavailable(error) from error

    def _prove(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Send the first record alone: what a broker refuses to idempotent producers, it refuses there."""
        self._proven = True
        try:
            future = self._producer.send(topic, value, key=key)
            future.get(timeout=IDEMPOTENCE_SECONDS)
        except MessageSizeTooLargeError as error:
            self._proven = False
            self._fail(error)
        except _REFUSALS as error:
            _abandon(self._producer)
            self._without_idempotence(type(error).__name__)
            self._producer = self._open()
            try:
                self._waiting.append(self._producer.send(topic, value, key=key))
            except KafkaError as second:
                raise self._unavailable(second) from second
        except KafkaError as error:
            self._fail(error)
        else:
            self.delivered += 1

    def _without_idempotence(self, reason: str) -> None:
        self.idempotent = False
        log.warning("broker is not idempotent: one request in flight, and a retry may repeat records", reason=reason)

    def _collect(self) -> None:
        """Count what is done at the head of the line, without waiting."""
        waiting = self._waiting
        while waiting and waiting[0].is_done:
            self._count(waiting.popleft())

    def _settle(self, most: int) -> None:
        """Wait until at most so many are unacknowledged."""
        deadline = time.monotonic() + 2 * GIVE_UP_SECONDS
        while len(self._waiting) > most:
            future = self._waiting.popleft()
            if not future.is_done:
                try:
                    future.get(timeout=max(deadline - time.monotonic(), 0.0))
                except KafkaError as error:
                    if not future.is_done:
                        self._fail(error)
                        continue
            self._count(future)

    def _count(self, future: Any) -> None:
        if future.exception is None:
            self.delivered += 1
        else:
            self._fail(future.exception)

    def _fail(self, error: BaseException) -> None:
        self.failed += 1
        self.last_error = f"{type(error).__name__}: {error}".splitlines()[0]

    def _unavailable(self, error: KafkaError) -> ServerUnavailable:
        where = ",".join(self._settings.servers)
        return ServerUnavailable(
            f"Kafka at {where} does not take records ({type(error).__name__}); start one with: streamgauge up; "
            "or name a running one with --kafka HOST:PORT or STREAMGAUGE_KAFKA"
        )


def _abandon(producer: Any) -> None:
    """Close a producer and drop what it holds."""
    # close() alone gives up at its own flush and leaves its thread running, which would send later what is sent anew here
    producer._sender.force_close()
    producer._sender.join(CLOSE_SECONDS)
    with contextlib.suppress(KafkaError):
        producer.close(timeout=0)


logging.getLogger("kafka.producer").setLevel(logging.ERROR)  # its warnings at each reconnect would hide the command's own lines
