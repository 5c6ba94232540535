"""The compiled parser against the strict way, and both against anything that may stand in a topic."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.columns import RawBatch, read_only
from contracts.hashing import hash_text
from contracts.outcomes import Reason
from stream_processors.decoding.decoder import Decoder, empty_columns
from stream_processors.decoding.plan import make_plan
from stream_processors.decoding.record_kernel import new_scratch, parse_records
from tests.stream_processors.decoding.samples import FEED, FULL, PLAIN, assert_same, event, many, one, plain_values, record_values
from tests.stream_processors.decoding.test_strict import REFUSED

_SETTINGS = settings(derandomize=True, deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
_KEYS = st.sampled_from([b"L1", b"L1", b"L1", b"", None])
LINES, PUMPS = Decoder(FULL), Decoder(FEED)


def accepted(decoder: Decoder, batch: RawBatch) -> int:
    """How many records from the first on the compiled parser takes."""
    plan = make_plan(decoder.feed)
    raw = RawBatch(*(read_only(column) for column in batch))
    return int(parse_records(plan, raw, empty_columns(raw, plan.numbers, plan.categories), new_scratch(plan), 0))


@_SETTINGS
@given(st.lists(plain_values(), min_size=1, max_size=4))
def test_plain_records_are_compiled_and_exact(records: list[tuple[bytes, bytes]]) -> None:
    """Every plain record is taken by the compiled parser, and its columns are those of the strict way, bit for bit."""
    batch = many(list(records))
    assert accepted(LINES, batch) == batch.n
    columns = LINES.decode(batch)
    assert not columns.reason.any()
    assert_same(columns, LINES.decode_strictly(batch))


@_SETTINGS
@given(st.lists(st.tuples(_KEYS, record_values()), min_size=1, max_size=4))
def test_hostile_records_mean_the_same(records: list[tuple[bytes | None, bytes]]) -> None:
    """Odd, broken and plain records in one batch: both ways give the same columns, bit for bit."""
    batch = many(list(records))
    assert_same(LINES.decode(batch), LINES.decode_strictly(batch))


_EACH = {"line": '"L1"', "at": "5", "reading": '"r"', "recipe": '"a"', "speed": "1.5", "shift": '"s"', "load": "2", "other": "0"}
_TRICKY = [
    "-0",
    "0",
    "-7",
    "00",
    "-",
    "1.0",
    "-0.0",
    "1e2",
    "1e999",
    "-1e999",
    "1e-999",
    "5e-324",
    "NaN",
    "Infinity",
    "-Infinity",
    "-NaN",
    "nul",
    "null",
]
_TRICKY += [
    "true",
    "false",
    "True",
    "tru",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999",
    "9" * 309,
    "9" * 5_000,
    "0." + "0" * 400 + "1",
]
_TRICKY += [
    f'"{text}"'
    for text in ("", "é", "x" * 64, "x" * 65, "é" * 32, "é" * 33, "x" * 128, "x" * 129, "\x7f", "\x1f", "\n", "\\u0041", "\\ud800", "\\x")
]
_TRICKY += ["[" * depth + "]" * depth for depth in (1, 31, 32, 10_000)] + ['{"a":' * depth + "1" + "}" * depth for depth in (1, 31, 32)]
_TRICKY += [
    "[1,]",
    "[,]",
    "{,}",
    "[}",
    "{]",
    '{"a"}',
    '{"a":1,}',
    "{1:2}",
    "[1 2]",
    "[ ]",
    "{ }",
    '[{"a":[{}]},[],"]"]',
    '"a" "b"',
    "",
    "'a'",
    "1767225600000",
    "1e18",
]
_TRICKY += [
    '"2026-01-01T00:00:00Z"',
    '"2026-01-01 24:00:00"',
    '"2026-01-01T00:00:00.1234567"',
    "1767225600.5",
    "9007199254740.991",
    "9007199254740.992",
    "-1",
]


def test_tricky_values_in_each_place() -> None:
    """One value out of the ordinary in an otherwise plain record, in the place of each key: both ways give the same columns."""
    records: list[tuple[bytes | None, bytes | None]] = []
    for name in _EACH:
        for tricky in _TRICKY:
            pairs = _EACH | {name: tricky}
            text = "{" + ",".join(f'"{key}":{value}' for key, value in pairs.items()) + "}"
            records.append((tricky.strip('"').encode() if name == "line" else b"L1", text.encode()))
    batch = many(records)
    columns = LINES.decode(batch)
    assert_same(columns, LINES.decode_strictly(batch))
    assert set(columns.reason.tolist()) >= {0, 4, 5, 8, 9, 10, 11, 12, 13}


@pytest.mark.parametrize(("decoder", "key"), [(LINES, b"L1"), (PUMPS, b"p1")], ids=["lines", "pumps"])
def test_mutated_records(decoder: Decoder, key: bytes) -> None:
    """Thousands of records with bytes changed, cut, doubled and moved end, and end the same both ways."""
    rng = random.Random(7)
    plain = b'{"line": "L1", "at": 1767225600000, "reading": "r-9", "recipe": true, '
    plain += b'"speed": -1.25e-3, "shift": "fr\xc3\xbch", "load": 17, "x": [1, {"y": null}]}'
    seed = plain if decoder is LINES else PLAIN[:-1] + b', "x": {"a": ["\\u00e9", -1.5E+3, false]}}'
    records: list[tuple[bytes | None, bytes | None]] = [(key, seed)]
    alphabet = b'{}[]",:\\ \t\n0123456789.eE+-nulltruefalseNaNInfinity\x00\x1f\x7f\x80\xbf\xc3\xe2\xed\xf0\xff'
    for _ in range(6_000):
        value = bytearray(seed)
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            at, kind = rng.randrange(len(value) + 1), rng.randrange(4)
            if kind == 0:
                value[at : at + 1] = bytes([rng.choice(alphabet)])
            elif kind == 1:
                value[at : at + rng.randint(1, 5)] = b""
            elif kind == 2:
                value[at:at] = bytes([rng.choice(alphabet)])
            else:
                start = rng.randrange(len(value) + 1)
                value[at:at] = value[start : start + rng.randint(1, 12)]
        records.append((key, bytes(value)))
    batch = many(records)
    columns = decoder.decode(batch)
    assert_same(columns, decoder.decode_strictly(batch))
    assert 0 < (columns.reason == 0).sum() < batch.n


def test_random_bytes() -> None:
    """Thousands of strings of random bytes neither hang nor crash, and none is a record."""
    rng = random.Random(8)
    batch = many([(rng.randbytes(2), rng.randbytes(rng.randint(0, 60))) for _ in range(5_000)])
    columns = PUMPS.decode(batch)
    assert (columns.reason != 0).all()
    assert_same(columns, PUMPS.decode_strictly(batch))


def test_every_prefix() -> None:
    """A record cut at any byte is not JSON, and the kernel reads nothing beyond the cut."""
    value = PLAIN[:-1] + b',"x":{"a":["\\u00e9\xc3\xa9",true,null,NaN,-Infinity,-1.5e+3]}}'
    batch = many([(b"p1", value[:cut]) for cut in range(1, len(value))] + [(b"p1", value)])
    columns = PUMPS.decode(batch)
    assert_same(columns, PUMPS.decode_strictly(batch))
    assert set(columns.reason[:-1]) <= {Reason.NOT_JSON, Reason.NOT_UTF8}
    assert columns.reason[-1] == Reason.NONE


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=[f"{i}-{reason.code}" for i, (_, reason) in enumerate(REFUSED)])
def test_reasons_reach_the_columns(value: bytes | None, reason: Reason) -> None:
    """Each refused shape between two good records has its reason and leaves the neighbours alone."""
    columns = PUMPS.decode(many([(b"p1", PLAIN), (b"p1", value), (b"p1", PLAIN)]))
    assert columns.reason.tolist() == [0, reason, 0]
    assert columns.entity.tobytes() == b"p1p1"
    assert columns.entity_end.tolist() == [2, 2, 4]
    assert columns.number[[0, 2]].tolist() == [[21.5, 0.25]] * 2
    assert np.isnan(columns.number[1]).all()
    assert columns.category_text.tobytes() == b"runrun"


def test_columns_of_a_plain_record() -> None:
    """Every column of a record, written out by hand."""
    columns = PUMPS.decode(one(event(mode=True, temperature=None, extra={"a": []})))
    assert columns.event_time.tolist() == [1767225600000000]
    assert np.array_equal(columns.number, [[np.nan, 0.25]], equal_nan=True)
    assert columns.category_text.tobytes() == b"true"
    assert columns.category_hash.tolist() == [[hash_text("true")]]
    assert columns.entity_hash.tolist() == [hash_text("p1")]
    assert (columns.id_hash.tolist(), columns.unknown_fields.tolist(), columns.kafka_time.tolist()) == ([0], [1], [-1])
    assert columns.reason_field.tolist() == [-1]


def test_cuts_do_not_matter() -> None:
    """The same records in any batches give the same rows, whatever order of keys the parser saw before."""
    rng = random.Random(9)
    records: list[tuple[bytes | None, bytes | None]] = []
    for i in range(300):
        parts = [
            b'"pump":"p%d"' % (i % 7),
            b'"ts":%d' % i,
            b'"temperature":%d.5' % i,
            b'"mode":"m\\u0061"' if i % 5 == 0 else b'"mode":"a"',
            b'"z":0',
        ]
        rng.shuffle(parts)
        records.append((b"p%d" % (i % 7) if i % 11 else None, b"{" + b",".join(parts) + b"}"))
    whole = PUMPS.decode(many(records))
    start = 0
    while start < len(records):
        end = min(len(records), start + rng.randint(1, 40))
        part = PUMPS.decode(many(records[start:end]))
        for name in ("reason", "reason_field", "entity_hash", "event_time", "number", "category_hash", "unknown_fields"):
            assert getattr(part, name).tobytes() == getattr(whole, name)[start:end].tobytes(), name
        start = end


def test_many_unknown_keys() -> None:
    """Objects with hundreds of unknown keys are read, and each key is counted."""
    value = PLAIN[:-1] + b"".join(b',"k%d":%d' % (i, i) for i in range(500)) + b"}"
    assert accepted(PUMPS, one(value)) == 1
    assert PUMPS.decode(one(value)).unknown_fields.tolist() == [500]


def test_empty_batch() -> None:
    """No records, no rows."""
    assert PUMPS.decode(many([])).n == 0
