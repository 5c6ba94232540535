"""Raw batches out of lists of records, for consumers that hand over Python objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from contracts.columns import I64, U8, RawBatch


def raw_batch(
    offsets: Sequence[int] | I64, times_us: Sequence[int] | I64, keys: list[bytes | None], values: list[bytes | None]
) -> RawBatch:
    """n consecutive records of one partition as one buffer of keys and one of values.

    `times_us` are Kafka timestamps in µs, -1 where there is none; a None key is null, a None value a tombstone.
    """
    return RawBatch(np.asarray(offsets, np.int64), np.asarray(times_us, np.int64), *_joined(keys), *_joined(values))


def fetched_batch(records: Sequence[Any]) -> RawBatch:
    """Consecutive records of one partition as an aiokafka consumer hands them over; its timestamps are in ms."""
    return raw_batch(
        [r.offset for r in records], [r.timestamp * 1000 for r in records], [r.key for r in records], [r.value for r in records]
    )


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
