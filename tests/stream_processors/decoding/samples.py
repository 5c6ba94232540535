"""Feeds, record texts and comparisons that several tests of decoding share."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from contracts.columns import Columns, RawBatch
from contracts.definition import Category, Feed, Number
from stream_processors.decoding.batches import raw_batch

FEED = Feed("pumps", entity="pump", time="ts", fields=[Number("temperature"), Category("mode"), Number("vibration")])
FULL = Feed(
    "lines",
    entity="line",
    time="at",
    time_unit="ms",
    id="reading",
    fields=[Category("recipe", required=True), Number("speed", required=True), Category("shift"), Number("load")],
)
PLAIN = b'{"pump":"p1","ts":1767225600000,"temperature":21.5,"mode":"run","vibration":0.25}'


def one(value: bytes | None, key: bytes | None = b"p1") -> RawBatch:
    """A batch of one record."""
    return raw_batch([0], [-1], [key], [value])


def many(records: list[tuple[bytes | None, bytes | None]]) -> RawBatch:
    """A batch of (key, value) records at the offsets 0, 1, …"""
    return raw_batch(list(range(len(records))), [-1] * len(records), [key for key, _ in records], [value for _, value in records])


def assert_same(left: Columns, right: Columns, *, but: tuple[str, ...] = ()) -> None:
    """Equal types, shapes and bytes of every column."""
    for name, a, b in zip(Columns._fields, left, right, strict=True):
        if name not in but:
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), f"{name}: {a} is not {b}"


def event(**values: Any) -> bytes:
    """The JSON of an event of FEED; pump, ts and the fields may be overridden, `None` is null."""
    return json.dumps({"pump": "p1", "ts": 1767225600000, "temperature": 21.5, "mode": "run", "vibration": 0.25} | values).encode()


_number_texts = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e4, 1e4).map(lambda x: f"{x:.3f}"),
    st.integers(-(10**20), 10**20).map(str),
    st.builds(
        lambda m, e, sign: f"{m}{sign}{e}", st.integers(0, 10**18), st.integers(-400, 400), st.sampled_from(["e", "E", "e+", "e-", "e0"])
    ),
    st.sampled_from(["0", "-0", "-0.0", "0.000", "0e5", "1e999", "-1e999", "1e-999", "5e-324", "NaN", "Infinity", "-Infinity", "null"]),
    st.sampled_from(
        ["00", "01", "1.", ".5", "-", "+1", "1e", "1e+", "0x1", "nan", "Inf", "1_0", "--1", "1.5.2", "true", '"1"', "[]", "{}"]
    ),
)
_texts = st.one_of(
    st.sampled_from(["", "run", "p1", "größe", "日本", "𝄞", 'a"b', "a\\b", "x" * 64, "x" * 65, "é" * 64, "x" * 128, "x" * 129, "\x7f"]),
    st.text(max_size=12),
)
_text_values = st.one_of(
    _texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
    _texts.map(json.dumps),
    st.sampled_from(
        ["1", "-0", "-7", "true", "false", "null", "1.0", "1e2", "[]", '"\\ud800"', '"\\u12"', '"\t"', "12345678901234567890123"]
    ),
)
_times = st.one_of(
    st.integers(-10, 2**63 + 10).map(str),
    st.integers(1_700_000_000_000, 1_800_000_000_000).map(str),
    st.floats(0, 1e19).map(repr),
    st.datetimes().map(lambda moment: json.dumps(moment.isoformat())),
    st.datetimes(timezones=st.timezones()).map(lambda moment: json.dumps(moment.isoformat(" "))),
    st.datetimes().map(lambda moment: json.dumps(moment.isoformat(timespec="milliseconds") + "Z")),
    st.sampled_from(["null", '""', '"1767225600"', "true", "[]", "-0", "-0.0", "-1e-9", "NaN", "1e300", '"2026-02-29T00:00:00Z"']),
)
_values = st.recursive(
    st.one_of(_number_texts, _text_values),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + " , ".join(items) + "]"),
        st.lists(st.tuples(_texts.map(json.dumps), inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{k} :{v}" for k, v in pairs) + "}"
        ),
    ),
    max_leaves=8,
)
_space = st.sampled_from(["", "", "", " ", "\n", "\t\r\n", "\x0b", "\u00a0"])


@st.composite
def record_values(draw: st.DrawFn) -> bytes:
    """Values of records of FULL: most are objects with most of its keys, of plain, odd and broken values."""
    pairs = {
        "line": draw(st.one_of(st.just('"L1"'), _text_values)),
        "at": draw(_times),
        "reading": draw(_text_values),
        "recipe": draw(_text_values),
        "speed": draw(_number_texts),
        "shift": draw(_text_values),
        "load": draw(_number_texts),
    }
    keys = draw(st.permutations(list(pairs)))
    keys = keys[: draw(st.sampled_from([7, 7, 7, 7, 6, 5]))]
    parts = [(key, pairs[key]) for key in keys]
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), (draw(st.sampled_from(["extra", "line2", "lin", "größe", "load"])), draw(_values)))
    text = "{" + ",".join(f'{draw(_space)}"{key}":{draw(_space)}{value}' for key, value in parts) + "}" + draw(_space)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def plain_values(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """(key, value) of records of FULL that the compiled parser has to take."""
    line = draw(st.sampled_from(["L1", "Straße 7", "4711"]))
    number = st.one_of(
        st.floats(-1e300, 1e300).filter(lambda x: x == 0 or abs(x) > 1e-300).map(repr), st.integers(-(10**15), 10**15).map(str)
    )
    time = st.one_of(
        st.integers(0, 9 * 10**12).map(str),
        st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2254, 1, 1)).map(lambda moment: f'"{moment.isoformat()}Z"'),
    )
    word = st.sampled_from(['"a"', '"größe"', "17", "-3"])
    pairs = {
        "line": line if line == "4711" and draw(st.booleans()) else f'"{line}"',
        "at": draw(time),
        "reading": draw(word),
        "recipe": draw(st.one_of(word, st.sampled_from(["true", "false"]))),
        "speed": draw(number),
        "shift": draw(st.one_of(word, st.just("null"))),
        "load": draw(st.one_of(number, st.sampled_from(["null", "NaN", "-Infinity"]))),
        "more": draw(st.sampled_from(["1", '{"a":[1,{"b":null}],"c\\n":"\\u00e9"}', "[[],{}]", '"\\"x"', "1e999"])),
    }
    text = "{" + ", ".join(f'"{key}": {pairs[key]}' for key in draw(st.permutations(list(pairs)))) + "}"
    return line.encode(), text.encode()
