"""Which record of a log an output of its fold came from: told from the id, in compiled code, since a fold from far back finds many."""

from __future__ import annotations

import re

import numba
import numpy as np

from contracts.columns import I64, U8, RawBatch, read_only
from contracts.ids import parse_id

_KIND = np.frombuffer(b'"kind":"', np.uint8)  # where several kinds share a topic, the kind stands first
_ID = np.frombuffer(b'"id":"', np.uint8)
_IDLE = np.frombuffer(b"idle", np.uint8)  # an observation of the owner's timer, which no fold gives again
_DIGITS = 18  # of a number: more do not fit into 63 bits
_BRACE, _QUOTE, _COMMA, _SLASH, _ZERO, _A = np.frombuffer(b'{",/0a', np.uint8).tolist()
_ID_TEXT = re.compile(rb'\{(?:"kind":"[a-z]+",)?"id":"([^"]*)"')


def sources_of(batch: RawBatch, prefix: str) -> I64:
    """(m, 2): source offset and n of each record whose id begins with `prefix` and goes on as that of a fold's output does."""
    found = np.empty((batch.n, 2), np.int64)
    return found[: _sources(read_only(batch.values), read_only(batch.value_end), _prefix_bytes(prefix), found)]


def source_of(value: bytes | None, prefix: str) -> tuple[int, int] | None:
    """(source offset, n) of an output of the fold; None for other records and for observations of the owner's timer."""
    if not value:
        return None
    offset, n = _source(np.frombuffer(value, np.uint8), 0, len(value), _prefix_bytes(prefix))
    return None if offset < 0 else (offset, n)


def is_of_generation_before(value: bytes | None, prefix: str) -> bool:
    """Whether a record is an output of the place whose ids begin with `prefix`, of a lower generation."""
    found = _ID_TEXT.match(value) if value is not None else None
    try:
        feed, generation, place, *_ = parse_id(found[1].decode()) if found else ("", 0, "")
    except (ValueError, UnicodeDecodeError):
        return False
    own_feed, own_generation, own_place, _ = prefix.split("/")
    return (feed, place) == (own_feed, own_place) and generation < int(own_generation)


def _prefix_bytes(prefix: str) -> U8:
    return np.frombuffer(prefix.encode(), np.uint8)


@numba.njit(cache=True, nogil=True)
def _sources(values: U8, ends: I64, prefix: U8, found: I64) -> int:
    """Fills the first rows of `found`; says how many."""
    rows = at = 0
    for end in ends:
        offset, n = _source(values, at, end, prefix)
        at = end
        if offset >= 0:
            found[rows, 0], found[rows, 1] = offset, n
            rows += 1
    return rows


@numba.njit(cache=True, nogil=True)
def _source(values: U8, at: int, end: int, prefix: U8) -> tuple[int, int]:
    """(source offset, n) out of ``{"id":"<prefix><offset>/<kind>/<n>"`` at the beginning of a value; (−1, −1) where it is not that."""
    if at >= end or values[at] != _BRACE:
        return -1, -1
    at += 1
    kind = after_text(values, at, end, _KIND)
    if kind >= 0:
        at = kind
        while at < end and _A <= values[at] < _A + 26:
            at += 1
        if at == kind or at + 1 >= end or values[at] != _QUOTE or values[at + 1] != _COMMA:
            return -1, -1
        at += 2
    at = after_text(values, at, end, _ID)
    if at >= 0:
        at = after_text(values, at, end, prefix)
    offset, at = number_before(values, at, end, _SLASH)
    if offset < 0:
        return -1, -1
    begin = at
    while at < end and values[at] != _SLASH and values[at] != _QUOTE:
        at += 1
    if after_text(values, begin, at, _IDLE) == at or at >= end or values[at] != _SLASH:
        return -1, -1
    n, at = number_before(values, at + 1, end, _QUOTE)
    return (offset, n) if n >= 0 else (-1, -1)


@numba.njit(cache=True, nogil=True)
def after_text(values: U8, at: int, end: int, text: U8) -> int:
    """The position after `text`, −1 where something else stands there."""
    if at + len(text) > end:
        return -1
    for i in range(len(text)):
        if values[at + i] != text[i]:
            return -1
    return at + len(text)


@numba.njit(cache=True, nogil=True)
def number_before(values: U8, at: int, end: int, stop: int) -> tuple[int, int]:
    """(a number that ends before the byte `stop`, the position after that); (−1, −1) where there is none, or `at` is −1."""
    if at < 0:
        return -1, -1
    begin, number = at, 0
    while at < end and at - begin < _DIGITS and _ZERO <= values[at] < _ZERO + 10:
        number = 10 * number + (int(values[at]) - _ZERO)
        at += 1
    if at == begin or at >= end or values[at] != stop:
        return -1, -1
    return number, at + 1
