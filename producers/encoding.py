"""Readings as JSON: a compiled writer for many at once, and the ways in which a record can be damaged."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import msgspec
import numba
import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.errors import InputError
from contracts.outcomes import Reason
from producers.signals import F64, I64

U8 = NDArray[np.uint8]
MISSING = np.iinfo(np.int64).min  # stands for null among scaled integers
_LARGEST = 2.0**62  # scaled integers beyond it would overflow
_TIME = {None: (1, 0), "s": (1, 3), "ms": (1, 0), "us": (1_000, 0), "ns": (1_000_000, 0)}  # factor of milliseconds, decimals


class Resolution:
    """Whole multiples of a step such as 0.01 or 0.25, as integers with a fixed number of decimals.

    Raises:
        InputError: the step is not a positive decimal number of at most 9 decimals.
    """

    def __init__(self, step: float) -> None:
        try:
            _, digits, exponent = Decimal(str(step)).normalize().as_tuple()
        except InvalidOperation:
            digits, exponent = (), 0
        if not step > 0 or not digits or not isinstance(exponent, int) or not -9 <= exponent <= 9:
            raise InputError(f"resolution {step!r}: write a positive number of at most 9 decimals, such as 0.01")
        self.step = step
        self.decimals = max(0, -exponent)
        self.factor = int("".join(map(str, digits))) * 10 ** max(0, exponent)

    def scale(self, values: F64, low: float | None, high: float | None) -> I64:
        """The values as integers of 10**−decimals, rounded to the step and kept within [low, high]; MISSING for NaN."""
        multiples = np.rint(values / self.step)
        limit = np.floor(_LARGEST / self.factor)
        least = -limit if low is None else np.ceil(low / self.step)
        most = limit if high is None else np.floor(high / self.step)
        whole = np.where(np.isnan(multiples), 0.0, np.clip(multiples, least, most)).astype(np.int64) * self.factor
        return np.where(np.isnan(values), MISSING, whole)


class _Texts:
    """Byte strings laid end to end, for the kernel."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.bytes: U8 = np.frombuffer(b"".join(texts), np.uint8)
        self.end: I64 = np.cumsum([len(text) for text in texts], dtype=np.int64)
        self.longest = max((len(text) for text in texts), default=0)


class Encoder:
    """Writes readings of a feed as JSON objects: time, entity, id where the feed has one, numbers, categories.

    Args:
        feed: gives the names and the unit of time; milliseconds where it states none.
        entities: names, by index.
        numbers: the numeric fields that are sent, with their resolution.
        modes: the category fields that are sent, with the values that codes stand for.
    """

    def __init__(
        self, feed: Feed, entities: Sequence[str], numbers: Sequence[tuple[str, Resolution]], modes: Sequence[tuple[str, Sequence[str]]]
    ) -> None:
        self._time_factor, self._time_decimals = _TIME[feed.time_unit]
        head = b"{" + _json(feed.time) + b":"
        ident = b"," + _json(feed.id) + b":" if feed.id else b""
        self._has_id = bool(feed.id)
        self._head = _Texts([head])
        self._entity = _Texts([b"," + _json(feed.entity) + b":" + _json(name) for name in entities])
        self._id = _Texts([ident + _json(f"{name}-")[:-1] if feed.id else b"" for name in entities])
        self._number = _Texts([b"," + _json(name) + b":" for name, _ in numbers])
        self._decimals = np.array([resolution.decimals for _, resolution in numbers], np.int64)
        self._mode_first = np.cumsum([0, *(len(names) for _, names in modes)], dtype=np.int64)
        self._mode = _Texts([b"," + _json(name) + b":" + _json(value) for name, values in modes for value in values])
        fixed = self._head.longest + self._entity.longest + self._id.longest + 24 * 2 + 2
        self._size = fixed + int(sum(self._number.end[-1:])) + 24 * len(numbers) + self._mode.longest * len(modes)

    def encode(self, milliseconds: I64, entity: I64, step: I64, numbers: I64, codes: I64) -> list[bytes]:
        """The values of m readings.

        Args:
            milliseconds: (m,) event times.
            entity: (m,) index of the entity.
            step: (m,) number of the reading, for its id.
            numbers: (m, k) scaled integers, or MISSING.
            codes: (m, c) codes of modes.
        """
        count = len(milliseconds)
        out = np.empty(count * self._size, np.uint8)
        end = np.empty(count, np.int64)
        _write(
            out, end, milliseconds * self._time_factor, self._time_decimals, entity, step, numbers, codes,
            self._head.bytes, self._entity.bytes, self._entity.end, self._id.bytes, self._id.end, self._has_id,
            self._number.bytes, self._number.end, self._decimals, self._mode.bytes, self._mode.end, self._mode_first,
        )  # fmt: skip
        ends = end.tolist()
        data = out[: ends[-1]].tobytes() if count else b""
        return [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def damage(value: bytes, reason: Reason, feed: Feed) -> bytes:
    """The record's value damaged so that its decoding ends in `reason`; KEY leaves the value, the key is to be changed."""
    time, entity = _json(feed.time), _json(feed.entity)
    if reason == Reason.EMPTY:
        return b""
    if reason == Reason.NOT_UTF8:
        return value[:-1] + b',"note":"\xff\xfe"}'
    if reason == Reason.NOT_JSON:
        return value[: len(value) // 2]
    if reason == Reason.NOT_AN_OBJECT:
        return b"[" + value + b"]"
    if reason == Reason.ENTITY_MISSING:
        return value.replace(entity, b'"__lost"', 1)
    if reason == Reason.TIME_MISSING:
        return value.replace(time, b'"__lost"', 1)
    if reason == Reason.TIME_UNREADABLE:
        return b"{" + time + b':"yesterday"' + value[value.index(b",") :]
    if reason == Reason.TYPE:
        field = b"," + _json(feed.numbers[0].name) + b":"
        at = value.find(field)
        if at < 0:
            return value[:-1] + field + b'"broken"}'
        after = at + len(field)
        return value[:after] + b'"broken"' + value[min(i for i in (value.find(b",", after), value.rfind(b"}")) if i >= 0) :]
    return value


def _json(text: str | None) -> bytes:
    return msgspec.json.encode(text)


@numba.njit(cache=True, nogil=True)
def _digits(out: U8, at: int, value: int, decimals: int) -> int:
    """Writes an integer of 10**−decimals as decimal text; returns where it ends."""
    if value < 0:
        out[at] = 45
        at += 1
        value = -value
    length = 1
    rest = value // 10
    while rest > 0:
        length += 1
        rest //= 10
    if length <= decimals:
        length = decimals + 1
    end = at + length + (1 if decimals else 0)
    place = end - 1
    for i in range(length):
        if decimals and i == decimals:
            out[place] = 46
            place -= 1
        out[place] = 48 + value % 10
        value //= 10
        place -= 1
    return end


@numba.njit(cache=True, nogil=True)
def _copy(out: U8, at: int, texts: U8, ends: I64, index: int) -> int:
    for i in range(ends[index - 1] if index else 0, ends[index]):
        out[at] = texts[i]
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _write(
    out: U8, end: I64, time: I64, time_decimals: int, entity: I64, step: I64, numbers: I64, codes: I64,
    head: U8, entities: U8, entity_end: I64, ids: U8, id_end: I64, has_id: bool,
    names: U8, name_end: I64, decimals: I64, modes: U8, mode_end: I64, mode_first: I64,
) -> None:  # fmt: skip
    at = 0
    for row in range(time.shape[0]):
        out[at : at + head.shape[0]] = head
        at = _digits(out, at + head.shape[0], time[row], time_decimals)
        at = _copy(out, at, entities, entity_end, entity[row])
        if has_id:
            at = _digits(out, _copy(out, at, ids, id_end, entity[row]), step[row], 0)
            out[at] = 34
            at += 1
        for k in range(numbers.shape[1]):
            at = _copy(out, at, names, name_end, k)
            if numbers[row, k] == MISSING:
                out[at] = 110
                out[at + 1] = 117
                out[at + 2] = 108
                out[at + 3] = 108
                at += 4
            else:
                at = _digits(out, at, numbers[row, k], decimals[k])
        for c in range(codes.shape[1]):
            at = _copy(out, at, modes, mode_end, mode_first[c] + codes[row, c])
        out[at] = 125
        at += 1
        end[row] = at
