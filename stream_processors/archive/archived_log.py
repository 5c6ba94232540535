"""What is archived of one partition of a log: how far it goes without a hole, and its records as a fold gets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.definition import Feed
from contracts.errors import HistoryError
from contracts.topics import topic_name
from feature_store.history_files import CUT, HistoryFiles
from stream_processors.archive.raw_rows import END_KEY, decode_rows
from stream_processors.decoding.batches import Fetched


class Span(NamedTuple):
    """Offsets first ≤ offset < end, all of which a file holds."""

    first: int
    end: int
    path: str


class ArchivedLog:
    """The files of one partition of a log, as they stood when this was made.

    Args:
        files: the history.
        kind: ``events``, ``labels``, …
        topic_id: of the topic whose log is meant.

    Raises:
        HistoryError: the history cannot be reached, or a file in it cannot be read.
    """

    def __init__(self, files: HistoryFiles, feed: Feed, kind: str, topic_id: str | None, partition: int) -> None:
        self.name = f"{topic_name(feed, kind)}/{partition}"
        self._files = files
        self._place = (feed.name, kind, topic_id, partition)
        self._whole: list[Span] = []
        self._open: list[Span] = []
        found = files.log(*self._place)
        whole = {file.first for file in found if not file.is_open}
        for file in found:
            if not file.is_open:
                self._whole.append(Span(file.first, file.first + CUT, file.path))
            elif file.first not in whole and (end := self._end_of_open(file.path)) is not None:
                self._open.append(Span(file.first, end, file.path))
        self._spans = sorted([*self._whole, *self._open])

    @property
    def whole_end(self) -> int:
        """The cut up to which there are whole files, whatever lies before; 0 where there are none."""
        return self._whole[-1].end if self._whole else 0

    def path(self, first: int, is_open: bool = False) -> str:
        """Where the file of a cut stands."""
        feed, kind, topic_id, partition = self._place
        return self._files.log_path(feed, kind, topic_id, partition, first, is_open)

    def open_part(self) -> Fetched | None:
        """What is archived of the cut behind the whole files, where there is such a file."""
        return next((self._read(span) for span in self._open if span.first == self.whole_end), None)

    def begin(self, end: int) -> int:
        """The lowest offset from which on files hold everything before `end`; `end` itself where they hold nothing right before it."""
        for span in reversed(self._spans):
            if span.end < end:
                break
            end = min(end, span.first)
        return end

    def end(self, start: int) -> int:
        """The offset up to which files hold everything from `start` on; `start` itself where they do not hold it."""
        for span in self._spans:
            if span.first <= start < span.end:
                start = span.end
        return start

    def read(self, start: int, end: int) -> Iterator[Fetched]:
        """What is archived of start ≤ offset < end, file by file, which must be there without a hole.

        Raises:
            HistoryError: a file cannot be read.
        """
        for span in self._spans:
            if span.end <= start or span.first >= end:
                continue
            part = self._read(span)
            if part.start < start:
                part = part.cut(start)[1]
            yield part.cut(end)[0] if part.next_offset > end else part

    def _read(self, span: Span) -> Fetched:
        return decode_rows(self._bytes(span), span.first, span.path)

    def _bytes(self, span: Span) -> bytes:
        try:
            return self._files.read(span.path)
        except FileNotFoundError:
            whole = self.path(span.first)
            if whole == span.path or not self._files.exists(whole):
                raise HistoryError(f"{span.path} is gone since it was listed; try again") from None
            return self._files.read(whole)  # the archiver has closed the cut meanwhile
        except OSError as error:
            raise HistoryError(f"{span.path} cannot be read ({error}); see to it that the history can be reached") from error

    def _end_of_open(self, path: str) -> int | None:
        """None where the archiver has closed the cut since the files were listed: then the log has it still."""
        try:
            with self._files.open(path) as opened:
                return int((pq.read_schema(opened).metadata or {})[END_KEY])
        except FileNotFoundError:
            return None
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise HistoryError(f"{path} cannot be read ({error}); remove it, and the archiver begins the cut anew") from error
