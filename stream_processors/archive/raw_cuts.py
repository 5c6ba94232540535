"""A log as it stands into files, cut at fixed multiples of its own offsets.

::

    passed        9,990 … 9,999 | 10,000 … 10,311          retention deletes 10,312 … 40,500, and the archiver was not there
    written       000000000000.parquet                     the rest of the cut is lost: aloud, and no file says otherwise
    open          000000010000.parquet.open (10,312)       the next file is 000000050000.parquet
"""

from __future__ import annotations

import logging

from feature_store.history_files import CUT, HistoryFiles, cut_of
from stream_processors.archive.archived_log import ArchivedLog
from stream_processors.archive.raw_rows import encode_rows
from stream_processors.decoding.batches import Fetched

OPEN_SECONDS = 600.0
"""Between two writings of a cut that is not over. A log that fills no cut within its retention would otherwise never be archived;
more often would write a slow partition's rows again and again."""

_log = logging.getLogger(__name__)


class RawCuts:
    """Takes what was passed of one partition in order, and writes each file when its cut has been passed.

    Args:
        archived: what stands in files already; goes on from there.
        first: the first offset that Kafka still has.
        now: monotonic seconds.
    """

    def __init__(self, archived: ArchivedLog, files: HistoryFiles, first: int, now: float) -> None:
        self._archived, self._files = archived, files
        self._passed: list[Fetched] = []  # of the cut that is being filled
        self._opened_at = now
        self.written = 0  # whole files
        self.cut = archived.whole_end
        self.position = self.cut  # what lies before is in `_passed` or in files
        opened = archived.open_part()
        if opened is not None:
            self._passed.append(opened)
            self.position = opened.next_offset
        self._open_end = self.position  # how far the open file goes
        if first > self.position:
            self.overtaken(first)

    def take(self, fetched: Fetched) -> None:
        """Takes what comes next; what lies before the position is passed over."""
        while fetched.next_offset > self.position:
            edge = self.cut + CUT
            if fetched.start < self.position:
                fetched = fetched.cut(self.position)[1]
            if fetched.start >= edge:
                self._write()
            elif fetched.next_offset < edge:
                self._keep(fetched)
            else:
                before, fetched = fetched.cut(edge) if fetched.next_offset > edge else (fetched, fetched)
                self._keep(before)
                self._write()

    def overtaken(self, first: int) -> None:
        """Retention has deleted what was not read yet: the cut at hand is lost, and the next whole one begins at or after `first`."""
        lost, self.cut = self.position, cut_of(first + CUT - 1)
        self._passed, self.position, self._open_end = [], self.cut, self.cut
        _log.warning(
            "%s: Kafka deleted offsets %d to %d before they were archived; the archive goes on at offset %d and has a hole before it",
            self._archived.name, lost, first, self.cut,
        )  # fmt: skip

    def write_open(self, now: float, at_once: bool = False) -> None:
        """Puts the beginning of the cut at hand beside the whole files, where it has grown and its time has come."""
        if self.position > self._open_end and (at_once or now - self._opened_at >= OPEN_SECONDS):
            self._files.write(self._archived.path(self.cut, is_open=True), encode_rows(self._passed, self.position))
            self._opened_at, self._open_end = now, self.position

    def _keep(self, fetched: Fetched) -> None:
        self._passed.append(fetched)
        self.position = fetched.next_offset

    def _write(self) -> None:
        self._files.write(self._archived.path(self.cut), encode_rows(self._passed, self.cut + CUT))
        self._files.remove(self._archived.path(self.cut, is_open=True))
        self.cut += CUT
        self._passed, self.position, self._open_end = [], self.cut, self.cut
        self.written += 1
        _log.info("%s: archived up to offset %d", self._archived.name, self.cut)
