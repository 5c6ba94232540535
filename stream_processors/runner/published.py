"""What a predecessor has already put on an output partition, so that exactly that is not sent again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from aiokafka import TopicPartition

from contracts.columns import I64
from stream_processors.log_ends import end_offset
from stream_processors.log_fold import OutRecord
from stream_processors.record_columns import RecordColumns
from stream_processors.record_sources import sources_of
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.verification.log_reader import read_batches


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
        offsets, numbers = self._offsets[first:last], self._numbers[first:last]
        if isinstance(items, RecordColumns):
            there = np.isin(items.offset, offsets[numbers == 0])
            if there.all():  # as nearly always amid a fold from far back: then no object a record is made
                return []
            return [item for item, known in zip(items, there.tolist(), strict=True) if not known]
        ids = set(zip(offsets.tolist(), numbers.tolist(), strict=True))
        return [item for item in items if (item.offset, item.n) not in ids]


async def find_published(consumer: PlainConsumer, topic: str, partition: int, start: int, prefix: str, first: int) -> Published:
    """Every record from position `start` to the end whose id begins with `prefix` and whose source offset is ≥ `first`.

    `consumer` belongs to no group and reads committed records only.

    Raises:
        ServerUnavailable: the tail could not be read in time.
    """
    place = TopicPartition(topic, partition)
    end = await end_offset(consumer, place)
    start = max(start, (await consumer.beginning_offsets([place]))[place])
    found = [np.zeros((0, 2), np.int64)]
    async for fetched in read_batches(consumer, topic, partition, start, end):
        ids = sources_of(fetched.batch, prefix)
        found.append(ids[ids[:, 0] >= first])
    all_ids = np.concatenate(found)
    return Published(start, end, all_ids[:, 0], all_ids[:, 1])
