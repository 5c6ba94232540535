"""The strict way: what a record means, decided in Python with the standard json module. The definition of truth.

The compiled parser takes records of the plain shape and must give the same columns; all others, and every reason of a
dead letter, are decided here. docs/records.md says the same in words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from contracts.definition import Feed, Number
from contracts.event_time import parse_event_time
from contracts.outcomes import MAX_CATEGORY_BYTES, MAX_DEPTH, MAX_ENTITY_BYTES, MAX_VALUE_BYTES, Reason

_NO_FIELD = -1
_TIME_DIGITS = 30  # a longer integer is no time; int() of thousands of digits is slow, or refused
_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Integer(str):
    """The text of a JSON integer: Python's int refuses more than 4,300 digits, and no one needs the value."""

    __slots__ = ()

    @property
    def canonical(self) -> str:
        """Its decimal text; −0 is 0."""
        return "0" if self == "-0" else str(self)


class Decoded(NamedTuple):
    """One record. Where `reason` is not NONE the other values but `field` are those of an empty row."""

    reason: Reason
    field: int = _NO_FIELD  # index into definition.fields
    entity: bytes = b""
    event_time: int = 0  # µs
    id: bytes | None = None
    numbers: Sequence[float] = ()  # k; NaN missing, ±inf not finite
    categories: Sequence[bytes | None] = ()  # c; None missing
    unknown_fields: int = 0


class _Refused(Exception):
    """A dead letter; leaves `decode_value` as its result."""

    def __init__(self, reason: Reason, field: int = _NO_FIELD) -> None:
        self.decoded = Decoded(reason, field)


def _not_finite(word: str) -> float:
    return -math.inf if word == "-Infinity" else math.inf  # NaN is +inf: impossible, not missing


# A JSON object becomes a tuple of pairs, so that repeated keys are seen; an array stays a list.
_DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_int=Integer, parse_constant=_not_finite)


def decode_value(feed: Feed, key: bytes | None, value: bytes | None) -> Decoded:
    """What one record means: the reasons of its shape in the order of the enum, then KEY. Never raises."""
    try:
        return _decode(feed, key, _object_of(value))
    except _Refused as refused:
        return refused.decoded


def _object_of(value: bytes | None) -> tuple[tuple[str, Any], ...]:
    """The pairs of the record's JSON object."""
    if not value:
        raise _Refused(Reason.EMPTY)
    if len(value) > MAX_VALUE_BYTES:
        raise _Refused(Reason.TOO_LARGE)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise _Refused(Reason.NOT_UTF8) from None
    text, too_deep = _cut_at_depth(text)
    try:
        parsed = _DECODER.decode(text)
    except ValueError:
        raise _Refused(Reason.NOT_JSON) from None
    if too_deep:
        raise _Refused(Reason.TOO_DEEP)
    if not isinstance(parsed, tuple):
        raise _Refused(Reason.NOT_AN_OBJECT)
    return parsed


def _cut_at_depth(text: str) -> tuple[str, bool]:
    """The text as it is, or closed where it opens one bracket too many, so that what stands before can be checked.

    What comes after that bracket is not read. Linear in the length of the text; nothing here recurses.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return text, False
    closing: list[str] = []
    for match in _BRACKET.finditer(text):
        bracket = match[0]
        if bracket in ("[", "{"):
            if len(closing) == MAX_DEPTH:
                return text[: match.start()] + "0" + "".join(reversed(closing)), True
            closing.append("]" if bracket == "[" else "}")
        elif bracket in ("]", "}") and closing:
            closing.pop()
    return text, False


def _decode(feed: Feed, key: bytes | None, pairs: tuple[tuple[str, Any], ...]) -> Decoded:
    values, unknown = _declared(feed, pairs)
    entity = _entity(values.get(feed.entity))
    event_time = _event_time(values.get(feed.time), feed.time_unit)
    if entity is None:
        raise _Refused(Reason.TYPE)
    identity = None if feed.id is None else _text(values.get(feed.id), booleans=False)
    numbers: list[float] = []
    categories: list[bytes | None] = []
    for index, item in enumerate(feed.fields):
        if isinstance(item, Number):
            numbers.append(_number(values.get(item.name), index))
        else:
            categories.append(_category(values.get(item.name), index))
    if feed.id is not None and not identity:
        raise _Refused(Reason.REQUIRED_MISSING)
    for index, item in enumerate(feed.fields):
        if item.required and values.get(item.name) is None:
            raise _Refused(Reason.REQUIRED_MISSING, index)
    if key != entity:
        raise _Refused(Reason.KEY)
    return Decoded(Reason.NONE, _NO_FIELD, entity, event_time, identity, numbers, categories, unknown)


def _declared(feed: Feed, pairs: tuple[tuple[str, Any], ...]) -> tuple[dict[str, Any], int]:
    """The values of declared keys, and how many keys are not declared."""
    places = {item.name: index for index, item in enumerate(feed.fields)}
    for name in (feed.entity, feed.time, feed.id):
        if name is not None:
            places[name] = _NO_FIELD
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise _Refused(Reason.DUPLICATE_FIELD, places[name])
        if name in places:
            values[name] = value
    return values, len(pairs) - len(values)


def _text(value: Any, *, booleans: bool, field: int = _NO_FIELD) -> bytes | None:
    """UTF-8 of a string, of an integer's digits or of a boolean's word; None where there is none."""
    if value is None:
        return None
    if isinstance(value, Integer):
        value = value.canonical
    elif booleans and isinstance(value, bool):
        value = "true" if value else "false"
    elif not isinstance(value, str):
        raise _Refused(Reason.TYPE, field)
    try:
        return value.encode()
    except UnicodeEncodeError:  # "\ud800" without its partner is JSON, but no text
        raise _Refused(Reason.TYPE, field) from None


def _entity(value: Any) -> bytes | None:
    """The entity's name; None where it is of another type, which is refused only after the time's reasons."""
    if value is None or value == "":
        raise _Refused(Reason.ENTITY_MISSING)
    try:
        name = _text(value, booleans=False)
    except _Refused:
        return None
    if name is not None and len(name) > MAX_ENTITY_BYTES:
        raise _Refused(Reason.ENTITY_TOO_LONG)
    return name


def _event_time(value: Any, unit: str | None) -> int:
    if value is None:
        raise _Refused(Reason.TIME_MISSING)
    if isinstance(value, Integer):
        value = int(value) if len(value) <= _TIME_DIGITS else None
    time = parse_event_time(value, unit)
    if time is None:
        raise _Refused(Reason.TIME_UNREADABLE)
    return time


def _number(value: Any, field: int) -> float:
    if value is None:
        return math.nan
    if isinstance(value, (Integer, float)):
        return float(value) + 0.0  # -0.0 becomes 0.0, so that equal readings have equal contents
    raise _Refused(Reason.TYPE, field)


def _category(value: Any, field: int) -> bytes | None:
    text = _text(value, booleans=True, field=field)
    if text is not None and len(text) > MAX_CATEGORY_BYTES:
        raise _Refused(Reason.TYPE, field)
    return text
