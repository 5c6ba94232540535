"""Consumers that hand out raw batches: whole record batches as bytes, or the plain way, record by record.

The first depends on private names of aiokafka (`fetch_seam`); where those are not what it expects, the second does.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from importlib.metadata import version

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import UnsupportedCodecError

from contracts.errors import UnreadableRecords
from stream_processors.decoding.batches import Fetched, plain_batch, plain_fetched

MAX_RECORDS = 20_000  # of one call, of all partitions: bounds memory and the pause of a rebalance
log = logging.getLogger("streamgauge.runner")


class PlainConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer with `getbatches` beside `getmany`, made of the records that `getmany` gives."""

    async def getbatches(self, *places: TopicPartition, timeout_ms: int = 0) -> list[tuple[TopicPartition, Fetched]]:
        """What comes next of the places, or of all that are assigned: up to MAX_RECORDS records, or one record batch more.

        Waits for `timeout_ms` where there is nothing.

        Raises:
            UnreadableRecords: they are compressed in a way for which no library is installed.
            aiokafka.errors.CorruptRecordException: a batch is damaged.
            aiokafka.errors.KafkaError: as `getmany`.
        """
        try:
            return await self._next_batches(places, timeout_ms)
        except UnsupportedCodecError as error:
            topics = ", ".join(sorted({place.topic for place in places or self.assignment()}))
            raise UnreadableRecords(
                f"{topics}: compressed records cannot be read ({error}); snappy, lz4 and zstd need `pip install cramjam`, "
                "gzip and uncompressed records nothing"
            ) from error

    async def _next_batches(self, places: Sequence[TopicPartition], timeout_ms: int) -> list[tuple[TopicPartition, Fetched]]:
        fetched = await self.getmany(*places, timeout_ms=timeout_ms, max_records=MAX_RECORDS)
        return [(place, plain_fetched(plain_batch(records))) for place, records in fetched.items() if records]


@functools.cache
def batch_consumer_class() -> type[PlainConsumer]:
    """The consumer of whole record batches where aiokafka is as it expects, else the plain one; says so in the log, once."""
    try:
        from stream_processors.runner import fetch_seam

        fetch_seam.check()
    except Exception as error:  # whatever a changed client makes of it
        log.warning(
            "aiokafka %s is not made as expected (%s): records are read one by one, which costs 1 µs each, and control records "
            "are counted among the gaps",
            version("aiokafka"),
            error,
        )
        return PlainConsumer
    return fetch_seam.BatchConsumer
