"""Score records as JSON bytes, written by a compiled function: what `contracts.records.Score` encodes to."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.outcomes import MAX_ENTITY_BYTES
from stream_processors.decoding.byte_copy import copy_bytes
from stream_processors.stream_fold.fold_kernel import ACCURACY, FOLDED, OUT_OF_ORDER

DIGITS = 1_000_000  # scores and p-values are written with six decimals: finer is noise, and costs bytes in every record
FLAGS = (("out_of_order", OUT_OF_ORDER), ("accuracy", ACCURACY), ("partial", ~0xFF))  # names in the order of a record, and a row's bits
_FIXED = 360  # bytes of a record besides entity, feed and model names
_DIGITS, _HUNDRED, _TEN = np.uint64(DIGITS), np.uint64(100), np.uint64(10)
_POWERS = np.array([10**n for n in range(20)], np.uint64)
_PAIRS = np.frombuffer("".join(f"{n:02d}" for n in range(100)).encode(), np.uint8)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def _text(value: str) -> NDArray[np.uint8]:
    return np.frombuffer(value.encode(), np.uint8)


_ID = _text('{"id":"')
_SCORE_ID = _text('/score/0","entity":"')
_EVENT_TIME = _text('","event_time":')
_SCORE = _text(',"score":')
_P_VALUE = _text(',"p_value":')
_MODEL = _text(',"model":"')
_NULL = _text("null")
_FLAG_LIST = _text(',"flags":[')
_AS_OF = _text(',"as_of":')
_FLAG_NAMES = tuple(_text(f'"{name}"') for name, _ in FLAGS)
_FLAG_BITS = tuple(bits for _, bits in FLAGS)


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_bytes(out, at, text):  # type: ignore[no-untyped-def]
    """Appends bytes; returns the new end."""
    for i in range(len(text)):
        out[at + i] = text[i]
    return at + len(text)


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_integer(out, at, value):  # type: ignore[no-untyped-def]
    """Appends a decimal integer ≥ 0."""
    rest, digits = np.uint64(value), 1
    while digits < len(_POWERS) and rest >= _POWERS[digits]:
        digits += 1
    put_digits(out, at, digits, rest)
    return at + digits


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_digits(out, at, digits, rest):  # type: ignore[no-untyped-def]
    """Writes so many last digits of a uint64, two at a time: a division by a constant is the slow part."""
    end = at + digits
    while end - at >= 2:
        pair = np.int64(rest % _HUNDRED) * 2
        rest //= _HUNDRED
        out[end - 2], out[end - 1] = _PAIRS[pair], _PAIRS[pair + 1]
        end -= 2
    if end > at:
        out[at] = 48 + rest % _TEN


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_decimal(out, at, value):  # type: ignore[no-untyped-def]
    """Appends a number rounded half up to six decimals, or null for NaN; |value| is cut at 1e9."""
    if value != value:
        return put_bytes(out, at, _NULL)
    if value < 0.0:
        out[at] = 45
        at += 1
        value = -value
    scaled = np.uint64(min(value, 1e9) * DIGITS + 0.5)
    at = put_integer(out, at, scaled // _DIGITS)
    out[at] = 46
    put_digits(out, at + 1, 6, scaled % _DIGITS)
    return at + 7


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_json_text(out, at, text, start, end):  # type: ignore[no-untyped-def]
    """Appends UTF-8 as the inside of a JSON string."""
    for i in range(start, end):
        byte = text[i]
        if byte == 34 or byte == 92:
            out[at] = 92
            out[at + 1] = byte
            at += 2
        elif byte < 32:
            out[at], out[at + 1], out[at + 2], out[at + 3] = 92, 117, 48, 48
            out[at + 4] = _HEX[byte >> 4]
            out[at + 5] = _HEX[byte & 15]
            at += 6
        else:
            out[at] = byte
            at += 1
    return at


@numba.njit(cache=True, nogil=True, forceinline=True)
def put_flags(out, at, flags):  # type: ignore[no-untyped-def]
    """Appends the list of a row's flags, or nothing where there are none."""
    first = True
    for flag in range(len(_FLAG_BITS)):
        if flags & _FLAG_BITS[flag]:
            if first:
                at = put_bytes(out, at, _FLAG_LIST)
            else:
                out[at] = 44
                at += 1
            at = put_bytes(out, at, _FLAG_NAMES[flag])
            first = False
    if not first:
        out[at] = 93
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def write_scores(prefix, model, columns, rows, out, ends):  # type: ignore[no-untyped-def]
    """Writes one JSON object for each folded row, in row order; `ends[row]` is where the row's object ends.

    `prefix` is ``<feed>/<generation>/<partition>/``. Rows that were not folded write nothing. Returns the bytes written.
    """
    at = 0
    for row in range(len(columns.offset)):
        if rows.outcome[row] == FOLDED:
            at = put_bytes(out, at, _ID)
            at = copy_bytes(prefix, 0, len(prefix), out, at)
            at = put_integer(out, at, columns.offset[row])
            at = put_bytes(out, at, _SCORE_ID)
            start = columns.entity_end[row - 1] if row else 0
            at = put_json_text(out, at, columns.entity, start, columns.entity_end[row])
            at = put_bytes(out, at, _EVENT_TIME)
            at = put_integer(out, at, columns.event_time[row])
            at = put_bytes(out, at, _SCORE)
            at = put_decimal(out, at, rows.score[row])
            at = put_bytes(out, at, _P_VALUE)
            at = put_decimal(out, at, rows.p_value[row])
            at = put_bytes(out, at, _MODEL)
            at = copy_bytes(model, 0, len(model), out, at)
            out[at] = 34
            at = put_flags(out, at + 1, rows.flags[row])
            if rows.flags[row] & OUT_OF_ORDER:
                at = put_bytes(out, at, _AS_OF)
                at = put_integer(out, at, rows.as_of[row])
            out[at] = 125
            at += 1
        ends[row] = at
    return at


def model_name(feed: Feed) -> str:
    """What score records call the anomaly model of a feed."""
    return f"{feed.anomaly}/1"


def score_room(prefix: bytes, model: bytes, n: int, entity_bytes: int) -> int:
    """Bytes that n score records take at the most."""
    return n * (_FIXED + len(prefix) + len(model)) + 6 * min(entity_bytes, n * MAX_ENTITY_BYTES)
