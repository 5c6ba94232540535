"""Lines of scores.csv as bytes, written by a compiled function: row, entity, event time, outcome, score, p-value, alarm."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from contracts.columns import F64, I64, U8
from contracts.outcomes import Outcome
from stream_processors.decoding.byte_copy import copy_bytes
from stream_processors.stream_fold.score_text import DIGITS, put_digits, put_integer

HEADER = "row,entity,event_time,outcome,score,p_value,alarm"
_FIXED = 140  # bytes of a line besides entity: 19 of a row number, 29 of a time, 15 of an outcome, twice 24 of numbers, an alarm, commas
_DAY = 86_400_000_000  # µs
_DIGITS = np.uint64(DIGITS)


class LineWriter:
    """Writes lines of rows whose entities are among `names`.

    All texts are quoted where a name needs it, else none: readers that do not know quotes can then read most files.
    """

    def __init__(self, names: Sequence[bytes]) -> None:
        self._quoted = any(sign in name for name in names for sign in b',"\r\n')
        shown = [b'"' + name.replace(b'"', b'""') + b'"' for name in names] if self._quoted else names
        outcomes = [outcome.name.lower().encode() for outcome in Outcome]
        self._names, self._name_end = _pool(shown)
        self._outcomes, self._outcome_end = _pool([b'"' + name + b'"' for name in outcomes] if self._quoted else outcomes)
        self._longest = max(map(len, shown), default=0)

    def lines(self, first: int, entity: I64, event_time: I64, has_time: U8, outcome: I64, score: F64, p_value: F64, alarm: U8) -> U8:
        """The n lines of rows first, first + 1, …

        Args:
            entity: (n,) index into the names, -1 none.
            event_time: (n,) µs, not written where `has_time` (n,) is 0.
            score, p_value: (n,) rounded to six decimals, |value| ≤ 1e9; NaN none.
            alarm: (n,) 0 or 1.
        """
        out = np.empty(len(entity) * (_FIXED + self._longest), np.uint8)
        names, outcomes = (self._names, self._name_end), (self._outcomes, self._outcome_end)
        used = _write_lines(first, names, outcomes, self._quoted, entity, event_time, has_time, outcome, score, p_value, alarm, out)
        return out[:used]


def _pool(texts: Sequence[bytes]) -> tuple[U8, I64]:
    """(buffer, (m + 1,) ends, the first of them 0)."""
    return np.array(bytearray(b"".join(texts)), np.uint8), np.cumsum([0, *map(len, texts)])


@numba.njit(cache=True, nogil=True)
def _write_lines(first, names, outcomes, quoted, entity, event_time, has_time, outcome, score, p_value, alarm, out):  # type: ignore[no-untyped-def]
    at, day, date = 0, np.int64(-1), np.empty(11, np.uint8)
    for row in range(len(entity)):
        at = put_integer(out, at, first + row)
        out[at] = 44
        at += 1
        if entity[row] >= 0:
            at = copy_bytes(names[0], names[1][entity[row]], names[1][entity[row] + 1], out, at)
        out[at] = 44
        at += 1
        if has_time[row]:
            if event_time[row] // _DAY != day:
                day = event_time[row] // _DAY
                _write_date(date, day)
            at = _put_time(out, at, date, event_time[row] - day * _DAY, quoted)
        out[at] = 44
        at = copy_bytes(outcomes[0], outcomes[1][outcome[row]], outcomes[1][outcome[row] + 1], out, at + 1)
        out[at] = 44
        at = _put_number(out, at + 1, score[row])
        out[at] = 44
        at = _put_number(out, at + 1, p_value[row])
        out[at], out[at + 1], out[at + 2] = 44, 48 + alarm[row], 10
        at += 3
    return at


@numba.njit(cache=True, nogil=True)
def _put_time(out, at, date, microseconds, quoted):  # type: ignore[no-untyped-def]
    """Appends ISO 8601 in UTC: the date with its T, and the time of day."""
    if quoted:
        out[at] = 34
        at += 1
    for i in range(len(date)):
        out[at + i] = date[i]
    seconds = np.uint64(microseconds // 1_000_000)
    put_digits(out, at + 11, 2, seconds // np.uint64(3600))
    out[at + 13] = 58
    put_digits(out, at + 14, 2, seconds // np.uint64(60) % np.uint64(60))
    out[at + 16] = 58
    put_digits(out, at + 17, 2, seconds % np.uint64(60))
    out[at + 19] = 46
    put_digits(out, at + 20, 6, np.uint64(microseconds % 1_000_000))
    out[at + 26] = 90
    at += 27
    if quoted:
        out[at] = 34
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _write_date(date, day):  # type: ignore[no-untyped-def]
    """``YYYY-MM-DDT`` of a day ≥ 0 since the epoch, years counted from March (Howard Hinnant, chrono-compatible date algorithms)."""
    day += 719_468
    era_day = day % 146_097
    year = (era_day - era_day // 1_460 + era_day // 36_524 - era_day // 146_096) // 365
    year_day = era_day - (365 * year + year // 4 - year // 100)
    month = (5 * year_day + 2) // 153
    year += 400 * (day // 146_097) + (1 if month >= 10 else 0)
    put_digits(date, 0, 4, np.uint64(year))
    put_digits(date, 5, 2, np.uint64(month + 3 if month < 10 else month - 9))
    put_digits(date, 8, 2, np.uint64(year_day - (153 * month + 2) // 5 + 1))
    date[4], date[7], date[10] = 45, 45, 84


@numba.njit(cache=True, nogil=True)
def _put_number(out, at, value):  # type: ignore[no-untyped-def]
    """Appends a number of six decimals at the most without the zeros at its end; nothing for NaN."""
    if value != value:
        return at
    if np.signbit(value):
        out[at] = 45
        at += 1
    scaled = np.uint64(abs(value) * DIGITS + 0.5)
    at = put_integer(out, at, scaled // _DIGITS)
    decimals = scaled % _DIGITS
    if decimals:
        out[at] = 46
        put_digits(out, at + 1, 6, decimals)
        at += 7
        while out[at - 1] == 48:
            at -= 1
    return at
