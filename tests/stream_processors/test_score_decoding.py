"""Records of scores topics: those of the feed are read, a stranger's are passed over."""

from __future__ import annotations

import msgspec
import pytest

from contracts.definition import Feed, Number
from contracts.records import Score
from stream_processors.archive.score_decoding import decode_scores

FEED = Feed("pumps", entity="pump", time="ts", fields=[Number("x")])


def score(name: str) -> bytes:
    return msgspec.json.encode(Score(id=name, entity="a", event_time=1, score=None, p_value=None, model="m/1"))


OURS = score("pumps/1/0/7/score/0")


@pytest.mark.parametrize(
    "stranger",
    [
        None,
        b"",
        b"{}",
        b'{"id":"\xff"}',
        score("pumps/1/0/many/score/0"),
        score("pumps/1/labels/7/score/0"),
        score("pumps/1/0/7/score"),
        score("fans/1/0/7/score/0"),
        OURS + b"," + OURS,
    ],
)
def test_a_strangers_record_is_passed_over(stranger: bytes | None) -> None:
    """Whatever stands between two scores, both are read, each with its own vector and position."""
    found = decode_scores(FEED, [OURS, stranger, OURS], [b"one", None, b"two"], [4, 5, 6])
    assert [(s.generation, s.partition, s.offset, s.vector, s.position) for s in found] == [(1, 0, 7, b"one", 4), (1, 0, 7, b"two", 6)]
