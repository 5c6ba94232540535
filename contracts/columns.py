"""The input of a stream fold: raw records as one buffer, and the columns that decoding makes of them."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
A = TypeVar("A", bound=NDArray[np.generic])


def read_only(array: A) -> A:
    """The same memory under one array type: a kernel is then compiled once, and not for each maker of its inputs."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view  # type: ignore[return-value]


class RawBatch(NamedTuple):
    """Consecutive records of one partition, in offset order, as bytes.

    Shapes: n records. `key_end[i]` and `value_end[i]` are where record i ends in its buffer; it begins where the one
    before ends. A null key has `key_null[i]` = 1, a tombstone `value_null[i]` = 1.
    """

    offset: I64  # (n,)
    kafka_time: I64  # (n,) the record's Kafka timestamp in µs; -1 where there is none
    keys: U8
    key_end: I64  # (n,)
    key_null: U8  # (n,)
    values: U8
    value_end: I64  # (n,)
    value_null: U8  # (n,)

    @property
    def n(self) -> int:
        """Records."""
        return len(self.offset)

    def cut(self, offset: int) -> tuple[RawBatch, RawBatch]:
        """The records before an offset, and those from it on; either may be empty. Buffers are shared, not copied."""
        return self._part(0, at := int(np.searchsorted(self.offset, offset))), self._part(at, self.n)

    def _part(self, first: int, last: int) -> RawBatch:
        def some(buffer: U8, ends: I64) -> tuple[U8, I64]:
            begin, end = (int(ends[i - 1]) if i else 0 for i in (first, last))
            return buffer[begin:end], ends[first:last] - begin

        keys, values = some(self.keys, self.key_end), some(self.values, self.value_end)
        rows = slice(first, last)
        return RawBatch(self.offset[rows], self.kafka_time[rows], *keys, self.key_null[rows], *values, self.value_null[rows])


class Columns(NamedTuple):
    """Decoded records of one partition: k numeric and c category fields, in the definition's order.

    `number` holds NaN where the value is missing or null and ±inf where it was understood but is not finite
    (a JSON ``NaN`` is put down as +inf): impossible, not missing. Ranges are applied by the fold, not here.
    `category_hash` is `hash_bytes` of the UTF-8 text, 0 where missing. `reason` is 0 or the Reason of the dead letter;
    the columns of such a row hold nothing of use.
    """

    offset: I64  # (n,)
    kafka_time: I64  # (n,) µs, -1 none
    reason: I64  # (n,) Reason
    reason_field: I64  # (n,) index into definition.fields, -1 none
    entity: U8  # buffer of entity names, UTF-8
    entity_end: I64  # (n,)
    entity_hash: U64  # (n,) hash_bytes of the name
    event_time: I64  # (n,) µs
    number: F64  # (n, k)
    category_hash: U64  # (n, c)
    category_text: U8  # buffer: texts of the categories, row by row, field by field
    category_end: I64  # (n, c)
    id_hash: U64  # (n,) hash of the reading's own id where the definition names one, else 0
    unknown_fields: I64  # (n,) how many keys of the object the definition does not name

    @property
    def n(self) -> int:
        """Records."""
        return len(self.offset)
