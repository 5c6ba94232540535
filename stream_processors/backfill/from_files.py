"""Loads files into the history as generation 0, through the same fold as events; the rows stay columns from file to file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from contracts.columns import Columns
from contracts.definition import Feed
from contracts.errors import HistoryError
from contracts.unreadable import UNREADABLE
from feature_store.history import FILES, LIVE, newest_revision
from feature_store.history_files import CUT, HistoryFiles
from feature_store.history_rows import history_table, parquet_bytes
from producers.files import Rows, find_files
from producers.replay import Replay
from stream_processors.backfill.file_rows import folded_rows, frame_of_rows
from stream_processors.backtest.column_rows import join_columns, slice_rows, take_rows
from stream_processors.backtest.partition_folds import place_entities
from stream_processors.decoding.frames import columns_from_frame
from stream_processors.stream_fold.fold import FOLD_VERSION, StreamFold

ROWS_AT_ONCE = 65_536  # made into columns together: with fewer each entity's name is hashed more often
Say = Callable[[int, int], None]  # (rows done, rows in all)


class Made(msgspec.Struct):
    """What a load is made from; equal ones give equal rows."""

    definition: str
    fold_version: int
    partitions: int
    columns: list[str | None]  # time, entity, "path" where the entity is the file's path
    files: list[tuple[str, str]]  # (name below the root, SHA-256)


class Resume(msgspec.Struct):
    """One partition's fold after its first `rows` rows."""

    made: Made
    rows: int
    counters: dict[str, int]
    chunks: dict[str, bytes]


class Loaded(NamedTuple):
    """What became of a load."""

    revision: int
    rows: int  # of the files
    folded_now: int  # rows that this run folded; the rest was done before
    counters: dict[str, int]  # folded, duplicate, late, dead_lettered


class FileLoad:
    """A load of files into the history; equal loads give equal bytes, whether or not they were interrupted.

    The first load of a feed is revision 0's generation 0; one of other files is the next revision, which replaces it
    for readers who name that revision. Entities are placed on partitions as Kafka's clients do.

    Args:
        feed: the definition.
        patterns: files, directories or globs.
        url: of the history.
        time, entity, entity_from_path: as producers.replay.Replay.

    Raises:
        InputError: a file, a column or a time cannot be read; the message has file and line.
    """

    def __init__(
        self,
        feed: Feed,
        patterns: Sequence[str],
        url: str,
        time: str | None = None,
        entity: str | None = None,
        entity_from_path: bool = False,
    ) -> None:
        self._feed = feed
        self._files = HistoryFiles(url)
        self._replay = Replay(feed, patterns, time, entity, entity_from_path)
        hashes = [(source.name, _sha256(source.path)) for source in find_files(patterns)]
        columns = [time, entity, "path" if entity_from_path else None]
        self._made = Made(feed.hash, FOLD_VERSION, feed.partitions, columns, hashes)
        done = self._files.complete(feed.name)
        loads = {revision: made for (revision, generation), made in done.items() if generation == FILES}
        as_read = msgspec.json.decode(msgspec.json.encode(self._made))
        same = [revision for revision, made in loads.items() if made == as_read]
        self.is_loaded = bool(same)
        self.revision = same[0] if same else newest_revision(url, feed) + 1 if loads else LIVE
        self.rows = self._replay.rows

    def run(self, say: Say) -> Loaded:
        """Folds and writes what is not yet written; a run that was killed goes on where it saved its folds last."""
        if self.is_loaded:
            return Loaded(self.revision, self.rows, 0, {})
        partitions = self._open()
        done = 0
        homes: dict[str, int] = {}
        for pieces in _gathered(self._replay.pieces()):
            frame = frame_of_rows(self._feed, pieces)
            names = frame[self._feed.entity].cat.categories
            for name in set(names) - homes.keys():
                homes[name] = int(place_entities([name.encode()], len(partitions))[0])
            home = np.array([homes[name] for name in names])[frame[self._feed.entity].cat.codes]
            columns = columns_from_frame(self._feed, frame)
            for number, partition in enumerate(partitions):
                partition.take(take_rows(columns, np.flatnonzero(home == number), 0))
            done += columns.n
            say(done, self.rows)
        for partition in partitions:
            partition.finish()
        mark = msgspec.json.encode(self._made)
        self._files.write(self._files.mark_path(self._feed.name, self.revision, FILES), mark)
        for partition in partitions:
            partition.forget()
        total = {name: sum(p.counters.get(name, 0) for p in partitions) for name in ("folded", "duplicate", "late", "dead_lettered")}
        return Loaded(self.revision, self.rows, sum(p.folded_now for p in partitions), total)

    def _open(self) -> list[_PartitionLoad]:
        """The partitions where the run before left them, or at their beginnings, without what another load left behind."""
        out = [_PartitionLoad(self._feed, p, self._files, self._made, self.revision) for p in range(self._feed.partitions)]
        for file in self._files.scores(self._feed.name):
            if (file.revision, file.generation) == (self.revision, FILES) and (
                file.partition >= len(out) or file.first >= out[file.partition].rows
            ):
                self._files.remove(file.path)
        return out


class _PartitionLoad:
    """One partition's rows, folded and written a cut at a time."""

    def __init__(self, feed: Feed, partition: int, files: HistoryFiles, made: Made, revision: int) -> None:
        self._feed, self._partition, self._files, self._made, self._revision = feed, partition, files, made, revision
        self._fold = StreamFold(feed, partition, FILES)
        self._path = f"{files.root}/{feed.name}/scores/revision-{revision}/generation-{FILES}/partition-{partition}.resume"
        self._chunks: dict[str, bytes] = {}
        self._written = 0  # bytes of Parquet since the fold was saved
        self._kept = 0  # bytes of the chunks when they were last asked for
        self._waiting: list[Columns] = []  # fewer rows than a cut
        self.rows = 0  # that are in files
        self.folded_now = 0
        self._skip = self._restore()

    @property
    def counters(self) -> dict[str, int]:
        return self._fold.counters()

    def take(self, columns: Columns) -> None:
        done = min(self._skip, columns.n)
        self._skip -= done
        columns = join_columns([*self._waiting, slice_rows(columns, done, columns.n, 0)])
        whole = columns.n // CUT * CUT
        for first in range(0, whole, CUT):
            self._fold_cut(slice_rows(columns, first, first + CUT, self.rows))
            self._save()
        self._waiting = [slice_rows(columns, whole, columns.n, self.rows)]

    def finish(self) -> None:
        for columns in self._waiting:
            if columns.n:
                self._fold_cut(columns)

    def forget(self) -> None:
        """Takes the saved fold away: the load is complete."""
        self._files.remove(self._path)

    def _fold_cut(self, columns: Columns) -> None:
        path = self._files.scores_path(self._feed.name, self._revision, FILES, self._partition, self.rows)
        rows = folded_rows(self._feed, columns, self._fold.fold_rows(columns))
        self._fold.writer.hand_out_evidence()  # nobody judges it
        data = parquet_bytes(history_table(self._feed, rows, FILES, self._partition, self._revision))
        self._files.write(path, data)
        self._written += len(data)
        self.rows += columns.n
        self.folded_now += columns.n

    def _save(self) -> None:
        """Keeps the fold, as soon as no more bytes are kept than were written since the last time."""
        if self._kept > self._written:
            return  # a state seldom shrinks, and to ask for its chunks copies them
        self._chunks |= self._fold.changed_chunks()
        self._kept = sum(map(len, self._chunks.values()))
        if self._kept <= self._written:
            resume = Resume(self._made, self.rows, self.counters, self._chunks)
            self._files.write(self._path, msgspec.msgpack.encode(resume))
            self._written = 0

    def _restore(self) -> int:
        """Rows that a run before has folded and saved."""
        if not self._files.exists(self._path):
            return 0
        try:
            resume = msgspec.msgpack.decode(self._files.read(self._path), type=Resume)
        except UNREADABLE as error:
            raise HistoryError(f"{self._path} cannot be read; remove it, and the load begins anew") from error
        if resume.made != self._made:
            return 0
        self._fold.restore(resume.chunks)
        self._chunks = dict(resume.chunks)
        self.rows = resume.rows
        return resume.rows


def _gathered(pieces: Iterator[list[Rows]]) -> Iterator[list[Rows]]:
    """Pieces together until they have ROWS_AT_ONCE rows."""
    some: list[Rows] = []
    for piece in pieces:
        some += piece
        if sum(len(rows.line) for rows in some) >= ROWS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
