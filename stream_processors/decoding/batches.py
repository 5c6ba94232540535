"""Raw batches out of lists of records, for consumers that hand over Python objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from contracts.columns import I64, U8, RawBatch

GREATEST_MS = 2**62 // 1000  # a later Kafka timestamp is put down as this: in µs it would not fit, with room to add to it


class Fetched(NamedTuple):
    """What was passed of a partition between two offsets, start ≤ offset < next_offset, which may hold no record.

    next_offset − start = records + control records + gaps, where gaps are the offsets of aborted transactions and those that
    compaction or retention emptied.
    """

    start: int
    next_offset: int
    batch: RawBatch
    control: I64  # offsets of control records, which end transactions
    gaps: int

    def cut(self, offset: int) -> tuple[Fetched, Fetched]:
        """What lies before an offset between start and next_offset, and the rest."""
        before, rest = self.batch.cut(offset)
        control = int(np.searchsorted(self.control, offset))
        gaps = offset - self.start - before.n - control
        return (
            Fetched(self.start, offset, before, self.control[:control], gaps),
            Fetched(offset, self.next_offset, rest, self.control[control:], self.gaps - gaps),
        )


def raw_batch(
    offsets: Sequence[int] | I64, times_us: Sequence[int] | I64, keys: list[bytes | None], values: list[bytes | None]
) -> RawBatch:
    """n consecutive records of one partition as one buffer of keys and one of values.

    `times_us` are Kafka timestamps in µs, -1 where there is none; a None key is null, a None value a tombstone.
    """
    return RawBatch(np.asarray(offsets, np.int64), np.asarray(times_us, np.int64), *_joined(keys), *_joined(values))


def plain_batch(records: Sequence[Any]) -> RawBatch:
    """Consecutive records of one partition as aiokafka makes them, times in ms: negative, and None in old formats, where there is none."""
    times = [-1 if r.timestamp is None or r.timestamp < 0 else min(r.timestamp, GREATEST_MS) * 1000 for r in records]
    return raw_batch([r.offset for r in records], times, [r.key for r in records], [r.value for r in records])


def keys_and_values(batch: RawBatch) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Each record's key and value, None where it has none."""
    keys, values = batch.keys.tobytes(), batch.values.tobytes()
    key_at = value_at = 0
    columns = (batch.key_end.tolist(), batch.key_null.tolist(), batch.value_end.tolist(), batch.value_null.tolist())
    for key_end, no_key, value_end, no_value in zip(*columns, strict=True):
        yield None if no_key else keys[key_at:key_end], None if no_value else values[value_at:value_end]
        key_at, value_at = key_end, value_end


def plain_fetched(batch: RawBatch) -> Fetched:
    """What is known where only records are handed over: from the first to the last of them, control records among the gaps."""
    start, next_offset = int(batch.offset[0]), int(batch.offset[-1]) + 1
    return Fetched(start, next_offset, batch, np.zeros(0, np.int64), int((np.diff(batch.offset) - 1).sum()))


def _joined(parts: list[bytes | None]) -> tuple[U8, I64, U8]:
    """(bytes one after another, where each ends, 1 where it is None)."""
    null = np.zeros(len(parts), np.uint8)
    try:
        joined = b"".join(parts)  # type: ignore[arg-type]
    except TypeError:  # a None among them; rare, so that the common case need not look for it
        null = np.fromiter((part is None for part in parts), np.uint8, len(parts))
        parts = [part or b"" for part in parts]
        joined = b"".join(parts)  # type: ignore[arg-type]
    ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))  # type: ignore[arg-type]
    return np.frombuffer(joined, np.uint8), ends, null
