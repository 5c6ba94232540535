"""Batches for aiokafka's producer whose bytes a compiled function has made: no call a record.

The producer takes a `BatchBuilder` (`create_batch`, `send_batch`) and asks of it what `EncodedBatch` answers. `encodes`
says whether aiokafka is still made that way: its own builder must give the same bytes.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch

from contracts.errors import StreamgaugeError
from stream_processors.record_columns import RecordColumns
from stream_processors.runner.record_batch_writer import HEADER_BYTES, encoded_records, record_batch

log = logging.getLogger("streamgauge.runner")


class EncodedBatch(BatchBuilder):  # type: ignore[misc]
    """A closed batch of records that are encoded already."""

    def __init__(self, batch: memoryview, count: int, time_ms: int, transactional: bool) -> None:
        self._batch, self._count, self._time_ms, self._transactional = batch, count, time_ms, transactional
        self._producer = (-1, -1, 0)

    def record_count(self) -> int:
        """Records."""
        return self._count

    def size(self) -> int:
        """Bytes of the batch."""
        return len(self._batch)

    def close(self) -> None:
        """It is closed from the beginning: the producer adds nothing to it, and does not wait for more."""

    def closed(self) -> bool:
        """Always."""
        return True

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> memoryview:
        return record_batch(self._batch, self._count, self._time_ms, self._transactional, self._producer)


def encoded_batches(records: RecordColumns, limit: int, transactional: bool) -> Iterator[EncodedBatch]:
    """The records in batches of `limit` bytes at most, but for one that is larger by itself."""
    now = time.time_ns() // 1_000_000
    for count, data in encoded_records(records, limit - HEADER_BYTES):
        yield EncodedBatch(data, count, now, transactional)


@functools.cache
def encodes() -> bool:
    """Whether the producer takes encoded batches; says so in the log where it does not, once."""
    try:
        _check()
    except Exception as error:  # whatever a changed client makes of it
        log.warning(
            "aiokafka %s is not made as expected (%s): scores are handed to it one by one, which costs 2 µs each",
            version("aiokafka"),
            error,
        )
        return False
    return True


def _check() -> None:
    """Compares a batch of two records with the one that aiokafka makes of them.

    Raises:
        StreamgaugeError: the bytes differ.
    """
    vectors = np.arange(32, dtype=np.uint8).reshape(2, 16)
    ends = np.array([2, 4])
    text = np.frombuffer(b"abcd", np.uint8)
    records = RecordColumns(0, ends, text, ends - 2, ends, text, ends, "vector", vectors, np.array([True, False]))
    (batch,) = encoded_batches(records, 1_000, transactional=True)
    own = BatchBuilder(1_000, 0, is_transactional=1)
    for record in records:
        own.append(timestamp=batch._time_ms, key=record.key, value=record.value, headers=list(record.headers))
    sent = []
    for builder in (batch, own):
        builder.close()
        message = MessageBatch.__new__(MessageBatch)  # without a running loop there are no futures to make
        message._builder = builder
        builder._set_producer_state(7, 3, 11)
        sent.append((message.record_count, message.is_empty(), builder.closed(), bytes(message.get_data_buffer())))
    if sent[0] != sent[1]:
        raise StreamgaugeError("its batches have other bytes")
