"""The compiled reader of Kafka record batches: records from bytes to columns, with no Python object.

Record batches of magic 2, as they stand in Kafka's protocol guide ("Record Batch" and "Record"): each record is its length,
one byte of attributes, and then time delta, offset delta, key, value and headers, numbers being zigzag varints. A record that
does not fit where its length says it stands, or whose offset does not lie behind the one before, is *refused*: the plain way
then decides whether the batch is damaged.
"""

from __future__ import annotations

import numba

from contracts.columns import I64, U8, RawBatch
from stream_processors.decoding.batches import GREATEST_MS
from stream_processors.decoding.byte_copy import copy_bytes

END, COUNT, BASE_OFFSET, LAST_DELTA, BASE_TIME, SAME_TIME, FIRST = range(7)  # words of a head
HEAD_WORDS = 7
REFUSED = -1
LEAST_BYTES = 7  # of a record: its length, attributes, both deltas, the lengths of key and value, the number of headers
_inlined = numba.njit(cache=True, nogil=True, inline="always")


@numba.njit(cache=True, nogil=True)
def walk_records(buffer: U8, heads: I64, out: RawBatch) -> tuple[int, int]:
    """Puts the wanted records of m record batches into the first rows of `out`: (rows, offsets without a record among them).

    `heads` (m, HEAD_WORDS): where the batch's records end in `buffer` (they begin where those before end), how many there
    are, base offset, the last offset minus it, base time in ms (with SAME_TIME 1 the time of all), and the first offset that is
    wanted. `out` has room for all records; its times are in µs, -1 where there is none. Rows are REFUSED where a record
    cannot be read.
    """
    row = gaps = key_at = value_at = end = 0
    for b in range(len(heads)):
        at, end = end, heads[b, END]
        expected, before = heads[b, FIRST], -1
        for _ in range(heads[b, COUNT]):
            length, at = _varint(buffer, at, end)
            if at < 0 or length < 0 or length > end - at:
                return REFUSED, 0
            stop = at + length
            time_delta, at = _varint(buffer, at + 1, stop)
            offset_delta, at = _varint(buffer, at, stop)
            key_length, key = _varint(buffer, at, stop)
            if key < 0 or key_length < -1 or key_length > stop - key:
                return REFUSED, 0
            value_length, value = _varint(buffer, key + max(key_length, 0), stop)
            if value < 0 or value_length < -1 or max(value_length, 0) >= stop - value:
                return REFUSED, 0
            if offset_delta <= before or offset_delta > heads[b, LAST_DELTA]:
                return REFUSED, 0
            at, before = stop, offset_delta
            offset = heads[b, BASE_OFFSET] + offset_delta
            if offset < heads[b, FIRST]:
                continue
            gaps += offset - expected
            expected = offset + 1
            time = heads[b, BASE_TIME] + (0 if heads[b, SAME_TIME] else time_delta)
            out.offset[row] = offset
            out.kafka_time[row] = min(time, GREATEST_MS) * 1000 if time >= 0 else -1
            out.key_null[row] = key_length < 0
            out.value_null[row] = value_length < 0
            key_at = copy_bytes(buffer, key, key + key_length, out.keys, key_at)
            value_at = copy_bytes(buffer, value, value + value_length, out.values, value_at)
            out.key_end[row] = key_at
            out.value_end[row] = value_at
            row += 1
        if at != end:
            return REFUSED, 0
        gaps += heads[b, BASE_OFFSET] + heads[b, LAST_DELTA] + 1 - expected
    return row, gaps


@_inlined
def _varint(buffer: U8, at: int, end: int) -> tuple[int, int]:
    """A zigzag number of at most ten bytes: (value, position after it), position -1 where it does not end before `end`."""
    value = shift = 0
    after = -1
    while 0 <= at < end and shift < 70:
        byte = int(buffer[at])
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            after = at
            break
        shift += 7
    return ((value >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(value & 1), after
