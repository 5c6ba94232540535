"""aiokafka clients with the settings that folds need, each with what goes wrong without it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import CloseReason
from aiokafka.errors import IncompatibleBrokerVersion, UnknownError, UnsupportedVersionError
from aiokafka.helpers import create_ssl_context
from aiokafka.producer import sender

from contracts.settings import KafkaSettings
from stream_processors.runner.batch_consumer import PlainConsumer, batch_consumer_class
from stream_processors.runner.produce_seam import send_in_parts

SESSION_MS = 6_000  # a dead worker's partitions wait this long; the embedded broker holds a join for half of it
HEARTBEAT_MS = 1_500  # three chances within a session
MAX_POLL_MS = 300_000  # a long restore must not lose the partitions that it restores
TRANSACTION_MS = 10_000  # a killed worker leaves a transaction open; read-committed readers wait this long for its end
MARKED_SECONDS = 0.003  # until a broker is asked again whether a transaction's end is marked; the client's 20 ms outlast the next one
BATCH_BYTES = 900_000  # below the usual 1 MB limit of brokers, headers of the batch included
CLOSE_SECONDS = 1.0  # for what is to be flushed, and to leave the group; a broker that is gone holds either up without end
REQUEST_MS = 15_000  # a dead connection is given up; the client's 40 s add up over its connections, less than 6 s ends a join that waits
IDLE_MS = (
    5_000  # unused for longer, a connection is opened anew: else each client of a worker learns for itself, 15 s each, that its own is dead
)
METADATA_MS = 10_000  # added partitions, and a topic that is gone, are seen within it; with the client's five minutes nobody folds them
FETCH_BYTES = 4_000_000  # of a partition at once: more delays the others, less costs round trips

Consumer = TypeVar("Consumer", bound=AIOKafkaConsumer)
sender.BACKOFF_OVERRIDE = MARKED_SECONDS
_closing: set[asyncio.Task[None]] = set()  # the loop itself holds tasks weakly


async def stopped(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Closes a client; where its broker is gone, it goes on closing by itself, and nobody waits for it.

    An aiokafka consumer that is about to try a fetch again raises CancelledError out of its own `stop`: the caller is not cancelled by it.
    """
    closing = asyncio.create_task(client.stop())
    _closing.add(closing)
    closing.add_done_callback(_closed)
    await asyncio.wait({closing}, timeout=CLOSE_SECONDS)


def _closed(closing: asyncio.Task[None]) -> None:
    _closing.discard(closing)
    if not closing.cancelled() and closing.exception() is not None:
        logging.getLogger("streamgauge.runner").info("a client of Kafka ended with an error: %r", closing.exception())


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Address and security of a broker, and how long it may take to answer, as aiokafka takes them."""
    out: dict[str, Any] = {
        "bootstrap_servers": list(settings.servers),
        "security_protocol": settings.protocol,
        "request_timeout_ms": REQUEST_MS,
        "connections_max_idle_ms": IDLE_MS,
    }
    if "SSL" in settings.protocol:
        out["ssl_context"] = create_ssl_context(cafile=settings.cafile, certfile=settings.certfile, keyfile=settings.keyfile)
    if settings.mechanism:
        out |= {"sasl_mechanism": settings.mechanism, "sasl_plain_username": settings.username, "sasl_plain_password": settings.password}
    return out


def group_consumer(settings: KafkaSettings, group: str, client: str) -> PlainConsumer:
    """The consumer that owns the folded partitions; offsets come from checkpoints, the group's serve lag tools only."""
    consumer = batch_consumer_class()(
        **connection_options(settings),
        group_id=group,
        client_id=client,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        max_poll_interval_ms=MAX_POLL_MS,
        metadata_max_age_ms=METADATA_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=100,
    )
    _renew_connections(consumer._client)
    return consumer


def free_consumer(settings: KafkaSettings) -> AIOKafkaConsumer:
    """A consumer of no group that reads committed records, for tails and switches."""
    return patient(AIOKafkaConsumer(**_free_options(settings)))


def batch_consumer(settings: KafkaSettings) -> PlainConsumer:
    """The same for a log that is folded again: it hands out batches as the consumer of the folded partitions does."""
    return patient(batch_consumer_class()(**_free_options(settings)))


def patient(consumer: Consumer) -> Consumer:
    """The consumer, whose questions about offsets outlast the connection on which they are asked.

    aiokafka gives both one timeout. The question then ends first, the dead connection is kept, and the next question is put on it.
    """
    consumer._request_timeout_ms = 2 * REQUEST_MS
    _renew_connections(consumer._client)
    return consumer


def _renew_connections(client: Any) -> None:
    """Ends a client's connections where none of them answers what the cluster is.

    aiokafka keeps them: whoever waits for that answer then puts his own question on the same dead connection, and gives up before it does.
    """
    update = client._metadata_update

    async def renewing(*asked: Any) -> bool:
        updated = bool(await update(*asked))
        if not updated:
            for connection in list(client._conns.values()):
                connection.close(reason=CloseReason.CONNECTION_TIMEOUT)
        return updated

    client._metadata_update = renewing


def _free_options(settings: KafkaSettings) -> dict[str, Any]:
    return connection_options(settings) | {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "max_partition_fetch_bytes": FETCH_BYTES,
        "fetch_max_wait_ms": 100,
    }


def plain_producer(settings: KafkaSettings) -> AIOKafkaProducer:
    """For single records and for brokers without transactions: acknowledged by all replicas."""
    producer = AIOKafkaProducer(**connection_options(settings), acks="all", max_batch_size=BATCH_BYTES, max_request_size=1_048_576)
    _renew_connections(producer.client)
    return send_in_parts(producer)


async def has_transactions(settings: KafkaSettings) -> bool:
    """Whether the broker gives out producer ids; the embedded one does not."""
    quiet = logging.getLogger("aiokafka.producer.sender")
    producer = transactional_producer(settings, "streamgauge-probe")
    quiet.addFilter(_refusals_are_expected)
    try:
        await producer.start()
    except (UnknownError, UnsupportedVersionError, IncompatibleBrokerVersion):
        return False
    finally:
        quiet.removeFilter(_refusals_are_expected)
        await stopped(producer)
    return True


def _refusals_are_expected(record: logging.LogRecord) -> bool:
    return "InitProducerIdRequest" not in record.getMessage()


def transactional_producer(settings: KafkaSettings, transactional_id: str) -> AIOKafkaProducer:
    """A producer whose start fences the one before with the same id."""
    producer = AIOKafkaProducer(
        **connection_options(settings),
        transactional_id=transactional_id,
        transaction_timeout_ms=TRANSACTION_MS,
        max_batch_size=BATCH_BYTES,
        max_request_size=1_048_576,
    )
    _renew_connections(producer.client)
    return send_in_parts(producer)
