"""Raw batches to columns: the compiled parser for plain records, the strict way for the others."""

from __future__ import annotations

import numpy as np

from contracts.columns import Columns, RawBatch, read_only
from contracts.definition import Feed
from contracts.hashing import hash_bytes
from stream_processors.decoding.plan import make_plan
from stream_processors.decoding.record_kernel import new_scratch, parse_records
from stream_processors.decoding.strict import Decoded, decode_value


class Decoder:
    """Decodes the records of one feed. Holds no state between batches; any thread may call it.

    >>> from contracts.definition import Number
    >>> from stream_processors.decoding.batches import raw_batch
    >>> decoder = Decoder(Feed("pumps", entity="pump", time="ts", fields=[Number("temperature")]))
    >>> columns = decoder.decode(raw_batch([7], [-1], [b"p1"], [b'{"pump": "p1", "ts": 1767225600, "temperature": 21.5}']))
    >>> columns.number[0, 0], columns.event_time[0]
    (np.float64(21.5), np.int64(1767225600000000))
    """

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._plan = make_plan(feed)

    def decode(self, batch: RawBatch) -> Columns:
        """The columns of n records; never raises, whatever the bytes are. Holds the GIL only for odd records."""
        raw = RawBatch(*(read_only(column) for column in batch))  # type: ignore[arg-type]
        out = empty_columns(raw, self._plan.numbers, self._plan.categories)
        scratch = new_scratch(self._plan)
        row = parse_records(self._plan, raw, out, scratch, 0)
        while row < raw.n:
            self._decode_strictly(raw, out, row)
            row = parse_records(self._plan, raw, out, scratch, row + 1)
        return _trimmed(out)

    def decode_strictly(self, batch: RawBatch) -> Columns:
        """The same columns without the compiled parser: what `decode` is checked against, some 100 times slower."""
        out = empty_columns(batch, self._plan.numbers, self._plan.categories)
        for row in range(batch.n):
            self._decode_strictly(batch, out, row)
        return _trimmed(out)

    def _decode_strictly(self, raw: RawBatch, out: Columns, row: int) -> None:
        start, key_start = (int(raw.value_end[row - 1]), int(raw.key_end[row - 1])) if row else (0, 0)
        key = None if raw.key_null[row] else raw.keys[key_start : raw.key_end[row]].tobytes()
        value = None if raw.value_null[row] else raw.values[start : raw.value_end[row]].tobytes()
        _put_row(out, row, decode_value(self.feed, key, value))


def empty_columns(raw: RawBatch, numbers: int, categories: int) -> Columns:
    """Columns of n rows without values. The text buffers hold any texts of the batch: no text outgrows its JSON."""
    n, room = raw.n, len(raw.values)
    return Columns(
        raw.offset,
        raw.kafka_time,
        np.zeros(n, np.int64),
        np.full(n, -1, np.int64),
        np.empty(room, np.uint8),
        np.zeros(n, np.int64),
        np.zeros(n, np.uint64),
        np.zeros(n, np.int64),
        np.full((n, numbers), np.nan),
        np.zeros((n, categories), np.uint64),
        np.empty(room if categories else 0, np.uint8),
        np.zeros((n, categories), np.int64),
        np.zeros(n, np.uint64),
        np.zeros(n, np.int64),
    )


def _put_row(out: Columns, row: int, record: Decoded) -> None:
    """Writes every value of a row, as the compiled parser may have left some of a record that turned out odd."""
    out.reason[row] = record.reason
    out.reason_field[row] = record.field
    out.event_time[row] = record.event_time
    out.unknown_fields[row] = record.unknown_fields
    out.number[row] = record.numbers if record.numbers else np.nan
    out.id_hash[row] = 0 if record.id is None else hash_bytes(np.frombuffer(record.id, np.uint8), 0, len(record.id))
    start = int(out.entity_end[row - 1]) if row else 0
    end = start + len(record.entity)
    out.entity[start:end] = np.frombuffer(record.entity, np.uint8)
    out.entity_end[row] = end
    out.entity_hash[row] = hash_bytes(out.entity, start, end) if record.entity else 0
    end = int(out.category_end[row - 1, -1]) if row and out.category_end.shape[1] else 0
    for column in range(out.category_end.shape[1]):
        text = record.categories[column] if record.categories else None
        start, end = end, end + len(text or b"")
        out.category_text[start:end] = np.frombuffer(text or b"", np.uint8)
        out.category_end[row, column] = end
        out.category_hash[row, column] = 0 if text is None else hash_bytes(out.category_text, start, end)


def _trimmed(out: Columns) -> Columns:
    """Without the room that the texts did not need."""
    entity = int(out.entity_end[-1]) if out.n else 0
    text = int(out.category_end[-1, -1]) if out.category_end.size else 0
    return out._replace(entity=out.entity[:entity].copy(), category_text=out.category_text[:text].copy())
