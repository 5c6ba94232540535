"""Decimal text to the nearest double, bit for bit what ``float(text)`` gives, in integer operations and one × or ÷.

Clinger, "How to read floating point numbers accurately" (PLDI 1990) where mantissa and power of ten are both exact
doubles; else Lemire, "Number parsing at a gigabyte per second" (Software: Practice and Experience 51, 2021, algorithm 1
with the table of section 5). What neither decides (over 19 digits, subnormal results, overflow) is declined.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.columns import U8

MIN_POWER, MAX_POWER = -342, 308  # beyond, every mantissa of 19 digits is zero or infinite
MAX_DIGITS = 19  # the most that a uint64 holds for certain
MAX_EXPONENT_DIGITS = 4  # more cannot name a finite number above zero with 19 digits, but for zeros in front
_EXACT_POWER = 22  # 10**22 is the largest power of ten that is a double
_EXACT_POWERS = np.array([float(10**n) for n in range(_EXACT_POWER + 1)])
_MASK32 = np.uint64(0xFFFFFFFF)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_TEN_THOUSAND = np.uint64(10_000)
_ZERO, _ONE, _TWO, _THREE, _FOUR, _TEN, _32 = (np.uint64(n) for n in (0, 1, 2, 3, 4, 10, 32))
_TWO53 = np.uint64(2**53)
_UNSURE = np.uint64(2**9 - 1)  # if the 9 bits below the 55 that count are all ones, the rest of the product may carry


def _powers_of_five() -> NDArray[np.uint64]:
    """(651, 2): the 128 leading bits of 5**q, q from MIN_POWER; rounded down for q ≥ 0, reciprocals rounded up."""
    table = np.zeros((MAX_POWER - MIN_POWER + 1, 2), np.uint64)
    for q in range(MIN_POWER, MAX_POWER + 1):
        power = 5 ** abs(q)
        reciprocal = (1 << (power - 1).bit_length() + 127) // power + 1
        bits = power << 128 >> power.bit_length() if q >= 0 else reciprocal
        table[q - MIN_POWER] = divmod(bits, 2**64)
    return table


_FIVES = _powers_of_five()


@numba.njit(cache=True, nogil=True)
def scan_number(buffer: U8, p: int, end: int) -> tuple[int, bool, np.uint64, int, bool]:
    """Reads a JSON number that begins at p: (position after it, negative, mantissa, power of ten, is it an integer).

    The position is -1 where the text is no JSON number or has more digits than the fast paths take.
    """
    nothing = (-1, False, _ZERO, 0, False)
    negative = buffer[p] == 45
    if negative:
        p += 1
    if p >= end:
        return nothing
    mantissa = _ZERO
    first = p
    p, mantissa = _scan_digits(buffer, p, end, mantissa)
    digits = p - first
    if digits == 0 or (digits > 1 and buffer[first] == 48):
        return nothing
    power = 0
    whole = True
    if p < end and buffer[p] == 46:
        whole = False
        p += 1
        point = p
        if mantissa == _ZERO:  # zeros in front of the first digit that counts
            digits = 0
            while p < end and buffer[p] == 48:
                p += 1
        counted = p
        p, mantissa = _scan_digits(buffer, p, end, mantissa)
        if p == point:
            return nothing
        digits += p - counted
        power = point - p
    if digits > MAX_DIGITS:
        return nothing
    if p < end and (buffer[p] | 32) == 101:
        whole = False
        p, exponent = _scan_exponent(buffer, p + 1, end)
        if p < 0:
            return nothing
        power += exponent
    return p, negative, mantissa, power, whole


@numba.njit(cache=True, nogil=True, forceinline=True)
def _scan_digits(buffer: U8, p: int, end: int, value: np.uint64) -> tuple[int, np.uint64]:
    """Past the digits at p, appended to `value` (modulo 2**64); four at a time, as each × waits for the one before.

    Places are unsigned here, which spares a look at each whether it counts from the end.
    """
    at, stop = np.uint64(p), np.uint64(end)
    while at + _FOUR <= stop:
        a, b = np.uint8(buffer[at] - 48), np.uint8(buffer[at + _ONE] - 48)
        c, d = np.uint8(buffer[at + _TWO] - 48), np.uint8(buffer[at + _THREE] - 48)
        if a > 9 or b > 9 or c > 9 or d > 9:
            break
        value = value * _TEN_THOUSAND + np.uint64(np.int64(a) * 1000 + np.int64(b) * 100 + np.int64(c) * 10 + np.int64(d))
        at += _FOUR
    while at < stop and np.uint8(buffer[at] - 48) < 10:
        value = value * _TEN + np.uint64(buffer[at] - 48)
        at += _ONE
    return np.int64(at), value  # type: ignore[return-value]


@numba.njit(cache=True, nogil=True)
def _scan_exponent(buffer: U8, p: int, end: int) -> tuple[int, int]:
    """The exponent after its ``e``: (position after it, value), position -1 where there is none or it is too long."""
    negative = False
    if p < end and (buffer[p] == 43 or buffer[p] == 45):
        negative = buffer[p] == 45
        p += 1
    exponent = 0
    first = p
    while p < end and np.uint8(buffer[p] - 48) < 10 and p - first <= MAX_EXPONENT_DIGITS:
        exponent = exponent * 10 + buffer[p] - 48
        p += 1
    if p == first or p - first > MAX_EXPONENT_DIGITS:
        return -1, 0
    return p, -exponent if negative else exponent


@numba.njit(cache=True, nogil=True, error_model="numpy")
def to_double(mantissa: np.uint64, power: int) -> float:
    """mantissa × 10**power, correctly rounded; -1.0 where it is declined. Mantissas of up to 19 digits."""
    if mantissa == _ZERO:
        return 0.0
    if mantissa <= _TWO53 and -_EXACT_POWER <= power <= _EXACT_POWER:
        exact = np.float64(np.int64(mantissa))
        return exact / _EXACT_POWERS[-power] if power < 0 else exact * _EXACT_POWERS[power]
    if power < MIN_POWER or power > MAX_POWER:
        return -1.0
    return _eisel_lemire(mantissa, power)


@numba.njit(cache=True, nogil=True)
def _eisel_lemire(mantissa: np.uint64, power: int) -> float:
    zeros = _leading_zeros(mantissa)
    shifted = mantissa << np.uint64(zeros)
    high, low = _multiply(shifted, _FIVES[power - MIN_POWER, 0])
    if high & _UNSURE == _UNSURE:
        more, _ = _multiply(shifted, _FIVES[power - MIN_POWER, 1])
        low += more
        if low < more:
            high += _ONE
    if low == _ALL and (power < -27 or power > 55):
        return -1.0  # the product's unknown tail could still carry
    upper = high >> np.uint64(63)
    shift = upper + np.uint64(9)
    bits = high >> shift  # 54 bits: the double's 53 and one to round by
    # 217706 / 2**16 is log2(10) to the accuracy that powers of this range need
    exponent = ((217706 * power) >> 16) + 63 + np.int64(upper) - zeros + 1023
    if exponent <= 0:
        return -1.0
    halfway = low <= _ONE and -4 <= power <= 23 and bits & np.uint64(3) == _ONE and bits << shift == high
    if halfway:
        bits &= ~_ONE  # exactly between two doubles: to the even one
    bits = (bits + (bits & _ONE)) >> _ONE
    if bits >= np.uint64(2**53):
        bits = np.uint64(2**52)
        exponent += 1
    if exponent >= 2047:
        return -1.0
    word = (bits & np.uint64(2**52 - 1)) | (np.uint64(exponent) << np.uint64(52))
    return np.uint64(word).view(np.float64)


@numba.njit(cache=True, nogil=True)
def _leading_zeros(value: np.uint64) -> int:
    zeros = 0
    for step in (32, 16, 8, 4, 2, 1):
        if value >> np.uint64(64 - step) == _ZERO:
            zeros += step
            value <<= np.uint64(step)
    return zeros


@numba.njit(cache=True, nogil=True)
def _multiply(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The 128-bit product as (high, low)."""
    a1, a0, b1, b0 = a >> _32, a & _MASK32, b >> _32, b & _MASK32
    low, cross = a0 * b0, a1 * b0
    middle = cross + (low >> _32)
    other = a0 * b1 + (middle & _MASK32)
    return a1 * b1 + (middle >> _32) + (other >> _32), a * b
