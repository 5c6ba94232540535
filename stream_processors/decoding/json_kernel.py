"""Pieces of JSON text in compiled code. Each takes the position of its first byte and gives the one after its last, or -1.

-1 means "not of the plain shape": the strict way then decides whether the text is JSON at all. What is accepted is a
subset of what Python's json module accepts, NaN and ±Infinity included.
"""

from __future__ import annotations

import numba
import numpy as np

from contracts.columns import U8
from contracts.outcomes import MAX_DEPTH

_NULL = np.frombuffer(b"null", np.uint8)
_TRUE = np.frombuffer(b"true", np.uint8)
_FALSE = np.frombuffer(b"false", np.uint8)
_NAN = np.frombuffer(b"NaN", np.uint8)
_INFINITY = np.frombuffer(b"Infinity", np.uint8)


@numba.njit(cache=True, nogil=True)
def skip_space(buffer: U8, p: int, end: int) -> int:
    """Past spaces, tabs and line ends."""
    while p < end and (buffer[p] == 32 or buffer[p] == 10 or buffer[p] == 13 or buffer[p] == 9):
        p += 1
    return p


@numba.njit(cache=True, nogil=True)
def _word(buffer: U8, p: int, end: int, word: U8) -> int:
    if p + len(word) > end:
        return -1
    for i in range(len(word)):
        if buffer[p + i] != word[i]:
            return -1
    return p + len(word)


@numba.njit(cache=True, nogil=True)
def skip_null(buffer: U8, p: int, end: int) -> int:
    """Past ``null``."""
    return _word(buffer, p, end, _NULL)


@numba.njit(cache=True, nogil=True)
def skip_boolean(buffer: U8, p: int, end: int) -> int:
    """Past ``true`` or ``false``."""
    return _word(buffer, p, end, _TRUE if buffer[p] == 116 else _FALSE)


@numba.njit(cache=True, nogil=True)
def skip_not_finite(buffer: U8, p: int, end: int) -> int:
    """Past ``NaN``, ``Infinity`` or ``-Infinity``."""
    if buffer[p] == 78:
        return _word(buffer, p, end, _NAN)
    return _word(buffer, p + 1 if buffer[p] == 45 else p, end, _INFINITY)


@numba.njit(cache=True, nogil=True)
def skip_character(buffer: U8, p: int, end: int) -> int:
    """Past one UTF-8 sequence of two to four bytes (RFC 3629, section 4: no surrogates, none longer than need be)."""
    first = buffer[p]
    low, high = np.uint8(0x80), np.uint8(0xBF)  # bounds of the second byte
    if first < 0xC2 or first > 0xF4:
        return -1
    length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if first == 0xE0:
        low = np.uint8(0xA0)
    elif first == 0xED:
        high = np.uint8(0x9F)
    elif first == 0xF0:
        low = np.uint8(0x90)
    elif first == 0xF4:
        high = np.uint8(0x8F)
    if p + length > end or buffer[p + 1] < low or buffer[p + 1] > high:
        return -1
    for i in range(p + 2, p + length):
        if buffer[i] & 0xC0 != 0x80:
            return -1
    return p + length


@numba.njit(cache=True, nogil=True)
def plain_string(buffer: U8, p: int, end: int) -> int:
    """From the first byte of a string's text to its closing quote; -1 where an escape stands in it."""
    while p < end:
        byte = buffer[p]
        if byte == 34:
            return p
        if byte < 32 or byte == 92:
            return -1
        if byte < 128:
            p += 1
        else:
            p = skip_character(buffer, p, end)
            if p < 0:
                return -1
    return -1


@numba.njit(cache=True, nogil=True)
def skip_string(buffer: U8, p: int, end: int) -> int:
    """Past a string that nobody reads, escapes included; p is its opening quote."""
    p += 1
    while 0 <= p < end:
        byte = buffer[p]
        if byte == 34:
            return p + 1
        if byte == 92:
            p = _skip_escape(buffer, p, end)
        elif byte < 32:
            return -1
        else:
            p = p + 1 if byte < 128 else skip_character(buffer, p, end)
    return -1


@numba.njit(cache=True, nogil=True)
def _skip_escape(buffer: U8, p: int, end: int) -> int:
    if p + 1 >= end:
        return -1
    byte = buffer[p + 1]
    if byte == 117:  # u and four hexadecimal digits; a surrogate without its partner is JSON all the same
        if p + 6 > end:
            return -1
        for i in range(p + 2, p + 6):
            letter = buffer[i] | 32
            if not (48 <= buffer[i] <= 57 or 97 <= letter <= 102):
                return -1
        return p + 6
    known = byte == 34 or byte == 92 or byte == 47 or byte == 98 or byte == 102 or byte == 110 or byte == 114 or byte == 116
    return p + 2 if known else -1


@numba.njit(cache=True, nogil=True)
def _skip_digits(buffer: U8, p: int, end: int) -> int:
    first = p
    while p < end and np.uint8(buffer[p] - 48) < 10:
        p += 1
    return p if p > first else -1


@numba.njit(cache=True, nogil=True)
def skip_number(buffer: U8, p: int, end: int) -> int:
    """Past a number of any length."""
    if buffer[p] == 45:
        p += 1
    first = p
    p = _skip_digits(buffer, p, end)
    if p < 0 or (p - first > 1 and buffer[first] == 48):
        return -1
    if p < end and buffer[p] == 46:
        p = _skip_digits(buffer, p + 1, end)
        if p < 0:
            return -1
    if p < end and buffer[p] | 32 == 101:
        p += 1
        if p < end and (buffer[p] == 43 or buffer[p] == 45):
            p += 1
        p = _skip_digits(buffer, p, end)
    return p


@numba.njit(cache=True, nogil=True)
def _skip_scalar(buffer: U8, p: int, end: int) -> int:
    byte = buffer[p]
    if byte == 34:
        return skip_string(buffer, p, end)
    if byte == 116 or byte == 102:
        return skip_boolean(buffer, p, end)
    if byte == 110:
        return skip_null(buffer, p, end)
    if byte == 78 or byte == 73 or (byte == 45 and p + 1 < end and buffer[p + 1] == 73):
        return skip_not_finite(buffer, p, end)
    return skip_number(buffer, p, end)


@numba.njit(cache=True, nogil=True)
def _skip_key(buffer: U8, p: int, end: int) -> int:
    """Past a key, its colon and the space around; where its value begins."""
    if p >= end or buffer[p] != 34:
        return -1
    p = skip_string(buffer, p, end)
    if p < 0:
        return -1
    p = skip_space(buffer, p, end)
    return skip_space(buffer, p + 1, end) if p < end and buffer[p] == 58 else -1


@numba.njit(cache=True, nogil=True)
def skip_value(buffer: U8, p: int, end: int) -> int:
    """Past a value of an unknown key of the outermost object; no recursion: the open brackets are bits of one word."""
    depth = 1  # the outermost object
    braces = np.uint64(0)  # bit d: the bracket that opened depth d + 1 is a brace
    while True:
        if p < 0 or p >= end:
            return -1
        byte = buffer[p]
        if byte == 123 or byte == 91:
            if depth == MAX_DEPTH:
                return -1
            p = skip_space(buffer, p + 1, end)
            if p >= end or buffer[p] != byte + 2:  # not empty; a closing bracket is its opening one + 2
                bit = np.uint64(1) << np.uint64(depth)
                braces = braces | bit if byte == 123 else braces & ~bit
                depth += 1
                p = _skip_key(buffer, p, end) if byte == 123 else p
                continue
            p += 1
        else:
            p = _skip_scalar(buffer, p, end)
        if p >= 0 and depth > 1:
            p, depth = _after_value(buffer, p, end, depth, braces)
        if p < 0 or depth == 1:
            return p


@numba.njit(cache=True, nogil=True)
def _after_value(buffer: U8, p: int, end: int, depth: int, braces: np.uint64) -> tuple[int, int]:
    """Past the brackets that close after a value, and past a comma to the next value: (position, depth there)."""
    while depth > 1:
        p = skip_space(buffer, p, end)
        if p >= end:
            return -1, depth
        brace = (braces >> np.uint64(depth - 1)) & np.uint64(1) != np.uint64(0)
        if buffer[p] == 44:
            p = skip_space(buffer, p + 1, end)
            return (_skip_key(buffer, p, end) if brace else p), depth
        if buffer[p] != (125 if brace else 93):
            return -1, depth
        depth -= 1
        p += 1
    return p, depth
