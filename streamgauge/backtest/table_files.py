"""CSV and Parquet as data frames whose columns bear the definition's names; nothing is done row by row in Python."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from contracts.definition import Feed
from contracts.errors import InputError
from producers.csv_file import CsvFile
from producers.files import MISSING_TEXTS, Columns, Source
from producers.parquet_file import ParquetFile

NULLS = sorted({form for text in MISSING_TEXTS for form in (text, text.upper(), text.capitalize())} | {"NaN"})


def read_frame(feed: Feed, source: Source, chosen: Columns) -> pd.DataFrame:
    """The declared columns of a file; the entity is the file's name where no column says it.

    Raises:
        InputError: the file is damaged; the message has its path and, for CSV, the line.
    """
    names = _names(feed, chosen)
    file = source.open()
    table = _csv(file, list(names)) if isinstance(file, CsvFile) else _parquet(file, list(names))
    columns = {new: table.column(old) for old, new_names in names.items() for new in new_names}
    numeric = {number.name for number in feed.numbers}
    frame = pd.DataFrame({name: _cells(column, name in numeric, name == feed.time) for name, column in columns.items()})
    if chosen.entity is None:
        frame[feed.entity] = pd.Categorical([source.name]).repeat(len(frame))
    return frame


def _names(feed: Feed, chosen: Columns) -> dict[str, list[str]]:
    """Column of the file -> what the definition calls it; one column may be both the entity and a field."""
    pairs = [(chosen.time, feed.time), (chosen.entity, feed.entity), (chosen.id, feed.id)]
    pairs += [(old, field.name) for old, field in zip(chosen.numbers, feed.numbers, strict=True)]
    pairs += [(old, field.name) for old, field in zip(chosen.categories, feed.categories, strict=True)]
    names: dict[str, list[str]] = {}
    for old, new in pairs:
        if old is not None and new is not None:
            names.setdefault(old, []).append(new)
    return names


def _csv(file: CsvFile, asked: list[str]) -> pa.Table:
    try:
        return pyarrow.csv.read_csv(
            file.path,
            read_options=pyarrow.csv.ReadOptions(column_names=file.header, skip_rows=1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(asked, pa.string()),
                include_columns=asked,
                null_values=NULLS,
                strings_can_be_null=True,
            ),
        )
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        for _ in file.chunks(asked):  # the slow reader knows the line
            pass
        raise _unreadable(file.path, error) from error


def _parquet(file: ParquetFile, asked: list[str]) -> pa.Table:
    try:
        table = pq.read_table(file.path, columns=asked)
        table.validate(full=True)  # texts may be no UTF-8, which nobody has looked at yet
        return table
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise _unreadable(file.path, error) from error


def _cells(column: pa.ChunkedArray, number: bool, time: bool) -> pd.Series:
    """Texts of a number as numbers where all of them are; those of a time where all are epochs; other texts trimmed."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        if number or time:
            column = _as_numbers(column, [pa.int64(), pa.float64()] if time else [pa.float64()])
        else:
            column = column.dictionary_encode()
    series: pd.Series = column.to_pandas()
    return series


def _as_numbers(texts: pa.ChunkedArray, types: list[pa.DataType]) -> pa.ChunkedArray:
    """The texts cast to the first type that takes all of them."""
    texts = pc.if_else(pc.is_in(pc.utf8_lower(texts), pa.array(sorted(MISSING_TEXTS))), pa.scalar(None, texts.type), texts)
    for kind in types:
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid:
            continue
    return texts


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); repair it or leave it out")
