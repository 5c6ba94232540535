from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts.errors import HistoryError
from contracts.records import DatasetPin
from feature_store.dataset import build_dataset, dataset_bytes, pin_of_history, write_dataset
from feature_store.history import LogTail
from feature_store.history_files import CUT, HistoryFiles
from feature_store.history_rows import HistoryRows, history_table
from tests.feature_store.history_sample import START, make_feed, rows_at, write_rows

FEED = make_feed()
N = 2 * CUT + 500
ROWS = rows_at(["p1"] * N, START + np.arange(N))


def between(first: int, end: int) -> HistoryRows:
    return HistoryRows(*(column[first:end] for column in ROWS))


def tail_of(first: int, end: int) -> LogTail:
    return LogTail(history_table(FEED, between(first, end), 1, 0, 0), {0: (1, end)})


def pin_of(first: int, end: int) -> DatasetPin:
    return DatasetPin(feed=FEED.name, definition=FEED.hash, generations={"0": 1}, offsets={"0": (first, end)})


def test_the_same_pin_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whether the pinned rows stood in the log or, later, in a file, the dataset is the same."""
    pin = pin_of(9_000, 20_400)
    write_rows(str(tmp_path / "a"), FEED, between(0, CUT))
    early = build_dataset(pin, FEED, str(tmp_path / "a"), tail_of(CUT, N))
    write_rows(str(tmp_path / "a"), FEED, between(CUT, 2 * CUT))
    later = build_dataset(pin, FEED, str(tmp_path / "a"), tail_of(CUT, N))
    write_rows(str(tmp_path / "a"), FEED, between(2 * CUT, N))
    filed = build_dataset(pin, FEED, str(tmp_path / "a"))
    assert early["offset"].tolist() == list(range(9_000, 20_400))
    assert dataset_bytes(early, pin, FEED) == dataset_bytes(later, pin, FEED) == dataset_bytes(filed, pin, FEED)
    write_dataset(filed, pin, FEED, str(tmp_path / "sets" / "one.parquet"))
    assert pq.read_table(tmp_path / "sets" / "one.parquet").num_rows == 11_400
    assert b'"offsets":{"0":[9000,20400]}' in pq.read_schema(tmp_path / "sets" / "one.parquet").metadata[b"streamgauge.pin"]


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """Offsets beyond files and log, a missing file, and another definition are each named."""
    write_rows(str(tmp_path), FEED, between(0, 2 * CUT))
    with pytest.raises(HistoryError, match="offsets 20000 to 20400 of generation 1 are not archived yet, and the log was not read"):
        build_dataset(pin_of(0, 20_400), FEED, str(tmp_path))
    with pytest.raises(HistoryError, match="the log was read up to offset 20300"):
        build_dataset(pin_of(0, 20_400), FEED, str(tmp_path), tail_of(2 * CUT, 20_300))
    HistoryFiles(str(tmp_path)).remove(HistoryFiles(str(tmp_path)).scores(FEED.name)[0].path)
    with pytest.raises(HistoryError, match="offsets 0 to 10000 is missing"):
        build_dataset(pin_of(0, 20_000), FEED, str(tmp_path))
    with pytest.raises(HistoryError, match="use the plant file as it was"):
        build_dataset(pin_of(0, 10), make_feed("other"), str(tmp_path))


def test_a_generation_that_is_over_needs_no_log(tmp_path: Path) -> None:
    """Once files of the next generation stand, a pin to the end of the one before is complete although no row is there."""
    write_rows(str(tmp_path), FEED, between(0, 300))
    write_rows(str(tmp_path), FEED, between(300, 400), generation=2)
    assert len(build_dataset(pin_of(0, CUT + 5), FEED, str(tmp_path))) == 300


def test_all_that_is_archived_can_be_pinned(tmp_path: Path) -> None:
    """The pin of the newest generation names its files' span; an empty history is refused."""
    with pytest.raises(HistoryError, match="archived yet"):
        pin_of_history(FEED, str(tmp_path))
    write_rows(str(tmp_path), FEED, between(0, 300))
    write_rows(str(tmp_path), FEED, between(300, CUT + 5), generation=2)
    pin = pin_of_history(FEED, str(tmp_path))
    assert (pin.generations, pin.offsets) == ({"0": 2}, {"0": (0, 2 * CUT)})
    assert len(build_dataset(pin, FEED, str(tmp_path))) == CUT + 5 - 300
