"""Record batches of the Kafka protocol out of columns, by a compiled function.

Format: KIP-98, "Message format", and the comments of Apache Kafka's DefaultRecordBatch and DefaultRecord.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from contracts.columns import I64, U8, read_only
from contracts.kernel import kernel
from stream_processors.decoding.byte_copy import copy_bytes
from stream_processors.record_columns import RecordColumns

_FRONT = struct.Struct(">qiibI")  # base offset, length, leader epoch, magic, CRC
_CHECKED = struct.Struct(">hiqqqhii")  # what the CRC covers besides the records: attributes, last offset, times, producer, count
HEADER_BYTES = _FRONT.size + _CHECKED.size
_LENGTH_FROM = 12  # the length counts what follows its own field
_MAGIC = 2
_NO_LEADER_EPOCH = -1
_TRANSACTIONAL = 1 << 4
_RECORD_BYTES = 31  # of a record at most besides key, value and header: six varints of five bytes, and its attributes


@kernel(inlined=True)
def size_of_varint(value: int) -> int:
    """Bytes of an integer ≥ 0 as a zigzag varint."""
    rest, size = value << 1, 1
    while rest >= 128:
        rest >>= 7
        size += 1
    return size


@kernel(inlined=True)
def put_varint(out: U8, at: int, value: int) -> int:
    """Writes an integer ≥ 0 as a zigzag varint; returns the position after it."""
    rest = value << 1
    while rest >= 128:
        out[at] = (rest & 127) | 128
        rest >>= 7
        at += 1
    out[at] = rest
    return at + 1


@kernel()
def write_records(
    keys: U8,
    key_start: I64,
    key_end: I64,
    values: U8,
    value_end: I64,
    name: U8,
    headers: U8,
    width: int,
    has_header: NDArray[np.bool_],
    first: int,
    limit: int,
    out: U8,
) -> tuple[int, int]:
    """Writes records from row `first` on, until the next would reach beyond `limit` bytes; at least one.

    `headers` holds `width` bytes a row. Returns (row after the last one written, bytes written); `out` is long enough.
    """
    at, row = 0, first
    while row < len(key_end):
        value_start = value_end[row - 1] if row else 0
        key_size, value_size = key_end[row] - key_start[row], value_end[row] - value_start
        body = 2 + size_of_varint(row - first) + size_of_varint(key_size) + key_size + size_of_varint(value_size) + value_size + 1
        if has_header[row]:
            body += size_of_varint(len(name)) + len(name) + size_of_varint(width) + width
        if row > first and at + size_of_varint(body) + body > limit:
            break
        at = put_varint(out, at, body)
        out[at] = out[at + 1] = 0  # attributes; all records have the batch's time
        at = put_varint(out, at + 2, row - first)
        at = copy_bytes(keys, key_start[row], key_end[row], out, put_varint(out, at, key_size))
        at = copy_bytes(values, value_start, value_end[row], out, put_varint(out, at, value_size))
        if has_header[row]:
            at = put_varint(out, at, 1)
            at = copy_bytes(name, 0, len(name), out, put_varint(out, at, len(name)))
            at = copy_bytes(headers, row * width, (row + 1) * width, out, put_varint(out, at, width))
        else:
            at = put_varint(out, at, 0)
        row += 1
    return row, at


def encoded_records(records: RecordColumns, limit: int) -> Iterator[tuple[int, memoryview]]:
    """(records, their bytes behind room for a header) in portions of `limit` bytes at most, but for one record that is larger by itself."""
    name = np.frombuffer(records.header.encode(), np.uint8)
    width = records.header_values.shape[1]
    sizes = records.key_end - records.key_start + np.diff(records.value_end, prepend=0) + width + len(name) + _RECORD_BYTES
    room = HEADER_BYTES + min(int(sizes.sum()), limit + int(sizes.max(initial=0)))
    keys, values, headers = read_only(records.keys), read_only(records.values), read_only(records.header_values.reshape(-1))
    first = 0
    while first < len(records):
        out = np.empty(room, np.uint8)
        after, used = write_records(
            keys,
            records.key_start,
            records.key_end,
            values,
            records.value_end,
            name,
            headers,
            width,
            records.has_header,
            first,
            limit,
            out[HEADER_BYTES:],
        )
        yield int(after) - first, out.data[: HEADER_BYTES + used]
        first = int(after)


def record_batch(
    batch: memoryview, count: int, time_ms: int, transactional: bool, producer: tuple[int, int, int] = (-1, -1, 0)
) -> memoryview:
    """A whole batch of `count` encoded records, whose header is put before them; `producer`: id, epoch and base sequence."""
    _CHECKED.pack_into(batch, _FRONT.size, _TRANSACTIONAL if transactional else 0, count - 1, time_ms, time_ms, *producer, count)
    _FRONT.pack_into(batch, 0, 0, len(batch) - _LENGTH_FROM, _NO_LEADER_EPOCH, _MAGIC, crc32c(batch[_FRONT.size :]))
    return batch
