"""Which records of an output topic a fold takes for its own."""

from __future__ import annotations

import pytest

from stream_processors.runner.published import source_of

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
