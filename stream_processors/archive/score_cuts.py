"""Scores of one partition into files, cut at fixed multiples of the source offset.

::

    ids on the topic   … 9,998  9,999 | 10,001  10,002 …      19,990 | 30,005 …
    written at         file 0 ────────^ 10,001 has been seen  file 10,000 and the empty file 20,000 ──^ 30,005 has been seen

An id at or beyond a cut says that all before it have been seen, since a partition's owner publishes in the order of
offsets and a successor goes on behind what it finds. A new generation ends the last file of the one before.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from contracts.definition import Feed
from feature_store.history_files import CUT, ScoreFile, cut_of
from feature_store.history_rows import empty_rows, history_table, parquet_bytes
from stream_processors.archive.score_decoding import ScoreRecord, history_rows

_log = logging.getLogger(__name__)


class Generation(NamedTuple):
    """What `<feed>.switches` says of one."""

    definition: str
    from_offset: int


class Place(NamedTuple):
    """How far files go: all offsets below `cut` of `generation`, and all of lower generations."""

    generation: int
    cut: int


def archived_place(files: Sequence[ScoreFile], partition: int) -> Place:
    """How far the files of one partition go, (0, 0) where there are none."""
    return max(
        (Place(f.generation, f.end) for f in files if f.partition == partition and f.generation > 0 and f.revision == 0),
        default=Place(0, 0),
    )


class CutStore(Protocol):
    """Where the files go: the history, or a comparison with it."""

    def scores_path(self, feed: str, revision: int, generation: int, partition: int, first: int) -> str:
        """Where the scores of a cut stand."""

    def write(self, path: str, data: bytes) -> None:
        """Takes a whole file."""


class ScoreCuts:
    """Takes the records of one partition in the order of the topic and writes each file when its cut has been passed.

    Args:
        place: how far the files go.
        whole: whether records are handed over from the first that is in no file; else those of the cut in which the
            first one lies are left out, since Kafka has already deleted a part of them.
    """

    def __init__(
        self, feed: Feed, partition: int, files: CutStore, generations: Mapping[int, Generation], place: Place, whole: bool
    ) -> None:
        self._feed = feed
        self._definition = feed.hash  # computed anew at each look, which is too much for each record
        self._partition = partition
        self._files = files
        self._generations = generations
        self._whole = whole
        self._rows: list[ScoreRecord] = []
        self._newest = -1
        self._refused: set[int] = set()
        self.place = place  # the cut that is being filled
        self.position: int | None = None  # on the topic, of the first record that is in no file; None before the first
        self.written = 0  # files

    def take(self, records: Sequence[ScoreRecord]) -> None:
        """Takes the next records; raises HistoryError where a vector does not fit the definition."""
        for record in records:
            if record.partition != self._partition:
                continue
            at = (record.generation, record.offset)
            if not self._whole:
                self._find_start(record)
            if at < self.place or at <= (self.place.generation, self._newest) or self._is_foreign(record.generation):
                continue  # in a file already, or a repeat, or of another definition
            if record.generation > self.place.generation:
                self._begin(record)
            elif record.offset >= self.place.cut + CUT:
                self._write_to(cut_of(record.offset))
                self.position = record.position
            if self.position is None:
                self.position = record.position
            self._newest = record.offset
            self._rows.append(record)

    def end(self, offset: int) -> None:
        """Writes every file that ends at or before `offset`, a source offset below which all records have been handed over."""
        self._write_to(cut_of(offset))

    def overtaken(self) -> None:
        """Retention has deleted records before they were read: what is known of the cut at hand would be no whole file."""
        self._rows, self._newest, self.position, self._whole = [], -1, None, False

    def _find_start(self, record: ScoreRecord) -> None:
        """With the first record that Kafka still has: unless it stands in a file, its cut may have lost records and is left out."""
        self._whole = True
        known = self._generations.get(record.generation)
        if (record.generation, record.offset) <= self.place or (known is not None and record.offset == known.from_offset):
            return
        self.place = Place(record.generation, cut_of(record.offset) + CUT)
        _log.warning(
            "%s/%d: Kafka no longer has what comes before offset %d; history goes on at offset %d of generation %d",
            self._feed.name, self._partition, record.offset, self.place.cut, record.generation,
        )  # fmt: skip

    def _begin(self, record: ScoreRecord) -> None:
        """Ends the last file of the generation before, and begins the record's."""
        if self._rows:
            self._write()
        self._newest = -1
        self.place = Place(record.generation, cut_of(self._generations[record.generation].from_offset))
        self.position = record.position
        self._write_to(cut_of(record.offset))

    def _write_to(self, cut: int) -> None:
        """Writes the file that is being filled, and empty ones for cuts in which nothing was folded."""
        while self.place.cut < cut:
            self._write()

    def _write(self) -> None:
        generation, cut = self.place
        path = self._files.scores_path(self._feed.name, 0, generation, self._partition, cut)
        rows = history_rows(self._feed, self._rows, path) if self._rows else empty_rows(self._feed)
        self._files.write(path, parquet_bytes(history_table(self._feed, rows, generation, self._partition, 0)))
        self._rows = []
        self.written += 1
        self.place = Place(generation, cut + CUT)

    def _is_foreign(self, generation: int) -> bool:
        """Whether a generation was folded with another definition; said once."""
        found = self._generations.get(generation)
        if found is not None and found.definition == self._definition:
            return False
        if generation not in self._refused:
            self._refused.add(generation)
            _log.warning(
                "%s/%d: generation %d was folded with definition %s, the plant file has %s: it is not archived",
                self._feed.name, self._partition, generation, found.definition if found else "unknown", self._feed.hash,
            )  # fmt: skip
        return True
