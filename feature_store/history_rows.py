"""Rows of the history as columns, and as Parquet bytes that are the same whoever writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.columns import F64, I64
from contracts.definition import Feed
from contracts.errors import HistoryError
from feature_store.feature_columns import feature_names

if TYPE_CHECKING:
    import pandas as pd  # a worker writes rows and makes no frames; the import takes a tenth of its start

TIME = pa.timestamp("us", "UTC")
DEFINITION_KEY = b"streamgauge.definition"
ZSTD_LEVEL = 3  # higher levels cost several times the processor time for a few per cent of size

HEAD = (
    pa.field("entity", pa.string(), nullable=False),
    pa.field("event_time", TIME, nullable=False),
    pa.field("as_of", TIME, nullable=False),  # the entity's newest event time, of which the vector speaks
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("generation", pa.int64(), nullable=False),
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("revision", pa.int32(), nullable=False),
    pa.field("score", pa.float64()),
    pa.field("p_value", pa.float64()),
    pa.field("model", pa.string(), nullable=False),
    pa.field("flags", pa.string(), nullable=False),  # joined by commas
    pa.field("logged", pa.bool_(), nullable=False),  # false where log_vectors= thinned the vector out: its features are null
)
HEAD_NAMES = tuple(field.name for field in HEAD)


Texts: TypeAlias = Sequence[str] | pa.StringArray  # an Arrow column where the rows were never Python objects


class HistoryRows(NamedTuple):
    """n rows of one partition and D features, in the order of their offsets."""

    entity: Texts
    event_time: I64  # (n,) µs
    as_of: I64  # (n,) µs
    offset: I64  # (n,)
    score: F64  # (n,) NaN none
    p_value: F64  # (n,) NaN none
    model: Texts
    flags: Texts
    logged: NDArray[np.bool_]  # (n,)
    vector: F64  # (n, D) NaN no value; whatever where not logged


def empty_rows(feed: Feed) -> HistoryRows:
    """No rows: a cut in which nothing was folded has a file too, so that a listing shows how far the history goes."""
    none, nothing = np.zeros(0, np.int64), np.zeros(0)
    return HistoryRows([], none, none, none, nothing, nothing, [], [], np.zeros(0, bool), np.zeros((0, len(feature_names(feed)))))


def choose_rows(rows: HistoryRows, chosen: I64) -> HistoryRows:
    """The rows at these places, shape (m,), in that order."""
    places = pa.array(chosen)
    return HistoryRows(
        _text_column(rows.entity).take(places),
        rows.event_time[chosen],
        rows.as_of[chosen],
        rows.offset[chosen],
        rows.score[chosen],
        rows.p_value[chosen],
        _text_column(rows.model).take(places),
        _text_column(rows.flags).take(places),
        rows.logged[chosen],
        rows.vector[chosen],
    )


def join_rows(parts: Sequence[HistoryRows]) -> HistoryRows:
    """One or more parts one after another."""
    return HistoryRows(
        pa.concat_arrays([_text_column(part.entity) for part in parts]),
        np.concatenate([part.event_time for part in parts]),
        np.concatenate([part.as_of for part in parts]),
        np.concatenate([part.offset for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.p_value for part in parts]),
        pa.concat_arrays([_text_column(part.model) for part in parts]),
        pa.concat_arrays([_text_column(part.flags) for part in parts]),
        np.concatenate([part.logged for part in parts]),
        np.concatenate([part.vector for part in parts]),
    )


def history_schema(feed: Feed) -> pa.Schema:
    """The columns of a feed's history; the metadata name the definition."""
    features = [pa.field(name, pa.float64()) for name in feature_names(feed)]
    return pa.schema([*HEAD, *features], metadata={DEFINITION_KEY: feed.hash.encode()})


def history_table(feed: Feed, rows: HistoryRows, generation: int, partition: int, revision: int) -> pa.Table:
    """The rows as a table."""
    n = len(rows.offset)
    thinned = None if rows.logged.all() else ~rows.logged
    columns = [
        _text_column(rows.entity),
        pa.array(rows.event_time).cast(TIME),
        pa.array(rows.as_of).cast(TIME),
        pa.array(rows.offset),
        pa.array(np.full(n, generation, np.int64)),
        pa.array(np.full(n, partition, np.int32)),
        pa.array(np.full(n, revision, np.int32)),
        pa.array(rows.score, mask=np.isnan(rows.score)),
        pa.array(rows.p_value, mask=np.isnan(rows.p_value)),
        _text_column(rows.model),
        _text_column(rows.flags),
        pa.array(rows.logged),
    ]
    features = np.ascontiguousarray(rows.vector.T)
    columns += [pa.array(column, mask=thinned) for column in features]
    return pa.Table.from_arrays(columns, schema=history_schema(feed))


def _text_column(texts: Texts) -> pa.StringArray:
    return texts if isinstance(texts, pa.StringArray) else pa.array(texts, pa.string())


def parquet_bytes(table: pa.Table, checksums: bool = False) -> bytes:
    """A table as Parquet: one row group, no time of writing; equal tables give equal bytes within one version of pyarrow.

    With `checksums` each page bears one: of what stands nowhere else a flipped bit must be noticed.
    """
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        version="2.6",
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        row_group_size=max(table.num_rows, 1),
        use_dictionary=texts,
        write_statistics=True,
        data_page_version="1.0",
        store_schema=True,
        write_page_checksum=checksums,
    )
    return bytes(sink.getvalue())


def definition_of(schema: pa.Schema, path: str) -> str:
    """The definition's hash in a file's metadata; raises HistoryError where it has none."""
    found = (schema.metadata or {}).get(DEFINITION_KEY)
    if found is None:
        raise HistoryError(f"{path} was not written by streamgauge: it names no definition; take it out of the history")
    return str(found.decode())


def vectors_of(feed: Feed, blobs: Sequence[bytes | None], where: str) -> tuple[F64, NDArray[np.bool_]]:
    """(n, D) values and (n,) which were logged, from packed vectors (little-endian float64); None gives NaN.

    Raises:
        HistoryError: a vector has another number of values than the definition has features.
    """
    width = 8 * len(feature_names(feed))
    logged = np.fromiter((blob is not None for blob in blobs), bool, len(blobs))
    if any(blob is not None and len(blob) != width for blob in blobs):
        raise HistoryError(f"{where}: a vector has not the {width // 8} values of this definition; use the plant file it was folded with")
    if logged.all():
        packed = b"".join(blobs)  # type: ignore[arg-type]
    else:
        blank = np.full(width // 8, np.nan).tobytes()
        packed = b"".join(blank if blob is None else blob for blob in blobs)
    return np.frombuffer(packed, "<f8").reshape(len(blobs), width // 8), logged


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A table as a pandas frame: times in µs UTC, missing numbers NaN."""
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame
