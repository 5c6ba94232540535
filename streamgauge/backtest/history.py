"""Files as one table of columns: every row, its entity, and the order of event time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from contracts.columns import I64, Columns
from contracts.definition import Feed
from producers.files import Source, choose_columns
from stream_processors.backtest.column_rows import join_columns
from stream_processors.decoding.frame_texts import text_column
from stream_processors.decoding.frames import columns_from_frame
from streamgauge.backtest.table_files import read_frame


class History(NamedTuple):
    """n rows in the order of the files."""

    columns: Columns
    entity: I64  # (n,) index into `names`; -1 where the row names none
    names: list[bytes]  # m entities, in the order of their first row
    order: I64  # (n,) rows in order of event time; of equal times the earlier row first


def read_history(
    feed: Feed, sources: Sequence[Source], time: str | None, entity: str | None, from_path: bool, say: Callable[[int], None]
) -> History:
    """Reads files into memory: some 100 bytes a row and 8 more a field.

    Args:
        time, entity: columns that are called otherwise than in the definition.
        from_path: the entity is each file's path.
        say: is told the number of rows of each file read.

    Raises:
        InputError: a file or a column cannot be read; the message has the file. A row that cannot be understood is no
            error: it ends as a dead letter.
    """
    parts: list[Columns] = []
    codes: list[I64] = []
    known: dict[bytes, int] = {}
    for source in sources:
        frame = read_frame(feed, source, choose_columns(source, source.open().header, feed, time, entity, from_path))
        parts.append(columns_from_frame(feed, frame))
        found = text_column(frame[feed.entity], None, booleans=False)
        place = np.array([known.setdefault(name, len(known)) for name in found.texts] + [-1], np.int64)
        codes.append(place[np.where(found.code >= 0, found.code, len(found.texts))])
        say(len(frame))
    columns = join_columns(parts)
    return History(columns, np.concatenate(codes), list(known), np.argsort(_times(parts), kind="stable"))


def _times(parts: Sequence[Columns]) -> I64:
    """Event times; a row without one takes that of the newest row before it in its file."""
    out = []
    for part in parts:
        times = np.where(part.reason == 0, part.event_time, -1)
        out.append(np.where(times < 0, np.maximum.accumulate(times) if len(times) else times, times))
    return np.concatenate(out)
