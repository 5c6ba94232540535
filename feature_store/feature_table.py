"""What a read gave: values of many entities as columns, and what each value is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.columns import F64, I64, U8

if TYPE_CHECKING:
    import pandas as pd


class Worth(IntEnum):
    """What a value is worth at the moment of reading; where several hold, the greatest is said."""

    FRESH = 0
    PARTIAL = 1  # its window has not been filled since the entity was first seen
    STALE = 2  # the entity's newest event time is older than `max_age`
    MISSING = 3  # the entity is known, but there is no value: none in the window, expired, or of a generation before
    OTHER_DEFINITION = 4  # written under another definition: load the plant file that the worker runs
    NEVER_SEEN = 5  # no worker has folded a reading of this entity

    @property
    def word(self) -> str:
        """The text for people and JSON: ``never seen``."""
        return self.name.lower().replace("_", " ")


class FeatureValue(NamedTuple):
    """One value; NaN where its worth is MISSING or greater."""

    value: float
    worth: Worth


class EntityFeatures(NamedTuple):
    """The features of one entity. Times are µs; None where nothing was read."""

    entity: str
    event_time: int | None  # the entity's newest
    kafka_time: int | None
    age: int | None  # µs from event time to the moment of reading
    partition: int | None
    offset: int | None
    generation: int | None
    features: dict[str, FeatureValue]


@dataclass(frozen=True)
class FeatureTable:
    """Features of n entities × k features as columns; no object a value until one asks for it.

    Rows stand in the order of the entities asked for. Where `row_worth` is MISSING or greater the row holds no values, and
    event time, Kafka time, partition, offset and generation are −1 (the partition is known of a MISSING row).
    """

    entities: Sequence[str]
    features: tuple[str, ...]
    values: F64  # (n, k)
    row_worth: U8  # (n,) FRESH where a vector was read
    event_time: I64  # (n,) µs
    kafka_time: I64  # (n,) µs, −1 where the record had none
    partition: I64  # (n,)
    offset: I64  # (n,)
    generation: I64  # (n,)
    partial: U8  # (n,) bit w: window w is partial
    windows: I64  # (k,) index of each feature's window, −1 none
    now: int  # µs, the moment of reading
    max_age: int  # µs
    _worth: list[U8] = field(default_factory=list, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.entities)

    @property
    def worth(self) -> U8:
        """Worth of each value, (n, k); made at the first use."""
        if not self._worth:
            self._worth.append(_worth(self))
        return self._worth[0]

    @property
    def age(self) -> I64:
        """µs from event time to the moment of reading, (n,); −1 where nothing was read."""
        return np.where(self.event_time >= 0, self.now - self.event_time, -1)

    def __iter__(self) -> Iterator[EntityFeatures]:
        """One EntityFeatures a row."""
        columns = (self.event_time, self.kafka_time, self.partition, self.offset, self.generation, self.values, self.worth)
        for entity, *numbers, values, worth in zip(self.entities, *(column.tolist() for column in columns), strict=True):
            features = {name: FeatureValue(v, Worth(w)) for name, v, w in zip(self.features, values, worth, strict=True)}
            event_time, kafka_time, partition, offset, generation = (None if n < 0 else n for n in numbers)
            age = None if event_time is None else self.now - event_time
            yield EntityFeatures(entity, event_time, kafka_time, age, partition, offset, generation, features)

    def newest_offsets(self) -> dict[int, int]:
        """By partition the newest offset that one of its rows bears; −1 where none of them has been read."""
        newest: dict[int, int] = {}
        for partition, offset in zip(self.partition.tolist(), self.offset.tolist(), strict=True):
            if partition >= 0:
                newest[partition] = max(newest.get(partition, -1), offset)
        return newest

    def frame(self) -> pd.DataFrame:
        """A pandas frame: a row an entity (the index), columns event_time (UTC, NaT where nothing was read) and the features."""
        import pandas as pd

        frame = pd.DataFrame(self.values, index=pd.Index(self.entities, name="entity"), columns=list(self.features))
        times = self.event_time.astype("datetime64[us]")
        times[self.event_time < 0] = np.datetime64("NaT")
        frame.insert(0, "event_time", pd.DatetimeIndex(times, tz="UTC"), allow_duplicates=True)
        return frame

    def worth_frame(self) -> pd.DataFrame:
        """The same shape as `frame` without event_time, in words: fresh, partial, stale, missing, …"""
        import pandas as pd

        words = np.array([worth.word for worth in Worth], dtype=object)
        return pd.DataFrame(words[self.worth], index=pd.Index(self.entities, name="entity"), columns=list(self.features))


def _worth(table: FeatureTable) -> U8:
    worth: U8 = np.zeros(table.values.shape, np.uint8)
    if table.partial.any():
        windowed = table.windows >= 0
        partial: NDArray[np.bool_] = (table.partial[:, None] >> np.where(windowed, table.windows, 0)) & 1 == 1
        worth[partial & windowed] = Worth.PARTIAL
    worth[table.now - table.event_time > table.max_age] = Worth.STALE
    worth[np.isnan(table.values)] = Worth.MISSING
    np.maximum(worth, table.row_worth[:, None], out=worth)
    return worth
