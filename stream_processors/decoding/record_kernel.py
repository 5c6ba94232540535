"""The compiled parser: records of the plain shape from bytes to columns, with no Python object.

Plain is a flat UTF-8 JSON object in which each declared value is written without escapes, fits the fast paths of numbers
and times and needs no dead letter. Any other record is *odd*: the parser stops before it and the strict way decides.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from contracts.columns import F64, I64, U8, U64, Columns, RawBatch
from contracts.hashing import hash_bytes
from contracts.kernel import kernel
from contracts.outcomes import MAX_CATEGORY_BYTES, MAX_ENTITY_BYTES, MAX_VALUE_BYTES
from stream_processors.decoding.byte_copy import copy_bytes
from stream_processors.decoding.json_kernel import plain_string, skip_boolean, skip_not_finite, skip_null, skip_space, skip_value
from stream_processors.decoding.number_kernel import scan_number, to_double
from stream_processors.decoding.plan import CATEGORY, COLUMN, END, ENTITY, KIND, NUMBER, REQUIRED, START, TIME, Plan
from stream_processors.decoding.time_kernel import epoch_decimal, epoch_integer, iso_time

_POSITIONS = 128  # keys of an object whose place is remembered; keys further on are looked up each time
_NOTHING = np.uint64(0)
# A call that hands over ten arrays costs some 40 ns, a record makes a dozen of them: without this 460 ns, with it 350.
_inlined = numba.njit(cache=True, nogil=True, inline="always")


class Scratch(NamedTuple):
    """What the parser notes of one record; made anew for each batch, so that one decoder may serve several threads."""

    expected: I64  # (_POSITIONS,) which key stood at this place of the object last time: a guess that is verified
    seen: I64  # (m,) 1 + index of the last record that had this key
    span: I64  # (c + 2, 2) where the texts of the entity, the id and each category stand in the values; -1: none


def new_scratch(plan: Plan) -> Scratch:
    """Scratch space for one batch."""
    keys = len(plan.keys)
    return Scratch(np.arange(_POSITIONS, dtype=np.int64) % keys, np.zeros(keys, np.int64), np.zeros((plan.categories + 2, 2), np.int64))


@kernel()
def parse_records(plan: Plan, raw: RawBatch, out: Columns, scratch: Scratch, first: int) -> int:
    """Fills the rows of `out` from `first` on; the index of the first odd record, or n. Rows before `first` are done."""
    buffer, value_end, key_end = raw.values, raw.value_end, raw.key_end
    names, keys, unit = plan.names, plan.keys, plan.time_unit
    expected, seen, span = scratch
    for i in range(first, len(value_end)):
        start = value_end[i - 1] if i > 0 else 0
        end = value_end[i]
        if end - start > MAX_VALUE_BYTES:  # a tombstone is no object, and a null key no entity's name: both end odd below
            return i
        span[:] = -1
        time, unknown = _parse_object(names, keys, unit, buffer, start, end, expected, seen, span, out.number, i)
        if time < 0 or not _complete(keys, seen, i + 1):
            return i
        if not _same_bytes(raw.keys, key_end[i - 1] if i > 0 else 0, key_end[i], buffer, span[0, 0], span[0, 1]):
            return i
        out.event_time[i] = time
        out.unknown_fields[i] = unknown
        if span[1, 0] >= 0:
            out.id_hash[i] = hash_bytes(buffer, span[1, 0], span[1, 1])
        start = out.entity_end[i - 1] if i > 0 else 0
        end = copy_bytes(buffer, span[0, 0], span[0, 1], out.entity, start)
        out.entity_end[i] = end
        out.entity_hash[i] = hash_bytes(out.entity, start, end)
        _put_categories(buffer, span, out.category_text, out.category_end, out.category_hash, i)
    return len(value_end)


@_inlined
def _parse_object(
    names: U8, keys: I64, unit: int, buffer: U8, p: int, end: int, expected: I64, seen: I64, span: I64, number: F64, i: int
) -> tuple[int, int]:
    """Reads one record's object: (event time, how many keys are unknown), time -1 where the record is odd."""
    p = skip_space(buffer, p, end)
    if p >= end or buffer[p] != 123:
        return -1, 0
    time = unknown = position = 0
    while True:
        p = skip_space(buffer, p + 1, end)
        if p >= end or buffer[p] != 34:
            return -1, 0
        p, slot = _find_key(names, keys, buffer, p + 1, end, expected, position)
        position += 1
        if p < 0 or p >= end:
            return -1, 0
        if slot < 0:
            unknown += 1
            p = skip_value(buffer, p, end)
        elif seen[slot] == i + 1:
            return -1, 0
        else:
            seen[slot] = i + 1
            kind = keys[slot, KIND]
            if buffer[p] == 110 and keys[slot, REQUIRED] == 0:
                p = skip_null(buffer, p, end)
            elif kind == NUMBER:
                p, number[i, keys[slot, COLUMN]] = _parse_number(buffer, p, end)
            elif kind == TIME:
                p, time = _parse_time(buffer, p, end, unit)
            else:
                p = _parse_text(buffer, p, end, kind, span, kind if kind < CATEGORY else CATEGORY + keys[slot, COLUMN])
        if p < 0:
            return -1, 0
        p = skip_space(buffer, p, end)
        if p >= end:
            return -1, 0
        if buffer[p] == 125:
            return (time if skip_space(buffer, p + 1, end) == end else -1), unknown
        if buffer[p] != 44:
            return -1, 0


@_inlined
def _find_key(names: U8, keys: I64, buffer: U8, p: int, end: int, expected: I64, position: int) -> tuple[int, int]:
    """From a key's first byte to where its value begins: (position, which declared key, -1 for an unknown one)."""
    slot = expected[position] if position < _POSITIONS else 0
    after = _match_name(names, keys[slot, START], keys[slot, END], buffer, p, end)
    if after < 0:
        after = plain_string(buffer, p, end) + 1
        if after == 0:
            return -1, -1
        slot = len(keys) - 1
        while slot >= 0 and _match_name(names, keys[slot, START], keys[slot, END], buffer, p, end) < 0:
            slot -= 1
        if slot >= 0 and position < _POSITIONS:
            expected[position] = slot
    p = skip_space(buffer, after, end)
    return (skip_space(buffer, p + 1, end) if p < end and buffer[p] == 58 else -1), slot


@_inlined
def _match_name(names: U8, start: int, stop: int, buffer: U8, p: int, end: int) -> int:
    """The position after the closing quote where the name names[start:stop] stands at p, else -1. Names hold no quote."""
    length = stop - start
    if p + length >= end or buffer[p + length] != 34:
        return -1
    for j in range(length):
        if buffer[p + j] != names[start + j]:
            return -1
    return p + length + 1


@_inlined
def _parse_text(buffer: U8, p: int, end: int, kind: int, span: I64, row: int) -> int:
    """Notes where the text of an entity, id or category stands in a row of `span`; the position after it, -1 where odd."""
    start, close, p = _text_span(buffer, p, end, kind == CATEGORY)
    span[row, 0], span[row, 1] = start, close
    length = close - start
    if kind == CATEGORY:
        return p if length <= MAX_CATEGORY_BYTES else -1
    return p if length > 0 and (kind != ENTITY or length <= MAX_ENTITY_BYTES) else -1


@_inlined
def _parse_number(buffer: U8, p: int, end: int) -> tuple[int, float]:
    """A declared number: (position after it, value); zero has no sign, what is not finite is infinite."""
    byte = buffer[p]
    if byte == 45 or np.uint8(byte - 48) < 10:
        after, negative, mantissa, power, _ = scan_number(buffer, p, end)
        if after >= 0:
            value = to_double(mantissa, power)
            if value > 0.0 and negative:
                return after, -value
            return (after, value) if value >= 0.0 else (-1, 0.0)
    if byte == 78 or byte == 73 or byte == 45:
        return skip_not_finite(buffer, p, end), -np.inf if byte == 45 else np.inf
    return -1, 0.0


@_inlined
def _parse_time(buffer: U8, p: int, end: int, unit: int) -> tuple[int, int]:
    """The event time: (position after it, microseconds)."""
    if buffer[p] == 34:
        close = plain_string(buffer, p + 1, end)
        if close < 0:
            return -1, 0
        time = iso_time(buffer, p + 1, close)
        return (close + 1, time) if time >= 0 else (-1, 0)
    p, negative, mantissa, power, whole = scan_number(buffer, p, end)
    if p < 0:
        return -1, 0
    if not whole and negative:
        return -1, 0
    # to_double gives -1 where it declines, and so does epoch_decimal then
    time = epoch_integer(negative, mantissa, unit) if whole else epoch_decimal(to_double(mantissa, power), unit)
    return (p, time) if time >= 0 else (-1, 0)


@_inlined
def _text_span(buffer: U8, p: int, end: int, booleans: bool) -> tuple[int, int, int]:
    """Where the canonical text of a string, an integer or a boolean stands: (start, end, position after the value)."""
    byte = buffer[p]
    if byte == 34:
        close = plain_string(buffer, p + 1, end)
        return p + 1, close, (close + 1 if close >= 0 else -1)
    if byte == 116 or byte == 102:
        after = skip_boolean(buffer, p, end) if booleans else -1
        return p, after, after
    after, negative, mantissa, _, whole = scan_number(buffer, p, end)
    if not whole or (negative and mantissa == _NOTHING):  # -0 is written 0
        after = -1
    return p, after, after


@_inlined
def _complete(keys: I64, seen: I64, stamp: int) -> bool:
    """Whether each required key was there; a required key that is null made the record odd before."""
    for slot in range(len(seen)):  # noqa: SIM110  # numba compiles loops, not all()
        if keys[slot, REQUIRED] != 0 and seen[slot] != stamp:
            return False
    return True


@_inlined
def _same_bytes(a: U8, a_start: int, a_end: int, b: U8, b_start: int, b_end: int) -> bool:
    if a_end - a_start != b_end - b_start:
        return False
    for j in range(a_end - a_start):  # noqa: SIM110
        if a[a_start + j] != b[b_start + j]:
            return False
    return True


@_inlined
def _put_categories(buffer: U8, span: I64, text: U8, text_end: I64, text_hash: U64, i: int) -> None:
    """Copies the texts of row i behind those of the row before, with their hashes."""
    count = text_end.shape[1]
    at = text_end[i - 1, count - 1] if i > 0 and count > 0 else 0
    for c in range(count):
        if span[CATEGORY + c, 0] >= 0:
            start = at
            at = copy_bytes(buffer, span[CATEGORY + c, 0], span[CATEGORY + c, 1], text, start)
            text_hash[i, c] = hash_bytes(text, start, at)
        text_end[i, c] = at
