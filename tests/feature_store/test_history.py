from pathlib import Path

import numpy as np
import pytest

from contracts.errors import HistoryError, SettingsError
from feature_store.history import LogTail, newest_revision, read_history
from feature_store.history_files import CUT, HistoryFiles, resolve_history
from feature_store.history_rows import history_table
from tests.feature_store.history_sample import START, make_feed, mark_complete, rows_at, write_rows

FEED = make_feed()


def names(n: int) -> list[str]:
    return [f"p{i % 3}" for i in range(n)]


def test_chosen_rows_and_columns(tmp_path: Path) -> None:
    """Entities, a half-open span of event time and features are taken out of all files."""
    n = CUT + 100
    write_rows(str(tmp_path), FEED, rows_at(names(n), START + np.arange(n)))
    moment = "2026-01-01T00:00:00.009990"
    frame = read_history(str(tmp_path), FEED, entities=["p0", "p2"], start=moment, end="2026-01-01T00:00:00.010050Z", features=["x_last"])
    assert frame["offset"].tolist() == [i for i in range(9_990, 10_050) if i % 3 != 1]
    assert "x_since" not in frame and frame["x_last"].tolist() == frame["offset"].tolist()
    with pytest.raises(HistoryError, match="no feature 'y_last'"):
        read_history(str(tmp_path), FEED, features=["y_last"])


def test_files_and_the_log_after_them_are_one(tmp_path: Path) -> None:
    """Rows of the log that meanwhile stand in a file are not taken twice."""
    n = CUT + 100
    rows = rows_at(names(n), START + np.arange(n))
    write_rows(str(tmp_path), FEED, type(rows)(*(column[:CUT] for column in rows)))
    late = type(rows)(*(column[CUT - 50 :] for column in rows))
    tail = LogTail(history_table(FEED, late, 1, 0, 0), {0: (1, n)})
    assert read_history(str(tmp_path), FEED, tail=tail)["offset"].tolist() == list(range(n))


def test_a_revision_stands_in_place_of_what_it_revises(tmp_path: Path) -> None:
    """Revision 1 replaces a row of the same offset and adds one beside; revision 0 shows neither, an unfinished one is refused."""
    rows = rows_at(names(5), START + np.arange(5))
    live = type(rows)(*(np.asarray(column)[[0, 1, 3, 4]] for column in rows))
    revised = type(rows)(*(np.asarray(column)[[2, 3]] for column in rows))
    write_rows(str(tmp_path), FEED, live)
    write_rows(str(tmp_path), FEED, revised, revision=1)
    with pytest.raises(HistoryError, match="no complete revision 1; there are 0"):
        read_history(str(tmp_path), FEED, revision=1)
    mark_complete(str(tmp_path), FEED, 1, 1)
    assert newest_revision(str(tmp_path), FEED) == 1
    assert read_history(str(tmp_path), FEED)["offset"].tolist() == [0, 1, 3, 4]
    assert read_history(str(tmp_path), FEED, revision=1)["revision"].tolist() == [0, 0, 1, 1, 0]


def test_of_several_loads_the_newest_counts(tmp_path: Path) -> None:
    """Generation 0 comes from files: revision 2's load replaces revision 0's whole, and only once it is complete."""
    for revision, n in ((0, 3), (2, 2)):
        write_rows(str(tmp_path), FEED, rows_at(names(n), START + np.arange(n)), generation=0, revision=revision)
    assert len(read_history(str(tmp_path), FEED)) == 0
    mark_complete(str(tmp_path), FEED, 0, 0)
    assert len(read_history(str(tmp_path), FEED)) == 3
    mark_complete(str(tmp_path), FEED, 2, 0)
    assert len(read_history(str(tmp_path), FEED)) == 3
    assert read_history(str(tmp_path), FEED, revision=2)["revision"].tolist() == [2, 2]


def test_object_stores_and_bad_urls() -> None:
    """Any fsspec URL will do; one that nothing reads is refused with the fix."""
    write_rows("memory://history", FEED, rows_at(names(4), START + np.arange(4)))
    assert len(read_history("memory://history", FEED)) == 4
    with pytest.raises(SettingsError, match="write a directory"):
        HistoryFiles("nonsense://bucket")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """What is no Parquet is refused by its path."""
    write_rows(str(tmp_path), FEED, rows_at(names(4), START + np.arange(4)))
    files = HistoryFiles(str(tmp_path))
    files.write(files.scores("pumps")[0].path, b"PAR1 nonsense")
    with pytest.raises(HistoryError, match=r"000000000000\.parquet cannot be read"):
        read_history(str(tmp_path), FEED)


def test_the_url_is_option_then_environment_then_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """--to comes before STREAMGAUGE_HISTORY, which comes before ./history."""
    assert resolve_history(None) == "history"
    monkeypatch.setenv("STREAMGAUGE_HISTORY", "s3://bucket/h")
    assert (resolve_history(None), resolve_history("here")) == ("s3://bucket/h", "here")
