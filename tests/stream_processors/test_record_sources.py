"""Which records of an output topic a fold takes for its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.ids import parse_id
from stream_processors.decoding.batches import raw_batch
from stream_processors.record_sources import source_of, sources_of

PREFIX = "pumps/1/0/"


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (b'{"id":"pumps/1/0/812/score/3","entity":"a"}', (812, 3)),
        (b'{"kind":"example","id":"pumps/1/0/7/example/0"}', (7, 0)),
        (b'{"id":"pumps/1/0/812/idle/0"}', None),
        (b'{"id":"pumps/2/0/812/score/3"}', None),
        (b'{"id":"pumps/1/0/812/score"}', None),
        (b'{"id":"pumps/1/0/812/score/3/4"}', None),
        (b'{"id":"pumps/1/0/many/score/3"}', None),
        (b'{"id":"pumps/1/0/\xff/score/3"}', None),
        (b'{"entity":"a","id":"pumps/1/0/812/score/3"}', None),
        (b"\xff", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_strangers_record_is_passed_over(value: bytes | None, source: tuple[int, int] | None) -> None:
    """Records of others, observations of the timer, and ids that are none stop neither a takeover nor a verification."""
    assert source_of(value, PREFIX) == source


def plain(value: bytes) -> tuple[int, int] | None:
    """The same by a regular expression and the parser of ids."""
    found = re.match(rb'\{(?:"kind":"[a-z]+",)?"id":"([^"]*)"', value)
    try:
        name = found[1].decode() if found else ""
        offset, kind, n = parse_id(name)[3:]
    except ValueError:
        return None
    return (offset, n) if name.startswith(PREFIX) and kind != "idle" else None


PARTS = st.lists(
    st.sampled_from(["{", '"id":"', '"kind":"', "pumps/1/0/", "12", "0", "/", "score", "idle", "i", '"', ",", '",', "}"]), max_size=12
)
SHAPES = st.tuples(
    st.sampled_from(["{", '{"kind":"example",', '{"kind":"",', '{"kind":"a"', " {"]),
    st.sampled_from(['"id":"pumps/1/0/', '"id":"pumps/1/1/', '"id":"pumps/1/', '"id":"', '"ID":"pumps/1/0/']),
    st.sampled_from(["812", "0", "", "x", "123456789012345678"]),
    st.sampled_from(["/score/", "/idle/", "/idler/", "//", "/", "/sc/ore/"]),
    st.sampled_from(["3", "", "0", "3x", "007"]),
    st.sampled_from(['"}', "", '"', '","entity":"a"}']),
)


@settings(deadline=None)  # the first example may compile
@given(st.lists(st.one_of(PARTS.map("".join), SHAPES.map("".join)).map(str.encode), max_size=20))
def test_a_batch_is_read_as_its_records_are_one_by_one_the_plain_way(values: list[bytes]) -> None:
    """The compiled reader finds in a batch what a regular expression and the parser of ids find in each record."""
    found = sources_of(raw_batch(range(len(values)), [-1] * len(values), [None] * len(values), list(values)), PREFIX)
    assert [tuple(row) for row in found.tolist()] == [source for value in values if (source := plain(value))]
    assert [source_of(value, PREFIX) for value in values] == [plain(value) for value in values]
