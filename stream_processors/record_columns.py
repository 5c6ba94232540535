"""Consecutive output records as columns: no Python object a record, unless someone asks for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import overload

import numpy as np
from numpy.typing import NDArray

from contracts.columns import I64, U8
from stream_processors.log_fold import OutRecord


@dataclass(frozen=True, eq=False)
class RecordColumns(Sequence[OutRecord]):
    """m records for one partition, the first and only ones of their source records (n = 0), each with at most one header.

    Args:
        partition: of the topic.
        offset: (m,) of the source records.
        keys, key_start, key_end: a buffer, and where in it each record's key is.
        values, value_end: a buffer, and where in it each record's value ends; it begins where the one before ends.
        header: name of the header.
        header_values: (m, w) bytes.
        has_header: (m,) bool.
    """

    partition: int
    offset: I64
    keys: U8
    key_start: I64
    key_end: I64
    values: U8
    value_end: I64
    header: str
    header_values: U8
    has_header: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offset)

    @overload
    def __getitem__(self, at: int) -> OutRecord: ...
    @overload
    def __getitem__(self, at: slice) -> list[OutRecord]: ...
    def __getitem__(self, at: int | slice) -> OutRecord | list[OutRecord]:
        if isinstance(at, slice):
            return list(self)[at]
        row = range(len(self))[at]
        start = int(self.value_end[row - 1]) if row else 0
        header = ((self.header, self.header_values[row].tobytes()),) if self.has_header[row] else ()
        key = self.keys[self.key_start[row] : self.key_end[row]].tobytes()
        return OutRecord(int(self.offset[row]), 0, self.partition, key, self.values[start : self.value_end[row]].tobytes(), header)

    def __iter__(self) -> Iterator[OutRecord]:
        keys, values, width = self.keys.tobytes(), self.values.tobytes(), self.header_values.shape[1]
        packed = self.header_values.tobytes()
        headers = [
            ((self.header, packed[at : at + width]),) if has else ()
            for at, has in zip(range(0, len(self) * width, width) if width else repeat(0), self.has_header.tolist(), strict=False)
        ]
        ends = self.value_end.tolist()
        return map(
            OutRecord,
            self.offset.tolist(),
            repeat(0),
            repeat(self.partition),
            [keys[start:end] for start, end in zip(self.key_start.tolist(), self.key_end.tolist(), strict=True)],
            [values[start:end] for start, end in zip([0, *ends], ends, strict=False)],
            headers,
        )
