"""The end of each kind of record, decided by the strict way: docs/records.md as a table."""

from __future__ import annotations

import json
import math
import time

import pytest

from contracts.definition import Category, Feed, Number
from contracts.outcomes import MAX_DEPTH, Reason
from stream_processors.decoding.strict import decode_value
from tests.stream_processors.decoding.samples import FEED, FULL, PLAIN, event

TEMPERATURE, MODE = 0, 1
DEEP = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)  # inside the object: exactly as deep as is allowed

REFUSED = [
    (None, Reason.EMPTY),
    (b"", Reason.EMPTY),
    (b"x" * 10_000_000, Reason.TOO_LARGE),
    (PLAIN.replace(b"run", b"\xff"), Reason.NOT_UTF8),
    (PLAIN.replace(b"run", b"\xed\xa0\x80"), Reason.NOT_UTF8),  # a surrogate
    (PLAIN.replace(b"run", b"\xc0\xaf"), Reason.NOT_UTF8),  # longer than need be
    (PLAIN[:-1] + b',"other":"\xf5"}', Reason.NOT_UTF8),  # in a field that nobody reads
    (b"\xff not JSON either", Reason.NOT_UTF8),
    (b" ", Reason.NOT_JSON),
    (b"nonsense", Reason.NOT_JSON),
    (PLAIN + b"x", Reason.NOT_JSON),
    (PLAIN + PLAIN, Reason.NOT_JSON),
    (PLAIN[:-1], Reason.NOT_JSON),
    (PLAIN[:-1] + b",}", Reason.NOT_JSON),
    (b"\xef\xbb\xbf" + PLAIN, Reason.NOT_JSON),  # a byte order mark
    (PLAIN.replace(b"21.5", b"021.5"), Reason.NOT_JSON),
    (PLAIN.replace(b"run", b"r\tn"), Reason.NOT_JSON),
    (PLAIN.replace(b"run", b"\\x"), Reason.NOT_JSON),
    (b"[" * 10_000 + b"]" * 10_000, Reason.TOO_DEEP),
    (b"[" * 10_000, Reason.TOO_DEEP),  # what comes after the bracket too many is not read
    (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Reason.TOO_DEEP),
    (PLAIN[:-1] + b',"other":[' + DEEP + b"]}", Reason.TOO_DEEP),
    (b"nonsense" + b"[" * 100, Reason.NOT_JSON),  # before the bracket too many
    (b"[" * MAX_DEPTH + b"{" * 3, Reason.TOO_DEEP),
    (b"[1]", Reason.NOT_AN_OBJECT),
    (b'"text"', Reason.NOT_AN_OBJECT),
    (b"null", Reason.NOT_AN_OBJECT),
    (b"NaN", Reason.NOT_AN_OBJECT),
    (b'{"pump":"p1","pump":"p1"}', Reason.DUPLICATE_FIELD),
    (PLAIN[:-1] + b',"ts":1}', Reason.DUPLICATE_FIELD),
    (PLAIN[:-1] + b',"t\\u0073":1}', Reason.DUPLICATE_FIELD),
    (b"{}", Reason.ENTITY_MISSING),
    (event(pump=None), Reason.ENTITY_MISSING),
    (event(pump=""), Reason.ENTITY_MISSING),
    (event(pump="x" * 129), Reason.ENTITY_TOO_LONG),
    (event(pump="é" * 65), Reason.ENTITY_TOO_LONG),
    (event(pump=10**200), Reason.ENTITY_TOO_LONG),
    (b'{"pump":"p1"}', Reason.TIME_MISSING),
    (event(ts=None), Reason.TIME_MISSING),
    (event(ts="1767225600"), Reason.TIME_UNREADABLE),
    (event(ts="yesterday"), Reason.TIME_UNREADABLE),
    (event(ts="2026-02-29T00:00:00Z"), Reason.TIME_UNREADABLE),
    (event(ts=-1), Reason.TIME_UNREADABLE),
    (event(ts=True), Reason.TIME_UNREADABLE),
    (event(ts=[1]), Reason.TIME_UNREADABLE),
    (event(ts=math.nan), Reason.TIME_UNREADABLE),
    (PLAIN.replace(b"1767225600000", b"1" * 5_000), Reason.TIME_UNREADABLE),  # more digits than Python's int takes
    (PLAIN.replace(b"1767225600000", b"1e999"), Reason.TIME_UNREADABLE),
    (event(pump=1.0), Reason.TYPE),
    (event(pump=True), Reason.TYPE),
    (event(pump=["p1"]), Reason.TYPE),
    (event(pump="\ud800"), Reason.TYPE),  # a surrogate without its partner is JSON, but no text
]


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=[f"{i}-{reason.code}" for i, (_, reason) in enumerate(REFUSED)])
def test_reason(value: bytes | None, reason: Reason) -> None:
    """Each shape that is refused has its one reason and names no field, and the rest of the row is empty."""
    assert decode_value(FEED, b"p1", value) == (reason, -1, b"", 0, None, (), (), 0)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"temperature": "21.5"}, TEMPERATURE),
        ({"temperature": True}, TEMPERATURE),
        ({"temperature": {}}, TEMPERATURE),
        ({"temperature": []}, TEMPERATURE),
        ({"mode": 1.5}, MODE),
        ({"mode": math.nan}, MODE),
        ({"mode": {}}, MODE),
        ({"mode": ["run"]}, MODE),
        ({"mode": "x" * 65}, MODE),
        ({"mode": "é" * 33}, MODE),
        ({"mode": 10**64}, MODE),
        ({"mode": "\ud800"}, MODE),
        ({"mode": [], "temperature": []}, TEMPERATURE),
    ],
)
def test_type_names_the_field(values: dict[str, object], field: int) -> None:
    """A value of another type is `type` with the first such field of the definition."""
    assert decode_value(FEED, b"p1", event(**values))[:2] == (Reason.TYPE, field)


def test_duplicate_names_the_field() -> None:
    """A declared field that stands twice is named; a repeated unknown key is no fault."""
    assert decode_value(FEED, b"p1", PLAIN[:-1] + b',"mode":"run"}')[:2] == (Reason.DUPLICATE_FIELD, MODE)
    assert decode_value(FEED, b"p1", PLAIN[:-1] + b',"a":1,"a":2}')[-1] == 2


def test_required() -> None:
    """A required field that is missing or null, or the id, makes `required_missing`; types are looked at before."""
    good = {"line": "L1", "at": 0, "reading": "r", "recipe": "a", "speed": 1}
    assert decode_value(FULL, b"L1", json.dumps(good).encode()).reason == Reason.NONE
    for name, field in (("recipe", 0), ("speed", 1), ("reading", -1)):
        for change in ({name: None}, {}):
            values = {key: value for key, value in good.items() if key != name} | change
            assert decode_value(FULL, b"L1", json.dumps(values).encode())[:2] == (Reason.REQUIRED_MISSING, field)
    assert decode_value(FULL, b"L1", json.dumps(good | {"reading": ""}).encode())[:2] == (Reason.REQUIRED_MISSING, -1)
    assert decode_value(FULL, b"L1", json.dumps(good | {"reading": 1.5, "speed": None}).encode())[:2] == (Reason.TYPE, -1)


def test_key() -> None:
    """A null key, or one that is not the entity's UTF-8, is `key`, but only where the shape is right."""
    assert decode_value(FEED, None, PLAIN).reason == Reason.KEY
    assert decode_value(FEED, b"", PLAIN).reason == Reason.KEY
    assert decode_value(FEED, b"p2", PLAIN).reason == Reason.KEY
    assert decode_value(FEED, b"p2", event(temperature="x")).reason == Reason.TYPE
    assert decode_value(FEED, "pümp".encode(), event(pump="pümp")).reason == Reason.NONE
    assert decode_value(FEED, b"7", event(pump=7)).entity == b"7"
    assert decode_value(FEED, b"0", PLAIN.replace(b'"p1"', b"-0")).entity == b"0"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1e999", math.inf),
        (b"-1e999", -math.inf),
        (b"NaN", math.inf),
        (b"Infinity", math.inf),
        (b"-Infinity", -math.inf),
        (b"9" * 5_000, math.inf),
        (b"-" + b"9" * 5_000, -math.inf),
        (b"9" * 300, float("9" * 300)),
        (b"-0.0", 0.0),
        (b"-0", 0.0),
        (b"-1e-999", 0.0),
        (b"5e-324", 5e-324),
    ],
)
def test_impossible_numbers_keep_the_record(text: bytes, value: float) -> None:
    """What is understood but not finite is infinite, zero has no sign, and the record's other fields are kept."""
    record = decode_value(FEED, b"p1", PLAIN.replace(b"21.5", text))
    assert record.reason == Reason.NONE
    assert [repr(x) for x in record.numbers] == [repr(value), "0.25"]


@pytest.mark.parametrize(
    ("text", "category"), [(b"3", b"3"), (b"-0", b"0"), (b"true", b"true"), (b'""', b""), (b"null", None), (b'"\\u00e9"', "é".encode())]
)
def test_categories(text: bytes, category: bytes | None) -> None:
    """A category is a string, or an integer or boolean by its canonical JSON text; null is missing, the empty text is not."""
    assert decode_value(FEED, b"p1", PLAIN.replace(b'"run"', text)).categories == [category]


def test_depth_within_bounds() -> None:
    """Nesting as deep as is allowed is folded, whatever brackets stand in strings."""
    assert decode_value(FEED, b"p1", PLAIN[:-1] + b',"other":' + DEEP + b"}").reason == Reason.NONE
    assert decode_value(FEED, b"p1", PLAIN[:-1] + b',"other":"' + b"[{" * 100 + b'\\""}').reason == Reason.NONE
    assert decode_value(FEED, b"p1", PLAIN[:-1] + b',"other":[' + b"[]," * 100 + b"{}]}").reason == Reason.NONE


def test_time_unit() -> None:
    """A stated unit is used whatever the magnitude; a huge time is unreadable and no error."""
    feed = Feed("f", entity="e", time="t", time_unit="s", fields=[Number("x"), Category("c")])
    assert decode_value(feed, b"a", b'{"e":"a","t":5}').event_time == 5_000_000
    assert decode_value(feed, b"a", b'{"e":"a","t":1.0000015}').event_time == 1_000_001
    assert decode_value(feed, b"a", b'{"e":"a","t":1e308}').reason == Reason.TIME_UNREADABLE


def test_hostile_megabytes_are_linear() -> None:
    """A megabyte made to be slow (brackets, quotes, escapes, digits, keys) takes a moment, not minutes."""
    size = 1_000_000
    hostile = [
        b"[" * size,
        b"[]," * (size // 3),
        b'\\"' * (size // 2),
        b'"' + b'\\"' * (size // 2 - 1),
        b"{[" + b'"' * (size - 2),
        b'{"a' * (size // 3),
    ]
    hostile += [
        PLAIN.replace(b"21.5", b"9" * (size - 100)),
        PLAIN.replace(b"21.5", b"0." + b"1" * (size - 100)),
        PLAIN.replace(b"p1", b"\\u0041" * 160_000),
    ]
    hostile += [b"[[" * 20 + b"[]," * (size // 3 - 20), b"{" + b'"a":1,' * (size // 6 - 1) + b'"a":1}']
    hostile += [b"[]" * 40 + b'"' + b'\\"' * (size // 2 - 50)]  # enough brackets to be looked at, then a string without an end
    started = time.process_time()
    for value in hostile:
        assert decode_value(FEED, b"p1", value) is not None
    assert time.process_time() - started < 15  # some 1.5 s; a quadratic way would take hours
