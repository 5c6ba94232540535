"""Replays files as a feed's events, in order of event time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from contracts.definition import Feed
from contracts.errors import InputError
from contracts.ids import RecordId
from contracts.records import Evidence
from producers.batch import Batch
from producers.files import Rows, choose_columns, find_files
from producers.merge import merged_rows, order_of, profile
from producers.signals import F64

PLANNED_STOP_PARTITION = -1  # the stop is the whole feed's


class Replay:
    """Files as batches of events of a feed: the declared fields only, times as ISO 8601 in UTC, missing values as null.

    The times of all files are read at once, to know whether each is sorted and how many rows are to come.

    Args:
        feed: names the fields; columns that it does not declare are left out.
        patterns: files, directories or globs.
        time, entity: columns that are called otherwise than in the definition.
        entity_from_path: the entity is the file's path below the root, without its suffix.

    Raises:
        InputError: a file, a column or a time cannot be read; the message has file and line.
    """

    def __init__(
        self,
        feed: Feed,
        patterns: Sequence[str | Path],
        time: str | None = None,
        entity: str | None = None,
        entity_from_path: bool = False,
    ) -> None:
        self._feed = feed
        sources = find_files(patterns)
        columns = [choose_columns(s, s.open().header, feed, time, entity, entity_from_path) for s in sources]
        profiles = [profile(s, c, feed.time_unit) for s, c in zip(sources, columns, strict=True)]
        kept = [i for i, known in enumerate(profiles) if known.rows]
        if not kept:
            raise InputError(f"no rows in {', '.join(str(s.path) for s in sources[:3])}; there is nothing to replay")
        self._sources = [sources[i] for i in kept]
        self._columns = [columns[i] for i in kept]
        self._profiles = [profiles[i] for i in kept]
        self.files = len(sources)
        self.rows = sum(known.rows for known in profiles)
        self.first = min(known.first for known in self._profiles)
        self.last = max(known.last for known in self._profiles)
        absent = [f.name for k, f in enumerate(feed.numbers) if not any(c.numbers[k] for c in columns)]
        absent += [f.name for k, f in enumerate(feed.categories) if not any(c.categories[k] for c in columns)]
        self.absent_fields = absent  # declared, but in no file

    def batches(self) -> Iterator[Batch]:
        """The events in order of event time; raises InputError with file and line where a row cannot be read."""
        writer = _RowWriter(self._feed)
        for piece in self.pieces():
            keys: list[bytes] = []
            values: list[bytes] = []
            for rows in piece:
                keys += [name.encode() for name in rows.entity.tolist()]
                values += writer.write(rows)
            order = order_of(piece)
            at = order.tolist()
            times = np.concatenate([rows.event_time for rows in piece])[order]
            yield Batch([keys[i] for i in at], [values[i] for i in at], times, times)

    def pieces(self) -> Iterator[list[Rows]]:
        """The rows as columns, in pieces that follow one another in event time; `producers.merge.order_of` orders one."""
        return merged_rows(self._sources, self._columns, self._profiles, self._feed.time_unit)


class _RowWriter:
    """Rows as JSON objects."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        names = [feed.time, feed.entity, *([feed.id] if feed.id else []), *(f.name for f in feed.numbers)]
        names += [f.name for f in feed.categories]
        # names of fields hold no per cent sign, so they can stand in a format
        self._format = "{" + ",".join(f'"{name}":%s' for name in names) + "}"

    def write(self, rows: Rows) -> list[bytes]:
        times = np.datetime_as_string(rows.event_time.astype("M8[us]"), unit="us").tolist()
        columns: list[list[str]] = [[f'"{time}Z"' for time in times], _json_texts(rows.entity.tolist())]
        if self._feed.id:
            columns.append(_json_texts(rows.id.tolist()))
        columns += [_json_numbers(rows.numbers[:, k]) for k in range(rows.numbers.shape[1])]
        columns += [_json_texts(rows.categories[:, c].tolist()) for c in range(rows.categories.shape[1])]
        form = self._format
        return [(form % row).encode() for row in zip(*columns, strict=True)]


def _json_numbers(column: F64) -> list[str]:
    texts = list(map(repr, column.tolist()))
    if not np.isfinite(column).all():
        # JSON has no infinity; a number too large for a double is understood as impossible, which it is
        words = {"nan": "null", "inf": "1e999", "-inf": "-1e999"}
        texts = [words.get(text, text) for text in texts]
    return texts


def _json_texts(texts: list[str | None]) -> list[str]:
    known = {text: msgspec.json.encode(text).decode() for text in set(texts)}
    return [known[text] for text in texts]


def planned_stop(feed: Feed, event_time: int, now_ms: int, detail: str) -> bytes:
    """The record on `<feed>.evidence` that says: this feed ends here on purpose, so its silence is none.

    Args:
        event_time: the greatest event time sent, µs.
        now_ms: the wall clock in ms since the epoch, which makes the record's id.
        detail: what ended, such as ``replay``.
    """
    stop = Evidence(
        id=str(RecordId(feed.name, 0, "replay", now_ms, "planned_stop", 0)),
        kind="planned_stop",
        partition=PLANNED_STOP_PARTITION,
        event_time=event_time,
        detail=detail,
    )
    return msgspec.json.encode(stop)
