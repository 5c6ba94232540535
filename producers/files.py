"""Files of readings, CSV and Parquet: which there are, which of their columns mean what, and their rows."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from contracts.definition import Feed
from contracts.errors import InputError
from contracts.event_time import MAX_EVENT_TIME, parse_event_time
from producers.coded_texts import CodedTexts, Objects
from producers.csv_file import CHUNK_ROWS, Cells, CsvFile, RawChunk
from producers.parquet_file import ParquetFile
from producers.signals import F64, I64

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
MISSING_TEXTS = frozenset({"", "na", "n/a", "nan", "null", "none", "nil", "-"})


class Source(NamedTuple):
    """A file, and its path below the root without the suffix (``valve1/0``): its entity, where no column names one."""

    path: Path
    name: str

    def open(self) -> CsvFile | ParquetFile:
        """The file, its header read; raises InputError where it can't be."""
        return ParquetFile(self.path) if self.path.suffix in (".parquet", ".pq") else CsvFile(self.path)


class Columns(NamedTuple):
    """Which column of a file is what; None where the file has none."""

    time: str
    entity: str | None  # None: the source's name
    id: str | None
    numbers: list[str | None]  # of the definition's numeric fields, in order
    categories: list[str | None]


class Rows(NamedTuple):
    """Rows that have been understood; n rows."""

    source: int  # index of the file
    line: I64  # (n,)
    event_time: I64  # (n,) µs
    entity: Objects  # (n,) str
    id: Objects  # (n,) str or None
    numbers: F64  # (n, k), NaN where missing
    categories: Objects  # (n, c) str or None

    def taken(self, rows: Any) -> Rows:
        """The rows at an index or a slice."""
        return Rows(self.source, *(column[rows] for column in self[1:]))


def find_files(patterns: Sequence[str | Path]) -> list[Source]:
    """Files named one by one, by globs (``**`` goes into directories), or by directories; each once, in order of path.

    The root of a directory is itself, of a glob the part before its first wildcard; files named one by one share the
    deepest directory above them all.

    Raises:
        InputError: nothing is found, a suffix is unknown, or two files would have one name.
    """
    found: dict[Path, Path] = {}  # file -> root
    single: list[Path] = []
    for pattern in map(str, patterns):
        path = Path(pattern)
        if path.is_dir():
            found |= {file: path for file in sorted(path.rglob("*")) if file.suffix in SUFFIXES and file.is_file()}
        elif path.is_file():
            single.append(path)
        else:
            found |= {file: _fixed_part(pattern) for file in sorted(map(Path, glob.glob(pattern, recursive=True))) if file.is_file()}  # noqa: PTH207 - Path.glob takes no absolute pattern
    if single:
        root = Path(os.path.commonpath([file.parent.absolute() for file in single]))
        found |= dict.fromkeys(single, root)
    if not found:
        raise InputError(f"no file matches {', '.join(map(str, patterns))}; name CSV or Parquet files, a directory, or a quoted glob")
    sources = sorted({Source(file, _name(file, root)) for file, root in found.items()})
    names: dict[str, Path] = {}
    for source in sources:
        if source.path.suffix not in SUFFIXES:
            raise InputError(f"{source.path}: not a file of readings; name files that end in {', '.join(SUFFIXES)}")
        other = names.setdefault(source.name, source.path)
        if other.absolute() != source.path.absolute():
            raise InputError(f"{other} and {source.path} would both be '{source.name}'; name their common directory instead")
    return [source for source in sources if names[source.name] is source.path]


def choose_columns(
    source: Source, header: Sequence[str], feed: Feed, time: str | None = None, entity: str | None = None, from_path: bool = False
) -> Columns:
    """What each column of a file is: named by `time` and `entity`, else those called as in the definition.

    Without an entity column, or with `from_path`, the entity is the file's path below the root.

    Raises:
        InputError: a column asked for is not there, or none of the definition's fields is.
    """

    def column(name: str, what: str) -> str:
        if name not in header:
            raise InputError(f"{source.path}:1: no column '{name}' for the {what}; choose from {', '.join(header)} with --{what} COLUMN")
        return name

    has = [name if name in header else None for name in (f.name for f in feed.numbers)]
    also = [name if name in header else None for name in (f.name for f in feed.categories)]
    if not any(has) and not any(also):
        fields = ", ".join(f.name for f in feed.fields)
        raise InputError(f"{source.path}:1: none of the fields {fields} is a column; it has {', '.join(header)}")
    by = column(entity, "entity") if entity else feed.entity if feed.entity in header and not from_path else None
    return Columns(column(time or feed.time, "time"), by, feed.id if feed.id in header else None, has, also)


def read_rows(source: Source, index: int, columns: Columns, time_unit: str | None, rows: int = CHUNK_ROWS) -> Iterator[Rows]:
    """The rows of a file in its own order, in chunks.

    Raises:
        InputError: a time or a number cannot be read, or an entity is empty; the message has file, line and column.
    """
    file = source.open()
    asked = [name for name in (columns.time, columns.entity, columns.id, *columns.numbers, *columns.categories) if name is not None]
    asked = list(dict.fromkeys(asked))
    for chunk in file.chunks(asked, rows):
        cell = dict(zip(asked, chunk.columns, strict=True))
        count = len(chunk.line)
        numbers = np.full((count, len(columns.numbers)), np.nan)
        for k, name in enumerate(columns.numbers):
            if name is not None:
                numbers[:, k] = _numbers(source.path, chunk, name, cell[name])
        categories = np.full((count, len(columns.categories)), None, object)
        for c, name in enumerate(columns.categories):
            if name is not None:
                categories[:, c] = _texts(cell[name])
        yield Rows(
            index,
            chunk.line,
            event_times(source.path, chunk, columns.time, cell[columns.time], time_unit),
            np.full(count, source.name, object) if columns.entity is None else _entities(source.path, chunk, columns.entity, cell),
            np.full(count, None, object) if columns.id is None else _texts(cell[columns.id]),
            numbers,
            categories,
        )


def event_times(path: Path, chunk: RawChunk, name: str, cells: Cells, unit: str | None) -> I64:
    """A column as event times in µs; raises InputError with file and line where one cannot be read."""
    if isinstance(cells, np.ndarray) and cells.dtype == np.int64:
        wrong = np.flatnonzero((cells < 0) | (cells > MAX_EVENT_TIME))
        if len(wrong):
            raise InputError(
                f"{path}:{chunk.line[wrong[0]]}: column '{name}': no time, or one before 1970 or after 2255; repair or remove the row"
            )
        return cells
    out = [_time(cell, unit) for cell in (cells.tolist() if isinstance(cells, np.ndarray) else cells)]
    if None in out:
        row = out.index(None)
        raise InputError(
            f"{path}:{chunk.line[row]}: column '{name}': {cells[row]!r} is not a time; write ISO 8601 (2026-01-31T12:00:00Z) or an epoch"
        )
    return np.array(out, np.int64)


def number_of(text: str) -> float | None:
    """The number that a cell holds, NaN where it says that there is none, None where it is no number."""
    try:
        return float(text)
    except ValueError:
        return float("nan") if text.strip().lower() in MISSING_TEXTS else None


def _time(cell: str | float, unit: str | None) -> int | None:
    if not isinstance(cell, str):
        return parse_event_time(cell, unit)
    text = cell.strip()
    found = parse_event_time(text)
    if found is not None and not text.isdigit():
        return found
    try:
        return parse_event_time(int(text), unit)
    except ValueError:
        number = number_of(text)
        return None if number is None else parse_event_time(number, unit)


def _numbers(path: Path, chunk: RawChunk, name: str, cells: Cells) -> F64:
    if isinstance(cells, np.ndarray):
        return cells.astype(np.float64)
    try:
        return np.array(list(map(float, cells)))
    except ValueError:
        pass
    out = [number_of(text) for text in cells]
    if None in out:
        row = out.index(None)
        raise InputError(
            f"{path}:{chunk.line[row]}: column '{name}': {cells[row]!r} is not a number; repair it, leave it empty, "
            f"or make '{name}' a Category"
        )
    return np.array(out, np.float64)


def _texts(cells: Cells) -> Objects:
    if isinstance(cells, CodedTexts):
        return cells.changed(_trimmed)
    out = np.empty(len(cells), object)
    if isinstance(cells, np.ndarray):
        out[:] = [None if value != value else _number_text(value) for value in cells.tolist()]
    else:
        known = {text: _trimmed(text) for text in set(cells)}
        out[:] = [known[text] for text in cells]
    return out


@lru_cache(65_536)  # a column's texts come again in every chunk; of more distinct ones each is seen seldom
def _trimmed(text: str) -> str | None:
    """The text itself, None where it says that there is none."""
    text = text.strip()
    return None if text.lower() in MISSING_TEXTS else text


def _number_text(value: float) -> str:
    """The digits of a whole number, as the text of another file would have them; else the shortest text that reads back the same."""
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else repr(value)


def _entities(path: Path, chunk: RawChunk, name: str, cell: dict[str, Cells]) -> Objects:
    out = _texts(cell[name])
    names = out.tolist()
    if None in names:
        raise InputError(f"{path}:{chunk.line[names.index(None)]}: column '{name}' names no entity; repair or remove the row")
    return out


def _fixed_part(pattern: str) -> Path:
    """The directories of a glob before its first wildcard."""
    parts = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _name(file: Path, root: Path) -> str:
    return file.absolute().relative_to(root.absolute()).with_suffix("").as_posix()
