"""Ids of records, made from the source offset alone: `<feed>/<generation>/<partition>/<offset>/<kind>/<n>`.

`partition` is a number for a stream fold; a fold over a one-partition log (the judge) writes the log's name instead,
as in ``pumps/1/evidence/812/alert/0``. The same log gives the same ids, so a consumer can drop a repeat.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_ID_CHARACTERS = 512  # a feed's name has 64 at most, a place a few more; what remembers ids must not grow with a stranger's
MAX_NUMBER = 2**62  # a greater offset is none of Kafka's, and beyond 64 bits it could not be kept as state


class RecordId(NamedTuple):
    """The parts of an id; `str()` of it is the id."""

    feed: str
    generation: int
    partition: str
    offset: int
    kind: str
    n: int

    def __str__(self) -> str:
        return f"{self.feed}/{self.generation}/{self.partition}/{self.offset}/{self.kind}/{self.n}"


def parse_id(text: str) -> RecordId:
    """The parts of an id.

    Raises:
        ValueError: the text is not an id.
    """
    if len(text) > MAX_ID_CHARACTERS:
        raise ValueError(f"an id of {len(text)} characters is none of ours")
    feed, generation, partition, offset, kind, n = text.split("/")
    found = RecordId(feed, int(generation), partition, int(offset), kind, int(n))
    if max(abs(found.generation), abs(found.offset), abs(found.n)) > MAX_NUMBER:
        raise ValueError(f"the numbers of the id {text!r} are none of ours")
    return found


def is_id(text: str) -> bool:
    """Whether the text is an id."""
    try:
        parse_id(text)
    except ValueError:
        return False
    return True
