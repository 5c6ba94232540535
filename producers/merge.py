"""Rows of several files in one order of event time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from contracts.event_time import MAX_EVENT_TIME
from producers.csv_file import CHUNK_ROWS
from producers.files import Columns, Rows, Source, event_times, read_rows
from producers.signals import I64


class FileProfile(NamedTuple):
    """What a first look at a file's times tells."""

    rows: int
    first: int  # µs, the least event time
    last: int  # µs, the greatest event time
    is_sorted: bool


def profile(source: Source, columns: Columns, time_unit: str | None) -> FileProfile:
    """Reads the times of a file; raises InputError with file and line where one cannot be read."""
    rows, first, last, is_sorted = 0, MAX_EVENT_TIME, 0, True
    for chunk in source.open().chunks([columns.time]):
        times = event_times(source.path, chunk, columns.time, chunk.columns[0], time_unit)
        is_sorted = is_sorted and bool(times[0] >= last) and bool((np.diff(times) >= 0).all())
        rows += len(times)
        first, last = min(first, int(times.min())), max(last, int(times.max()))
    return FileProfile(rows, first, last, is_sorted)


def merged_rows(
    sources: Sequence[Source], columns: Sequence[Columns], profiles: Sequence[FileProfile], time_unit: str | None
) -> Iterator[list[Rows]]:
    """The rows of all files by event time; of equal times, the earlier file's first, and each file's own order within.

    A sorted file is read as the merge goes; another is held in memory and sorted first. Each item is a piece of the
    merged order as `Rows` of one file each; the pieces follow one another in time.
    """
    streams: list[Iterator[Rows]] = []
    for index, (source, chosen, known) in enumerate(zip(sources, columns, profiles, strict=True)):
        read = _reader(source, index, chosen, time_unit)
        streams.append(read() if known.is_sorted else _sorted(read()))
    heads: dict[int, Rows] = {}
    for index, stream in enumerate(streams):
        _advance(heads, index, stream)
    while heads:
        # whatever is still unread comes at or after the end of its file's head
        bound = min(int(rows.event_time[-1]) for rows in heads.values())
        piece = []
        for index in sorted(heads):
            rows = heads[index]
            cut = int(np.searchsorted(rows.event_time, bound, "right"))
            while cut == len(rows.line):  # equal times may go on in the file's next chunk
                piece.append(rows)
                _advance(heads, index, streams[index])
                if index not in heads:
                    break
                rows = heads[index]
                cut = int(np.searchsorted(rows.event_time, bound, "right"))
            else:
                if cut:
                    piece.append(rows.taken(slice(0, cut)))
                    heads[index] = rows.taken(slice(cut, None))
        yield piece


def order_of(piece: Sequence[Rows]) -> I64:
    """The order of event time over the rows of a piece, or of several that follow one another, laid end to end."""
    return np.argsort(np.concatenate([rows.event_time for rows in piece]), kind="stable")


def _reader(source: Source, index: int, columns: Columns, time_unit: str | None) -> Callable[[], Iterator[Rows]]:
    return lambda: read_rows(source, index, columns, time_unit)


def _sorted(chunks: Iterator[Rows]) -> Iterator[Rows]:
    parts = list(chunks)
    whole = Rows(parts[0].source, *(np.concatenate(column) for column in zip(*(part[1:] for part in parts), strict=True)))
    order = np.argsort(whole.event_time, kind="stable")
    for first in range(0, len(order), CHUNK_ROWS):
        yield whole.taken(order[first : first + CHUNK_ROWS])


def _advance(heads: dict[int, Rows], index: int, stream: Iterator[Rows]) -> None:
    rows = next(stream, None)
    if rows is None:
        heads.pop(index, None)
    else:
        heads[index] = rows
