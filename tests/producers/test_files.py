"""Files are found, their columns told apart, and a row that cannot be read is named with file and line."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.definition import Category, Feed, Number
from contracts.errors import InputError
from producers.files import Source, choose_columns, find_files, read_rows

FEED = Feed("f", entity="pump", time="ts", fields=[Number("x"), Number("y"), Category("mode")])
NEW_YEAR = 1_767_225_600_000_000


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(path: Path, **settings):
    source = Source(path, path.stem)
    columns = choose_columns(source, source.open().header, FEED, **settings)
    return list(read_rows(source, 0, columns, None, rows=2))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_sniffed(tmp_path, delimiter):
    """Comma, semicolon, tab and bar all give the same rows, also with another of them inside quotes."""
    lines = [["ts", "pump", "x", "y", "mode"], ["2026-01-01T00:00:00Z", '"a,;b"', "1.5", "", "run"], ["1767225601", "c", "-2", "NaN", ""]]
    (first,) = rows_of(write(tmp_path / "a.csv", "\n".join(delimiter.join(line) for line in lines)))
    assert first.event_time.tolist() == [NEW_YEAR, NEW_YEAR + 1_000_000]
    assert first.entity.tolist() == ["a,;b", "c"]
    np.testing.assert_array_equal(first.numbers, [[1.5, np.nan], [-2.0, np.nan]])
    assert first.categories.tolist() == [["run"], [None]]
    assert first.line.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("2026-01-01,a,1,2", ":4: 4 cells where the header has 5"),
        ("yesterday,a,1,2,run", ":4: column 'ts': 'yesterday' is not a time"),
        (",a,1,2,run", ":4: column 'ts': '' is not a time"),
        ("2026-01-01,a,1,2..5,run", ":4: column 'y': '2..5' is not a number"),
        ("2026-01-01,,1,2,run", ":4: column 'pump' names no entity"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, bad, words):
    """A wrong number of cells, time, number or entity is reported with the file and its line, blank lines counted."""
    path = write(tmp_path / "a.csv", f"ts,pump,x,y,mode\n\n2026-01-01,a,1,2,run\n{bad}\n2026-01-01,a,1,2,run\n")
    with pytest.raises(InputError) as error:
        rows_of(path)
    assert str(path) + words in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ":1: no header"),
        (b"ts,x,x\n", ":1: column 'x' is named twice"),
        (b"ts,x\n2026-01-01,\xff\n", "not UTF-8"),
        (b"time,x\n2026-01-01,1\n", ":1: no column 'ts' for the time; choose from time, x with --time"),
        (b"ts,q\n2026-01-01,1\n", ":1: none of the fields x, y, mode is a column"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, words):
    """Empty, double column, wrong encoding and missing columns are reported with the fix."""
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(InputError) as error:
        rows_of(path)
    assert words in str(error.value)


def test_a_bom_and_windows_line_ends_do_no_harm(tmp_path):
    """What spreadsheets write is read like any other file."""
    (first,) = rows_of(write(tmp_path / "a.csv", b"\xef\xbb\xbfts,x\r\n2026-01-01,1\r\n"))
    assert first.numbers[0, 0] == 1.0


def test_infinity_is_a_number(tmp_path):
    """A value that is not finite was understood: it is impossible, not missing."""
    (first,) = rows_of(write(tmp_path / "a.csv", "ts,x\n2026-01-01,inf\n2026-01-02,-inf\n"))
    assert first.numbers[:, 0].tolist() == [np.inf, -np.inf]


def test_parquet_types_are_taken_as_they_are(tmp_path):
    """Timestamps of any unit and zone, integers, floats, nulls and strings of a Parquet file become the same rows."""
    moments = [dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), dt.datetime(2026, 1, 1, 0, 0, 1, tzinfo=dt.UTC)]
    table = pa.table(
        {
            "ts": pa.array(moments, pa.timestamp("ns", "Europe/Berlin")),
            "pump": ["a", "b"],
            "x": pa.array([1, None], pa.int32()),
            "y": pa.array([0.5, 2.0], pa.float32()),
            "mode": pa.array([True, None]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (first,) = rows_of(tmp_path / "a.parquet")
    assert first.event_time.tolist() == [NEW_YEAR, NEW_YEAR + 1_000_000]
    np.testing.assert_array_equal(first.numbers, [[1.0, 0.5], [np.nan, 2.0]])
    assert first.categories.tolist() == [["true"], [None]]


@pytest.mark.parametrize("kind", [pa.int32(), pa.uint32(), pa.int64(), pa.float64()])
@pytest.mark.parametrize("gap", [False, True])
def test_numbers_that_name_something_keep_their_digits(tmp_path, kind, gap):
    """An entity's number is a text of all its digits, whatever its type and whether the column has nulls elsewhere."""
    names = [1_234_567, 1_234_568]
    table = pa.table(
        {
            "ts": ["2026-01-01", "2026-01-02"],
            "pump": pa.array(names, kind),
            "x": [1.0, 2.0],
            "mode": pa.array([names[0], None if gap else 2_000_000_001], kind),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (first,) = rows_of(tmp_path / "a.parquet")
    assert first.entity.tolist() == ["1234567", "1234568"]
    assert first.categories[:, 0].tolist() == ["1234567", None if gap else "2000000001"]


def test_a_cell_without_end_is_a_sentence(tmp_path):
    """Damage among the first lines, where the delimiter is looked for, is told as damage further on."""
    with pytest.raises(InputError, match="cannot be read"):
        rows_of(write(tmp_path / "a.csv", "ts,x\n2026-01-01," + "1" * 10_000_001))


def test_a_damaged_parquet_file_is_named(tmp_path):
    """Bytes that are no Parquet end in a sentence."""
    with pytest.raises(InputError, match="Parquet"):
        rows_of(write(tmp_path / "a.parquet", b"nothing of the kind"))


def test_epochs_of_any_unit_are_times(tmp_path):
    """Seconds, milliseconds, microseconds and nanoseconds are told by their size, with and without fractions."""
    (first, second, third) = rows_of(
        write(tmp_path / "a.csv", "ts,x\n1767225600,1\n1767225600000,1\n1767225600000000,1\n1767225600000000000,1\n1767225600.5,1\n")
    )
    assert {*first.event_time.tolist(), *second.event_time.tolist()} == {NEW_YEAR}
    assert third.event_time.tolist() == [NEW_YEAR + 500_000]


def test_directories_globs_and_files_name_entities_below_their_root(tmp_path, monkeypatch):
    """The name is the path below the directory, the glob's fixed part, or the common parent, without the suffix."""
    for name in ("valve1/0.csv", "valve1/1.csv", "other/0.csv"):
        write(tmp_path / "skab" / name, "ts,x\n")
    write(tmp_path / "skab" / "README.md", "")
    names = ["other/0", "valve1/0", "valve1/1"]
    assert [s.name for s in find_files([tmp_path / "skab"])] == names
    assert [s.name for s in find_files([f"{tmp_path}/skab/**/*.csv"])] == names
    assert [s.name for s in find_files([f"{tmp_path}/skab/*/*.csv"])] == names
    assert [s.name for s in find_files(sorted((tmp_path / "skab").rglob("*.csv")))] == names
    monkeypatch.chdir(tmp_path / "skab")
    assert [s.name for s in find_files(["."])] == names
    assert [s.name for s in find_files(["valve1/0.csv"])] == ["0"]


def test_each_file_counts_once(tmp_path):
    """A file that two patterns match is read once."""
    write(tmp_path / "a.csv", "ts,x\n")
    assert len(find_files([tmp_path, f"{tmp_path}/*.csv"])) == 1


def test_files_that_would_share_a_name_are_refused(tmp_path):
    """a.csv and a.parquet beside each other would be one entity."""
    write(tmp_path / "a.csv", "ts,x\n")
    write(tmp_path / "a.parquet", "")
    with pytest.raises(InputError, match="would both be 'a'"):
        find_files([tmp_path])


def test_nothing_found_is_said(tmp_path):
    """A pattern without a match is refused with what can be named."""
    with pytest.raises(InputError, match="no file matches"):
        find_files([f"{tmp_path}/*.csv"])


def test_the_entity_column_can_be_named_or_the_path_taken(tmp_path):
    """--entity names a column, --entity-from path overrides one of the definition's name, and without one it is the path."""
    path = write(tmp_path / "a.csv", "ts,pump,machine,x\n2026-01-01,p,m,1\n")
    assert rows_of(path)[0].entity.tolist() == ["p"]
    assert rows_of(path, entity="machine")[0].entity.tolist() == ["m"]
    assert rows_of(path, from_path=True)[0].entity.tolist() == ["a"]
    assert rows_of(write(tmp_path / "b.csv", "ts,x\n2026-01-01,1\n"))[0].entity.tolist() == ["b"]
