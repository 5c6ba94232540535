"""Ids of records, made from the source offset alone: `<feed>/<generation>/<partition>/<offset>/<kind>/<n>`.

`partition` is a number for a stream fold; a fold over a one-partition log (the judge) writes the log's name instead,
as in ``pumps/1/evidence/812/alert/0``. The same log gives the same ids, so a consumer can drop a repeat.
"""

from __future__ import annotations

from typing import NamedTuple


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
    feed, generation, partition, offset, kind, n = text.split("/")
    return RecordId(feed, int(generation), partition, int(offset), kind, int(n))
