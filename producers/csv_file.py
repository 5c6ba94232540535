"""CSV files as columns of text, a chunk at a time, each row with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.errors import InputError
from producers.signals import I64

DELIMITERS = ",;\t|"
SNIFFED_LINES = 20
CHUNK_ROWS = 8_192  # columns of this length are quick to convert and small beside the records made of them

csv.field_size_limit(10_000_000)  # the reader's own 128 KiB ends in a bare error; a cell of 10 MB is damage


Cells = Sequence[str] | NDArray[Any]  # texts, or float64 (NaN: null), or int64 µs of a typed time (-1: null)


class RawChunk(NamedTuple):
    """Rows of a file, and the columns asked for."""

    line: I64  # (n,) counted from 1, the header included
    columns: list[Cells]


class CsvFile:
    """A CSV file with a header; the delimiter is that of comma, semicolon, tab and bar which splits the first lines alike.

    Raises:
        InputError: the file cannot be read, is empty, or names a column twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                first = [line for _, line in zip(range(SNIFFED_LINES), file, strict=False)]
            if not first or not first[0].strip():
                raise InputError(f"{path}:1: no header; the first line must name the columns")
            self.delimiter = _sniff(first)
            self.header = [name.strip() for name in next(csv.reader(first, delimiter=self.delimiter))]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise _unreadable(path, error) from error
        repeated = sorted({name for name in self.header if self.header.count(name) > 1})
        if repeated:
            raise InputError(f"{path}:1: column '{repeated[0]}' is named twice; rename one")

    def chunks(self, columns: Sequence[str], rows: int = CHUNK_ROWS) -> Iterator[RawChunk]:
        """The asked columns, in that order. Empty lines are left out.

        Raises:
            InputError: a row has another number of cells than the header, or is not UTF-8; the message has its line.
        """
        at = [self.header.index(name) for name in columns]
        width = len(self.header)
        lines: list[int] = []
        kept: list[list[str]] = []
        line = 1
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=self.delimiter)
                next(reader)
                for row in reader:
                    line = reader.line_num
                    if len(row) != width:
                        if not row:
                            continue
                        raise InputError(f"{self.path}:{line}: {len(row)} cells where the header has {width}; repair or remove the row")
                    lines.append(line)
                    kept.append(row)
                    if len(kept) == rows:
                        yield _chunk(lines, kept, at)
                        lines, kept = [], []
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise _unreadable(self.path, error, line + 1) from error
        if kept:
            yield _chunk(lines, kept, at)


def _chunk(lines: list[int], rows: list[list[str]], at: list[int]) -> RawChunk:
    columns = list(zip(*rows, strict=True))
    return RawChunk(np.array(lines, np.int64), [list(columns[i]) for i in at])


def _sniff(lines: Sequence[str]) -> str:
    """The delimiter that gives the header the most cells among those by which every line has as many."""
    best, cells = ",", 1
    for delimiter in DELIMITERS:
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        width = len(next(csv.reader(lines[:1], delimiter=delimiter)))
        if len(widths) == 1 and width > cells:
            best, cells = delimiter, width
    if cells > 1:
        return best
    # a damaged row among the first lines: the header alone decides, and the row is reported with its line
    return max(DELIMITERS, key=lines[0].count)


def _unreadable(path: Path, error: Exception, line: int | None = None) -> InputError:
    where = f"{path}:{line}" if line and not isinstance(error, OSError) else str(path)
    if isinstance(error, UnicodeDecodeError):
        return InputError(f"{where}: not UTF-8; convert it, as with: iconv -f latin1 -t utf-8")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return InputError(f"{where}: cannot be read ({reason})")
