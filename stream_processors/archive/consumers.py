"""The archiver's consumers: of no group, for large fetches now and then, and never moved on by themselves."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer

from contracts.settings import KafkaSettings
from stream_processors.runner.batch_consumer import PlainConsumer, batch_consumer_class
from stream_processors.runner.clients import FETCH_BYTES, connection_options, patient

FETCH_WAIT_MS = 500  # files are written every 10,000 offsets: nobody waits for a record, and few large fetches cost less
FETCH_MIN_BYTES = 65_536


def scores_consumer(kafka: KafkaSettings) -> AIOKafkaConsumer:
    """Hands out records."""
    return patient(AIOKafkaConsumer(**_options(kafka)))


def raw_consumer(kafka: KafkaSettings) -> PlainConsumer:
    """Hands out batches, with control records and gaps counted."""
    return patient(batch_consumer_class()(**_options(kafka)))


def _options(kafka: KafkaSettings) -> dict[str, Any]:
    return connection_options(kafka) | {
        "enable_auto_commit": False,
        "auto_offset_reset": "none",  # where retention has deleted what comes next, an error must say so: a hole must be no file
        "isolation_level": "read_committed",
        "max_partition_fetch_bytes": FETCH_BYTES,
        "fetch_max_wait_ms": FETCH_WAIT_MS,
        "fetch_min_bytes": FETCH_MIN_BYTES,
    }
