"""The seam over aiokafka's fetcher: fetched record batches leave it as bytes, with no Python object a record.

Two classes that aiokafka's fetcher module names in one method, `MemoryRecords` (slices a fetch) and `PartitionRecords` (goes
through it), are others here: the method is the same code with those names bound anew, in a subclass, so that no other
consumer of the process changes. Group membership, offsets, retries and errors stay aiokafka's. `check` says whether
aiokafka is still made that way.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from stream_processors.decoding.batches import Fetched, plain_batch, plain_fetched
from stream_processors.decoding.record_batches import RecordBatch, opened
from stream_processors.decoding.unpacking import MAX_UNPACKED_BYTES
from stream_processors.runner.batch_consumer import MAX_RECORDS, PlainConsumer
from stream_processors.runner.bound_anew import bound_anew

_LENGTH = struct.Struct(">i")
_LENGTH_AT, _BEGIN, _MAGIC_AT = 8, 12, 16  # bytes of a batch: where its length stands, what that counts from, its format


class RawRecords:
    """The record batches of a fetch, sliced. What follows the last whole one is left out: the broker cuts where it likes."""

    def __init__(self, data: bytes) -> None:
        self.plain = MemoryRecords(data)
        self.slices: list[memoryview] = []
        view, at = memoryview(data), 0
        while at + _BEGIN <= len(data):
            end = at + _BEGIN + max(0, _LENGTH.unpack_from(data, at + _LENGTH_AT)[0])
            if end > len(data):
                break
            self.slices.append(view[at:end])
            at = end

    def has_next(self) -> bool:
        """Whether there is a whole batch; the fetcher asks before it goes through them."""
        return self.plain.has_next()

    def size_in_bytes(self) -> int:
        """Of the whole fetch."""
        return self.plain.size_in_bytes()


class Portion(NamedTuple):
    """A part of a fetch; the position moves past it when it is handed out, so what can fail has been done before."""

    fetched: Fetched
    last: bool  # of its fetch


class BatchRecords(PartitionRecords):  # type: ignore[misc]
    """Goes through a fetch in portions of whole record batches, each of MAX_RECORDS, or MAX_UNPACKED_BYTES, or up to one batch more.

    Checksums, control batches and aborted transactions are handled as in `PartitionRecords`.
    """

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Portion]:
        batches: list[RecordBatch] = []
        count = size = 0
        left = len(self._records.slices)
        for data in self._records.slices:
            left -= 1
            batch = self._checked(data)
            if self._isolation_level == READ_COMMITTED and (batch.is_transactional or batch.is_control):
                batch.is_aborted = self._is_aborted(batch)
            batches.append(batch)
            count += batch.count
            size += batch.size()  # of a fetch of megabytes, which compressed may hold gigabytes
            if count >= MAX_RECORDS or size >= MAX_UNPACKED_BYTES or not left:
                fetched = opened(self.next_fetch_offset, batches)
                self.next_fetch_offset = fetched.next_offset
                yield Portion(fetched, last=not left)
                batches, count, size = [], 0, 0

    def _checked(self, data: memoryview) -> RecordBatch:
        try:
            batch = RecordBatch(data)
        except struct.error as error:
            raise CorruptRecordException(f"Record batch of {len(data)} bytes - {self._tp}") from error
        if self._check_crcs and not batch.is_whole():
            raise CorruptRecordException(f"Invalid CRC of the record batch at offset {batch.base_offset} - {self._tp}")
        return batch

    def _is_aborted(self, batch: RecordBatch) -> bool:
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control and batch.count and self._contains_abort_marker(DefaultRecordBatch(batch.data)):
            self._aborted_producers.discard(batch.producer_id)
        return batch.is_transactional and batch.producer_id in self._aborted_producers


class OldRecords(PartitionRecords):  # type: ignore[misc]
    """Goes through a fetch with message sets of magic 0 or 1 in portions of up to MAX_RECORDS records, read the plain way."""

    _records: Any

    def _unpack_records(self) -> Iterator[Portion]:
        self._records = self._records.plain
        records: list[Any] = []
        for record in super()._unpack_records():
            records.append(record)
            if len(records) == MAX_RECORDS:
                yield Portion(plain_fetched(plain_batch(records)), last=False)
                records = []
        if records:
            yield Portion(plain_fetched(plain_batch(records)), last=True)


def records_of_fetch(place: TopicPartition, records: RawRecords, *rest: Any) -> PartitionRecords:
    """In the place of PartitionRecords(…): the way through a fetch that its formats need."""
    old = any(len(data) > _MAGIC_AT and data[_MAGIC_AT] != 2 for data in records.slices)
    return (OldRecords if old else BatchRecords)(place, records, *rest)


class BatchFetcher(Fetcher):  # type: ignore[misc]
    """aiokafka's fetcher over raw record batches."""

    _proc_fetch_request = bound_anew(Fetcher._proc_fetch_request, MemoryRecords=RawRecords, PartitionRecords=records_of_fetch)


class BatchConsumer(PlainConsumer):
    """A consumer whose fetches stay bytes. `getbatches` is the way to read it; `getmany` and `getone` give its portions."""

    start = bound_anew(AIOKafkaConsumer.start, Fetcher=BatchFetcher)

    async def _next_batches(self, places: Sequence[TopicPartition], timeout_ms: int) -> list[tuple[TopicPartition, Fetched]]:
        found = await self.getmany(*places, timeout_ms=timeout_ms, max_records=1)
        portions = [(place, portion) for place, [portion] in found.items()]
        if any(portion.last for _, portion in portions):
            # asked for what is not there any more, aiokafka sends for the next fetch while this one is folded
            more = await self.getmany(*found, max_records=1)
            portions += [(place, portion) for place, [portion] in more.items()]
        return [(place, portion.fetched) for place, portion in portions]


def check() -> None:
    """Reads a batch both ways.

    Raises:
        Exception: of any kind, where aiokafka is not made as this module expects.
    """
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    for i, (key, value) in enumerate([(b"a", b"first"), (None, b"second"), (b"b", None)]):
        builder.append(i, 1_790_000_000_000 + i, key, value, [])
    data = bytes(builder.build())
    rest = (None, 1, None, None, True, READ_COMMITTED)
    place = TopicPartition("check", 0)
    plain = PartitionRecords(place, MemoryRecords(data), *rest)
    expected = plain_fetched(plain_batch(list(plain)))
    whole = records_of_fetch(place, RawRecords(data), *rest)
    [portion] = list(whole)
    found = portion.fetched
    if (whole.next_fetch_offset, found.start, found.next_offset) != (plain.next_fetch_offset, expected.start, expected.next_offset):
        raise ValueError("it counts offsets otherwise")
    columns: Iterator[tuple[Any, Any]] = zip(found.batch, expected.batch, strict=True)
    if any(not np.array_equal(ours, theirs) for ours, theirs in columns):
        raise ValueError("it reads a batch otherwise")
