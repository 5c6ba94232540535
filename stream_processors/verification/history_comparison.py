"""The files of the history against the scores folded again: the archiver's own code cuts and encodes them, then bytes are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.records import Switch
from feature_store.history_files import CUT, HistoryFiles, ScoreFile, cut_of
from feature_store.history_rows import frame_of, parquet_bytes
from stream_processors.archive.score_cuts import Generation, ScoreCuts
from stream_processors.archive.score_cuts import Place as ArchivedPlace
from stream_processors.archive.score_decoding import decode_scores, vector_of
from stream_processors.log_fold import OutRecord
from stream_processors.runner.place import Place


class HistoryReport(NamedTuple):
    """What was compared of a feed's history."""

    url: str
    listed: int  # files of the feed's scores there
    same: int
    left_out: int  # not compared: of backfills, of other generations, and of cuts that are not wholly in the range


class HistoryComparison:
    """Compares the files of one generation of a place that lie wholly within the offsets folded again; holds one cut at a time.

    Args:
        place: of the evidence there are no files.
        listed: every file of the feed's scores.
        first, end: source offsets whose outputs are compared; a migrated state is folded from before the first.
    """

    def __init__(self, place: Place, generation: Switch, files: HistoryFiles, listed: Sequence[ScoreFile], first: int, end: int) -> None:
        number = generation.generation
        mine = [f for f in listed if (f.revision, f.generation, f.partition) == (0, number, place.partition) and place.log == "events"]
        self.same = self.different = 0  # files
        self.differences: list[str] = []
        self._files = files
        self._listed = {f.path for f in mine}
        # A generation's first file begins at its birth; a later one is whole only where the fold began at its cut or before.
        whole_from = cut_of(first if first == generation.from_offset else first + CUT - 1)
        archived = max((f.end for f in mine), default=0)
        self._first, self._end = first, min(end, archived)  # behind it the archiver has not come yet
        known = {number: Generation(generation.definition, generation.from_offset)}
        self._cuts = ScoreCuts(place.feed, place.partition, self, known, ArchivedPlace(number, whole_from), whole=True)
        self._feed = place.feed
        self._idle = whole_from + CUT > self._end

    def expect(self, scores: Sequence[OutRecord]) -> None:
        """The next scores that the new fold gives."""
        if not self._idle:
            mine = [s for s in scores if self._first <= s.offset < self._end]
            values, vectors = [s.value for s in mine], [vector_of(s.headers) for s in mine]
            self._cuts.take(decode_scores(self._feed, values, vectors, [s.offset for s in mine]))

    def finish(self) -> None:
        """All scores have been handed over."""
        if not self._idle:
            self._cuts.end(self._end)

    def scores_path(self, feed: str, revision: int, generation: int, partition: int, first: int) -> str:
        """Where the file of a cut should stand."""
        return self._files.scores_path(feed, revision, generation, partition, first)

    def write(self, path: str, data: bytes) -> None:
        """Compares what the archiver would have written with what stands there."""
        name = path.removeprefix(self._files.root + "/")
        if path not in self._listed:
            self.differences.append(f"{name}: missing, and later files are there")
            return
        found = self._files.read(path)
        if found == data or _encoded_anew(found) == data:
            self.same += 1
        else:
            self.different += 1
            self.differences.append(f"{name}: {_first_difference(data, found)}")


def _encoded_anew(found: bytes) -> bytes | None:
    """The rows of a file that another version of pyarrow wrote, as this one writes them; None for any other file."""
    try:
        file = pq.ParquetFile(pa.BufferReader(found))
        if file.metadata.created_by.endswith(f"version {pa.__version__}"):
            return None
        return parquet_bytes(file.read())
    except (pa.ArrowException, UnicodeDecodeError, OSError):
        return None


def _first_difference(expected: bytes, found: bytes) -> str:
    """What differs, for people."""
    try:
        theirs = pq.read_table(pa.BufferReader(found))
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        return f"cannot be read as Parquet ({str(error).splitlines()[0]})"
    ours = pq.read_table(pa.BufferReader(expected))
    if not theirs.schema.equals(ours.schema, check_metadata=True):
        return "its columns or its definition are not those of this plant file"
    mine, other = frame_of(ours), frame_of(theirs)
    if len(mine) != len(other):
        return f"{len(other)} rows, folded again {len(mine)}"
    unequal = ((mine != other) & ~(mine.isna() & other.isna())).to_numpy()
    rows = np.flatnonzero(unequal.any(axis=1))
    if len(rows) == 0:
        return "its bytes differ, its rows do not"
    columns = [name for name, differs in zip(mine.columns, unequal[rows[0]], strict=True) if differs]
    return f"{len(rows)} rows differ, the first at offset {mine['offset'].iloc[rows[0]]} in {', '.join(columns[:5])}"
