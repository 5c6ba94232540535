"""Logs as files: what was passed comes back as it was, and a file's bytes depend on the log alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import HistoryError
from feature_store.history_files import HistoryFiles
from stream_processors.archive import archived_log, raw_cuts
from stream_processors.archive.archived_log import ArchivedLog
from stream_processors.archive.raw_cuts import OPEN_SECONDS, RawCuts
from stream_processors.archive.raw_rows import decode_rows, encode_rows, join_batches
from stream_processors.decoding.batches import Fetched
from tests.stream_processors.fetches import KeptLog, random_log
from tests.stream_processors.runner.test_fetch_seam import rows_of, whole
from tests.stream_processors.scores_log import make_feed

FEED = make_feed("raw")
CUT = 100


@pytest.fixture(autouse=True)
def short_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts of a hundred offsets, so that a log of some thousand has many."""
    monkeypatch.setattr(raw_cuts, "CUT", CUT)
    monkeypatch.setattr(raw_cuts, "cut_of", lambda offset: offset // CUT * CUT)
    monkeypatch.setattr(archived_log, "CUT", CUT)


def near_log(seed: int) -> KeptLog:
    """A random log that does not begin a trillion offsets on: each cut before would have a file."""
    return next(log for log in map(random_log, range(seed * 1_000, seed * 1_000 + 999)) if log.batches[0].base < 1_000)


def passed(log: KeptLog, first: int) -> Iterator[Fetched]:
    """The log from an offset on, in one fetch."""
    data, aborted = log.fetch(first)
    return (portion.fetched for portion in whole(data, aborted, first))


def in_pieces(log: KeptLog, first: int, draw: random.Random) -> Iterator[Fetched]:
    """The same, cut anywhere."""
    for part in passed(log, first):
        while part.next_offset - part.start > 1 and draw.random() < 0.9:
            before, part = part.cut(draw.randint(part.start + 1, part.next_offset - 1))
            yield before
        yield part


def begin(files: HistoryFiles, first: int = 0) -> RawCuts:
    return RawCuts(ArchivedLog(files, FEED, "events", "id", 0), files, first, 0.0)


def contents(directory: Path, pattern: str = "*.parquet") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.rglob(pattern))}


@pytest.mark.parametrize("seed", range(20))
def test_what_was_passed_comes_back(seed: int) -> None:
    """Records, null keys and values, control records and gaps are in the file as they were in the log."""
    log = near_log(seed)
    first = log.batches[0].base
    data = encode_rows(list(passed(log, first)), log.end)
    found = decode_rows(data, first, "file")
    assert rows_of(found.batch) == log.rows(first, log.end)
    assert found.control.tolist() == log.control(first, log.end)
    assert (found.start, found.next_offset) == (first, log.end)
    assert found.batch.n + len(found.control) + found.gaps == log.end - first
    assert [column.dtype for column in found.batch] == [column.dtype for column in join_batches([])]


@pytest.mark.parametrize("seed", range(10))
def test_bytes_do_not_depend_on_fetches_restarts_or_open_files(seed: int, tmp_path: Path) -> None:
    """One run in large fetches and many short ones, each from where the last one stopped, give the same whole files."""
    log, draw = near_log(seed), random.Random(seed)
    files = HistoryFiles(str(tmp_path / "once"))
    cuts = begin(files)
    for part in passed(log, 0):
        cuts.take(part)
    other = HistoryFiles(str(tmp_path / "often"))
    cuts = begin(other)
    for part in in_pieces(log, 0, draw):
        cuts.take(part)
        cuts.write_open(OPEN_SECONDS if draw.random() < 0.3 else 0.0)
        if draw.random() < 0.2:  # killed; what was read since the last file is read again
            cuts = begin(other)
            for again in passed(log, cuts.position):
                if again.start < part.next_offset:
                    cuts.take(again.cut(part.next_offset)[0] if again.next_offset > part.next_offset else again)
    cuts.write_open(0.0, at_once=True)
    assert contents(tmp_path / "often") == contents(tmp_path / "once")
    archived = ArchivedLog(other, FEED, "events", "id", 0)
    assert (archived.begin(log.end), archived.end(0)) == (0, log.end)
    read = list(archived.read(7, log.end - 5))
    assert [row for part in read for row in rows_of(part.batch)] == log.rows(7, log.end - 5)
    assert [c for part in read for c in part.control.tolist()] == log.control(7, log.end - 5)
    assert all(part.batch.n + len(part.control) + part.gaps == part.next_offset - part.start for part in read)


def test_an_archiver_that_retention_overtook_says_so_and_leaves_a_hole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The cut at hand is never closed; whole files go on at the next multiple, and readers are told of no more than is there."""
    log = near_log(3)
    files = HistoryFiles(str(tmp_path))
    cuts = begin(files)
    (all_of_it,) = passed(log, 0)
    before, rest = all_of_it.cut(2 * CUT + 31)
    cuts.take(before)
    cuts.write_open(OPEN_SECONDS)
    cuts.overtaken(3 * CUT + 1)
    assert f"Kafka deleted offsets {2 * CUT + 31} to {3 * CUT + 1} before they were archived" in caplog.text
    cuts.take(rest.cut(3 * CUT + 1)[1])
    names = list(contents(tmp_path))
    assert names[:3] == [f"{first:012d}.parquet" for first in (0, CUT, 4 * CUT)]
    archived = ArchivedLog(files, FEED, "events", "id", 0)
    assert archived.end(0) == 2 * CUT + 31, "the open file holds what it says"
    assert archived.begin(archived.whole_end) == 4 * CUT
    assert begin(files, 5 * CUT).position == archived.whole_end


def test_retention_that_overtook_a_stopped_archiver_is_noticed_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Files end at one offset and Kafka begins at a later one: no file is begun in the middle of a cut."""
    log = near_log(4)
    files = HistoryFiles(str(tmp_path))
    cuts = begin(files)
    for part in passed(log, 0):
        if part.start < CUT:
            cuts.take(part.cut(CUT + 50)[0] if part.next_offset > CUT + 50 else part)
    later = begin(files, CUT + 60)
    assert later.position == 2 * CUT
    assert "has a hole before it" in caplog.text
    assert begin(files, CUT).position == CUT, "nothing is lost where Kafka begins at the cut"


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_a_changed_byte_is_noticed(at: float) -> None:
    """A flipped bit in the pages is an error that names the file, not other records."""
    log = near_log(5)
    data = bytearray(encode_rows(list(passed(log, 0)), log.end))
    expected = rows_of(decode_rows(bytes(data), 0, "whole").batch)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    data[int((len(data) - footer) * at)] ^= 4
    try:
        found = rows_of(decode_rows(bytes(data), 0, "damaged.parquet").batch)
    except HistoryError as error:
        assert "damaged.parquet" in str(error)
    else:
        assert found == expected, "a byte that means nothing"


def test_no_offsets_are_no_rows(tmp_path: Path) -> None:
    """A cut without a record has a file, so that a hole and a silence are two things."""
    files = HistoryFiles(str(tmp_path))
    cuts = begin(files)
    nothing = join_batches([])
    cuts.take(Fetched(0, 3 * CUT + 5, nothing, np.array([CUT + 1, 3 * CUT]), 3 * CUT + 3))
    assert len(contents(tmp_path)) == 3
    parts = list(ArchivedLog(files, FEED, "events", "id", 0).read(0, 3 * CUT))
    assert [(part.start, part.next_offset, part.control.tolist(), part.gaps) for part in parts] == [
        (0, CUT, [], CUT), (CUT, 2 * CUT, [CUT + 1], CUT - 1), (2 * CUT, 3 * CUT, [], CUT)
    ]  # fmt: skip
