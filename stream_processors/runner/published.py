"""What a predecessor has already put on an output partition, so that exactly that is not sent again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.columns import I64
from contracts.errors import ServerUnavailable
from contracts.ids import parse_id
from stream_processors.log_ends import end_offset
from stream_processors.log_fold import OutRecord

READ_TIMEOUT = 60.0  # seconds; a transaction left open holds read-committed readers until the broker ends it


_ID = re.compile(rb'\{(?:"kind":"[a-z]+",)?"id":"([^"]*)"')  # where several kinds share a topic, the kind stands first


class Published:
    """Ids that stand on one output partition already; 16 bytes each, since a fold from far back finds many.

    Args:
        start, end: positions on the output partition from and to which it was read.
        offsets, numbers: (m,) source offset and n of each id.
    """

    def __init__(self, start: int, end: int, offsets: I64, numbers: I64) -> None:
        order = np.argsort(offsets, kind="stable")
        self.start, self.end = start, end
        self._offsets, self._numbers = offsets[order], numbers[order]

    @property
    def last(self) -> int:
        """The greatest source offset; −1 where there is none."""
        return int(self._offsets[-1]) if len(self._offsets) else -1

    def passed(self, next_offset: int) -> bool:
        """Whether a fold that stands at `next_offset` gives none of them any more."""
        return self.last < next_offset

    def without(self, items: Sequence[OutRecord]) -> Sequence[OutRecord]:
        """Those of consecutive outputs that are not there yet."""
        if not items:
            return items
        first = np.searchsorted(self._offsets, items[0].offset, "left")
        last = np.searchsorted(self._offsets, items[-1].offset, "right")
        there = set(zip(self._offsets[first:last].tolist(), self._numbers[first:last].tolist(), strict=True))
        return [item for item in items if (item.offset, item.n) not in there]


async def find_published(consumer: AIOKafkaConsumer, topic: str, partition: int, start: int, prefix: str, first: int) -> Published:
    """Every record from position `start` to the end whose id begins with `prefix` and whose source offset is ≥ `first`.

    `consumer` belongs to no group and reads committed records only.

    Raises:
        ServerUnavailable: the tail could not be read in time.
    """
    place = TopicPartition(topic, partition)
    end = await end_offset(consumer, place)
    start = max(start, (await consumer.beginning_offsets([place]))[place])
    found: list[I64] = [np.zeros((0, 2), np.int64)]
    position = start
    if position < end:
        consumer.assign([place])
        consumer.seek(place, position)
    loop = asyncio.get_running_loop()
    moved = loop.time()
    while position < end:
        for records in (await consumer.getmany(place, timeout_ms=200, max_records=10_000)).values():
            ids = [at for record in records if (at := source_of(record.value, prefix)) and at[0] >= first]
            found.append(np.array(ids, np.int64).reshape(-1, 2))
        if (now := await consumer.position(place)) > position:
            position, moved = now, loop.time()
        if loop.time() - moved > READ_TIMEOUT:
            raise ServerUnavailable(f"{topic} partition {partition}: no record from offset {position} on within {READ_TIMEOUT:.0f} s")
    ids_found = np.concatenate(found)
    return Published(start, end, ids_found[:, 0], ids_found[:, 1])


def source_of(value: bytes | None, prefix: str) -> tuple[int, int] | None:
    """(source offset, n) of an output of the fold; None for other records and for observations of the owner's timer."""
    found = _ID.match(value) if value is not None else None
    name = found[1].decode(errors="replace") if found else ""
    if not name.startswith(prefix):
        return None
    try:
        _, _, _, offset, kind, n = parse_id(name)
    except ValueError:
        return None  # a stranger's
    return None if kind == "idle" else (offset, n)


def is_of_generation_before(value: bytes | None, prefix: str) -> bool:
    """Whether a record is an output of the place whose ids begin with `prefix`, of a lower generation."""
    found = _ID.match(value) if value is not None else None
    try:
        feed, generation, place, *_ = parse_id(found[1].decode()) if found else ("", 0, "")
    except (ValueError, UnicodeDecodeError):
        return False
    own_feed, own_generation, own_place, _ = prefix.split("/")
    return (feed, place) == (own_feed, own_place) and generation < int(own_generation)
