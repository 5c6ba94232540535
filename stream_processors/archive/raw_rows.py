"""What was passed of a partition as Parquet and back: records and control records as rows, the offsets without a row as gaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.columns import I64, U8, RawBatch
from contracts.errors import HistoryError
from feature_store.history_rows import TIME, parquet_bytes
from stream_processors.decoding.batches import Fetched, raw_batch

END_KEY = b"streamgauge.end"
SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("control", pa.bool_(), nullable=False),  # the broker's own record, which ends a transaction: no time, key or value
        pa.field("kafka_time", TIME),  # null where the record has none
        pa.field("key", pa.large_binary()),  # large: a cut may hold more than 2 GB
        pa.field("value", pa.large_binary()),
    ]
)


def encode_rows(passed: Sequence[Fetched], end: int) -> bytes:
    """Consecutive parts of a log up to the offset `end` as a Parquet file."""
    batch = join_batches([part.batch for part in passed])
    control = np.concatenate([np.zeros(0, np.int64), *(part.control for part in passed)])
    records = pa.Table.from_arrays(
        [
            pa.array(batch.offset),
            pa.array(np.zeros(batch.n, bool)),
            pa.array(batch.kafka_time, mask=batch.kafka_time < 0).cast(TIME),
            _texts(batch.keys, batch.key_end, batch.key_null),
            _texts(batch.values, batch.value_end, batch.value_null),
        ],
        schema=SCHEMA,
    )
    nothing = [pa.nulls(len(control), SCHEMA.field(name).type) for name in ("kafka_time", "key", "value")]
    ends = pa.Table.from_arrays([pa.array(control), pa.array(np.ones(len(control), bool)), *nothing], schema=SCHEMA)
    table = pa.concat_tables([records, ends])
    if len(control):
        table = table.take(pa.array(np.argsort(np.concatenate([batch.offset, control]))))
    return parquet_bytes(table.replace_schema_metadata({END_KEY: b"%d" % end}), checksums=True)


def decode_rows(data: bytes, first: int, path: str) -> Fetched:
    """The file at `path`, whose cut begins at `first`, as a fold gets it.

    Raises:
        HistoryError: it is damaged, or no file of a log.
    """
    try:
        table = pq.read_table(pa.BufferReader(data), partitioning=None, page_checksum_verification=True).combine_chunks()
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise HistoryError(f"{path} cannot be read ({str(error).splitlines()[0]}); remove it and archive it again") from error
    end = (table.schema.metadata or {}).get(END_KEY)
    if end is None or not table.schema.equals(SCHEMA):
        raise HistoryError(f"{path} is no file of a log as this version of streamgauge writes it; take it out of the history")
    control = table["control"].to_numpy()
    offsets = table["offset"].to_numpy()
    if not end.isdigit() or not _rises(offsets, first, int(end)):
        raise HistoryError(f"{path} has offsets that do not rise from {first} to its end; remove it and archive it again")
    rows = table.filter(pa.array(~control)).combine_chunks() if control.any() else table
    times = rows["kafka_time"].cast(pa.int64()).fill_null(-1).to_numpy()
    batch = RawBatch(offsets[~control], times, *_pieces(rows["key"]), *_pieces(rows["value"]))
    return Fetched(first, int(end), batch, offsets[control], int(end) - first - len(offsets))


def _rises(offsets: I64, first: int, end: int) -> bool:
    """first ≤ offset < end, each above the one before: what checksums of pages do not tell."""
    return (
        bool((np.diff(offsets) > 0).all()) and (not len(offsets) or (first <= int(offsets[0]) and int(offsets[-1]) < end)) and first <= end
    )


def join_batches(batches: Sequence[RawBatch]) -> RawBatch:
    """Consecutive batches as one."""
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return raw_batch([], [], [], [])
    columns = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in RawBatch._fields}
    for buffer, ends in (("keys", "key_end"), ("values", "value_end")):
        before = np.cumsum([0, *(len(getattr(batch, buffer)) for batch in batches[:-1])])
        columns[ends] = columns[ends] + np.repeat(before, [batch.n for batch in batches])
    return RawBatch(**columns)


def _texts(buffer: U8, ends: I64, null: U8) -> pa.Array:
    n = len(ends)
    bounds = np.concatenate([np.zeros(1, np.int64), ends])
    known = pa.py_buffer(np.packbits(null == 0, bitorder="little")) if null.any() else None
    return pa.Array.from_buffers(pa.large_binary(), n, [known, pa.py_buffer(bounds), pa.py_buffer(np.ascontiguousarray(buffer))])


def _pieces(column: pa.ChunkedArray) -> tuple[U8, I64, U8]:
    """(bytes one after another, where each ends, 1 where it is null)."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.large_binary())
    _, bounds, data = array.buffers()
    ends = np.frombuffer(bounds, np.int64)[array.offset : array.offset + len(array) + 1] if bounds else np.zeros(1, np.int64)
    texts = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    null = array.is_null().to_numpy(zero_copy_only=False).astype(np.uint8)
    return texts[ends[0] : ends[-1]], ends[1:] - ends[0], null
