"""Record batches of the Kafka protocol out of columns, by a compiled function.

Format: KIP-98, "Message format", and the comments of Apache Kafka's DefaultRecordBatch and DefaultRecord.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numba
import numpy as np
from crc32c import crc32c

from contracts.columns import U8, read_only
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


@numba.njit(cache=True, nogil=True)
def size_of_varint(value: int) -> int:
    """Bytes of an integer ≥ 0 as a zigzag varint."""
    rest, size = value << 1, 1
    while rest >= 128:
        rest >>= 7
        size += 1
    return size


@numba.njit(cache=True, nogil=True)
def put_varint(out: U8, at: int, value: int) -> int:
    """Writes an integer ≥ 0 as a zigzag varint; returns the position after it."""
    rest = value << 1
    while rest >= 128:
        out[at] = (rest & 127) | 128
        rest >>= 7
        at += 1
    out[at] = rest
    return at + 1


@numba.njit(cache=True, nogil=True)
def write_records(keys, key_start, key_end, values, value_end, name, headers, has_header, first, limit, out):  # type: ignore[no-untyped-def]
    """Writes records from row `first` on, until the next would reach beyond `limit` bytes; at least one.

    `headers` is (m, w). Returns (row after the last one written, bytes written); `out` is long enough.
    """
    at, row, width = 0, first, headers.shape[1]
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
            at = copy_bytes(headers[row], 0, width, out, put_varint(out, at, width))
        else:
            at = put_varint(out, at, 0)
        row += 1
    return row, at


def encoded_records(records: RecordColumns, limit: int) -> Iterator[tuple[int, bytes]]:
    """(records, their bytes) in portions of `limit` bytes at most, but for one record that is larger by itself."""
    name = np.frombuffer(records.header.encode(), np.uint8)
    width = records.header_values.shape[1] + len(name)
    sizes = records.key_end - records.key_start + np.diff(records.value_end, prepend=0) + width + _RECORD_BYTES
    out = np.empty(min(int(sizes.sum()), limit + int(sizes.max(initial=0))), np.uint8)
    keys, values, headers = read_only(records.keys), read_only(records.values), read_only(records.header_values)
    first = 0
    while first < len(records):
        after, used = write_records(
            keys,
            records.key_start,
            records.key_end,
            values,
            records.value_end,
            name,
            headers,
            records.has_header,
            first,
            limit,
            out,
        )
        yield int(after) - first, out[:used].tobytes()
        first = int(after)


def record_batch(records: bytes, count: int, time_ms: int, transactional: bool, producer: tuple[int, int, int] = (-1, -1, 0)) -> bytes:
    """A whole batch of `count` encoded records; `producer`: id, epoch and base sequence."""
    checked = _CHECKED.pack(_TRANSACTIONAL if transactional else 0, count - 1, time_ms, time_ms, *producer, count)
    crc = crc32c(records, crc32c(checked))
    return _FRONT.pack(0, HEADER_BYTES - _LENGTH_FROM + len(records), _NO_LEADER_EPOCH, _MAGIC, crc) + checked + records
