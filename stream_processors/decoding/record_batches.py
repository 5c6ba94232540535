"""Fetched record batches of magic 2, unopened, and how some of them become one raw batch.

Layout: Kafka protocol guide, "Record Batch". What the compiled reader refuses is read the plain way, record by record,
which says what is wrong with it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import crc32c
import numpy as np
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.default_records import DefaultRecordBatch

from contracts.columns import RawBatch, read_only
from stream_processors.decoding.batches import Fetched, plain_batch
from stream_processors.decoding.record_batch_kernel import HEAD_WORDS, LEAST_BYTES, REFUSED, walk_records
from stream_processors.decoding.unpacking import unpack

# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and greatest time, producer id and epoch,
# base sequence, records
_HEADER = struct.Struct(">qiibIhiqqqhii")
_CHECKED = 21  # bytes before those that the CRC covers
_CODEC, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20  # bits of the attributes


class RecordBatch:
    """The header of one record batch, and its bytes as they came.

    `is_control` says that its records are the broker's own, the ends of transactions; `is_transactional` that it is part of
    one. Whoever knows that this one was aborted sets `is_aborted`: its offsets are passed then, its records not read.

    Raises:
        struct.error: there are fewer bytes than a header has.
    """

    __slots__ = (
        "_attributes",
        "_crc",
        "_first_time",
        "_greatest_time",
        "_unpacked",
        "base_offset",
        "count",
        "data",
        "is_aborted",
        "is_control",
        "is_transactional",
        "last_delta",
        "next_offset",
        "producer_id",
    )

    def __init__(self, data: memoryview) -> None:
        self.data = data
        (
            self.base_offset,
            _,
            _,
            _,
            self._crc,
            self._attributes,
            self.last_delta,
            self._first_time,
            self._greatest_time,
            self.producer_id,
            _,
            _,
            self.count,
        ) = _HEADER.unpack_from(data)
        self.next_offset = self.base_offset + self.last_delta + 1
        self.is_control = self._attributes & _CONTROL != 0
        self.is_transactional = self._attributes & _TRANSACTIONAL != 0
        self.is_aborted = False
        self._unpacked: bytes | memoryview | None = None

    def is_whole(self) -> bool:
        """Whether the bytes are those that the checksum was made of."""
        return crc32c.crc32c(self.data[_CHECKED:]) == self._crc

    def records(self) -> bytes | memoryview:
        """The bytes of its records, decompressed; raises whatever the codec raises, CorruptRecordException where they are too many."""
        packed = self.data[_HEADER.size :]
        kind = self._attributes & _CODEC
        if self._unpacked is None:
            self._unpacked = unpack(kind, packed) if kind else packed
        return self._unpacked

    def size(self) -> int:
        """Bytes of its records, decompressed; 0 where they cannot be, which reading them will tell, or will not be read."""
        if self.is_aborted:
            return 0
        try:
            return len(self.records())
        except CorruptRecordException:
            raise
        except Exception:  # whatever a codec raises
            return 0

    def times(self) -> tuple[int, int]:
        """(ms that the times of its records are counted from, 1 where it is the time of all)."""
        return (self._greatest_time, 1) if self._attributes & _LOG_APPEND_TIME else (self._first_time, 0)


Wanted = tuple[RecordBatch, int]  # the records of a batch from an offset on


def opened(start: int, batches: Sequence[RecordBatch]) -> Fetched:
    """Consecutive record batches of one partition from an offset on: the records, and what the offsets passed hold besides.

    Raises:
        aiokafka.errors.CorruptRecordException: a batch is damaged though its checksum is right.
        aiokafka.errors.UnsupportedCodecError: a batch is compressed in a way for which no library is installed.
    """
    at, gaps = start, 0
    wanted: list[Wanted] = []
    markers: list[Wanted] = []
    for batch in batches:
        first = max(batch.base_offset, at)
        if batch.next_offset <= first:
            continue
        gaps += first - at
        at = batch.next_offset
        if batch.is_aborted:
            gaps += at - first
        else:
            (markers if batch.is_control else wanted).append((batch, first))
    records, gaps_within = _read(wanted)
    ends, gaps_beside = _read(markers)
    return Fetched(start, at, records, ends.offset, gaps + gaps_within + gaps_beside)


def _read(wanted: list[Wanted]) -> tuple[RawBatch, int]:
    """(records, offsets of the batches that hold none)."""
    return _walked(wanted) or _record_by_record(wanted) if wanted else (_room(0, 0), 0)


def _walked(wanted: list[Wanted]) -> tuple[RawBatch, int] | None:
    """None where the compiled reader refuses."""
    heads: list[int] = []
    parts: list[bytes | memoryview] = []
    end = count = 0
    for batch, first in wanted:
        try:
            part = batch.records()
        except CorruptRecordException:
            raise  # the plain way would unpack all of it
        except Exception:  # whatever a codec raises: the plain way says it in its words
            return None
        if not 0 <= batch.count <= len(part) // LEAST_BYTES:
            return None  # a header that promises more records than there is room for would have space set aside for all
        end, count = end + len(part), count + batch.count
        heads += (end, batch.count, batch.base_offset, batch.last_delta, *batch.times(), first)
        parts.append(part)
    buffer = read_only(np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), np.uint8))  # some codecs' can be written to
    out = _room(count, end)
    rows, gaps = walk_records(buffer, np.array(heads, np.int64).reshape(-1, HEAD_WORDS), out)
    return None if rows == REFUSED else (_trimmed(out, rows), gaps)


def _room(records: int, size: int) -> RawBatch:
    """Space for so many records whose keys and values together take up to `size` bytes; pages not written to cost nothing."""
    ints = np.empty((4, records), np.int64)
    nulls = np.empty((2, records), np.uint8)
    return RawBatch(ints[0], ints[1], np.empty(size, np.uint8), ints[2], nulls[0], np.empty(size, np.uint8), ints[3], nulls[1])


def _trimmed(out: RawBatch, rows: int) -> RawBatch:
    keys, values = (int(out.key_end[rows - 1]), int(out.value_end[rows - 1])) if rows else (0, 0)
    offset, time, key_end, value_end = (column[:rows] for column in (out.offset, out.kafka_time, out.key_end, out.value_end))
    return RawBatch(offset, time, out.keys[:keys], key_end, out.key_null[:rows], out.values[:values], value_end, out.value_null[:rows])


def _record_by_record(wanted: list[Wanted]) -> tuple[RawBatch, int]:
    """The same out of aiokafka's own reader of a batch; as with its consumers, an offset that does not lie ahead is skipped."""
    kept, gaps = [], 0
    for batch, expected in wanted:
        for record in _plain_records(batch):
            if expected <= record.offset < batch.next_offset:
                gaps += record.offset - expected
                expected = record.offset + 1
                kept.append(record)
        gaps += batch.next_offset - expected
    return plain_batch(kept), gaps


def _plain_records(batch: RecordBatch) -> list[Any]:
    """What aiokafka makes of a batch; whatever else it or a codec raises for one that is damaged, as its own error."""
    try:
        return list(DefaultRecordBatch(batch.data))
    except KafkaError:
        raise
    except Exception as error:
        raise CorruptRecordException(f"The record batch at offset {batch.base_offset} cannot be read ({error})") from error
