"""Event time in compiled code: the plain forms of contracts/event_time.py with the same result; others are declined."""

from __future__ import annotations

import numba
import numpy as np

from contracts.columns import U8
from contracts.event_time import MAX_EVENT_TIME

DECLINED = -1
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
_FRACTION = np.array([0, 100_000, 10_000, 1_000, 100, 10, 1], np.int64)  # µs of the last digit, by number of digits
_SCALE = np.array([1, 1_000_000, 1_000, 1, 1], np.int64)  # µs of one, by the unit's code in plan.UNITS; ns is divided
_SCALE_DOUBLE = np.array([1.0, 1_000_000.0, 1_000.0, 1.0, 0.001])  # the factors of contracts/event_time.py
_SECONDS, _MILLISECONDS, _MICROSECONDS, _NANOSECONDS = 1, 2, 3, 4
_LARGEST = np.uint64(2**63 - 1)
_LIMIT = float(MAX_EVENT_TIME + 1)


@numba.njit(cache=True, nogil=True)
def epoch_integer(negative: bool, mantissa: np.uint64, unit: int) -> int:
    """Microseconds of an integer epoch in a unit (code in plan.UNITS, 0: told from the magnitude), or DECLINED."""
    if mantissa > _LARGEST or (negative and mantissa != np.uint64(0)):
        return DECLINED
    value: int = np.int64(mantissa)  # type: ignore[assignment]  # an integer to numba
    if unit == 0:
        if value < 100_000_000_000:
            unit = _SECONDS
        elif value < 100_000_000_000_000:
            unit = _MILLISECONDS
        else:
            unit = _MICROSECONDS if value < 100_000_000_000_000_000 else _NANOSECONDS
    if unit == _NANOSECONDS:
        value //= 1000
        return value if value <= MAX_EVENT_TIME else DECLINED
    return value * _SCALE[unit] if value <= MAX_EVENT_TIME // _SCALE[unit] else DECLINED


@numba.njit(cache=True, nogil=True)
def epoch_decimal(value: float, unit: int) -> int:
    """Microseconds of an epoch that is no integer, cut off below the microsecond, or DECLINED."""
    if not value >= 0.0:
        return DECLINED
    if unit == 0:
        if value < 1e11:
            unit = _SECONDS
        elif value < 1e14:
            unit = _MILLISECONDS
        else:
            unit = _MICROSECONDS if value < 1e17 else _NANOSECONDS
    value *= _SCALE_DOUBLE[unit]
    return np.int64(value) if value < _LIMIT else DECLINED  # type: ignore[return-value]


@numba.njit(cache=True, nogil=True)
def _digits(buffer: U8, p: int, count: int) -> int:
    """Value of `count` decimal digits at p; -1 where another byte stands among them."""
    value = 0
    for i in range(p, p + count):
        digit = buffer[i] - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@numba.njit(cache=True, nogil=True)
def iso_time(buffer: U8, start: int, end: int) -> int:
    """Microseconds of ``YYYY-MM-DD[T ]HH:MM:SS[.f{1,6}][Z|±HH:MM]`` (no offset means UTC), or DECLINED."""
    if end - start < 19 or buffer[start + 4] != 45 or buffer[start + 7] != 45:
        return DECLINED
    if buffer[start + 13] != 58 or buffer[start + 16] != 58 or (buffer[start + 10] != 84 and buffer[start + 10] != 32):
        return DECLINED
    year, month, day = _digits(buffer, start, 4), _digits(buffer, start + 5, 2), _digits(buffer, start + 8, 2)
    hour, minute, second = _digits(buffer, start + 11, 2), _digits(buffer, start + 14, 2), _digits(buffer, start + 17, 2)
    if not (1970 <= year <= 2254 and 1 <= month <= 12 and 0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
        return DECLINED
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day < 1 or day > _MONTH_DAYS[month] + (1 if leap and month == 2 else 0):
        return DECLINED
    microseconds = (_days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000
    p = start + 19
    if p < end and buffer[p] == 46:
        p += 1
        first = p
        while p < end and np.uint8(buffer[p] - 48) < 10:
            p += 1
        if p == first or p - first > 6:
            return DECLINED
        microseconds += _digits(buffer, first, p - first) * _FRACTION[p - first]
    if p == end or (p + 1 == end and buffer[p] == 90):
        return microseconds
    if p + 6 != end or (buffer[p] != 43 and buffer[p] != 45) or buffer[p + 3] != 58:
        return DECLINED
    hours, minutes = _digits(buffer, p + 1, 2), _digits(buffer, p + 4, 2)
    if not (0 <= hours <= 23 and 0 <= minutes <= 59):
        return DECLINED
    offset = (hours * 60 + minutes) * 60_000_000
    microseconds += offset if buffer[p] == 45 else -offset
    return microseconds if microseconds >= 0 else DECLINED


@numba.njit(cache=True, nogil=True)
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the Gregorian calendar; years begin in March, so that a leap day ends one."""
    if month <= 2:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719_469
