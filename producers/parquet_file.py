"""Parquet files as columns, a chunk at a time, each row with its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import InputError
from producers.coded_texts import CodedTexts
from producers.csv_file import CHUNK_ROWS, Cells, RawChunk
from producers.signals import F64, I64


class ParquetFile:
    """A Parquet file; rows count as lines, from 1.

    Raises:
        InputError: the file cannot be read as Parquet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with pq.ParquetFile(path) as file:
                self.header = [str(name) for name in file.schema_arrow.names]
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise InputError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error

    def chunks(self, columns: Sequence[str], rows: int = CHUNK_ROWS) -> Iterator[RawChunk]:
        """The asked columns, in that order: timestamps as µs (nulls −1), numbers as float64 (nulls NaN), all else, and
        integers of 64 bits, as text.

        Raises:
            InputError: the file is damaged further on.
        """
        first = 1
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=rows, columns=list(columns)):
                    count = batch.num_rows
                    found = [_column(batch.column(batch.schema.get_field_index(name))) for name in columns]
                    yield RawChunk(first + np.arange(count, dtype=np.int64), found)
                    first += count
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise InputError(f"{self.path}:{first}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error


def _column(array: Any) -> Cells:
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        whole = array.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        out: I64 = whole.fill_null(-1).to_numpy(zero_copy_only=False)
        return out
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if pa.types.is_integer(kind) and kind.bit_width == 64:  # an id or an epoch of more than 53 bits is no float64
            return ["" if value is None else str(value) for value in array.to_pylist()]
        numbers: F64 = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        return numbers
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = array.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        return CodedTexts(coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False).astype(np.int64), [*texts, ""])
    return ["" if value is None else _text(value) for value in array.to_pylist()]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
