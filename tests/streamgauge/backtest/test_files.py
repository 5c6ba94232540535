"""The command on files: what is read, what becomes of odd rows, what is written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contracts.definition import Category, Feed, Number
from contracts.errors import InputError
from contracts.outcomes import Reason
from producers.files import find_files
from streamgauge.backtest.history import History, read_history
from streamgauge.command_line import run

FEED = Feed("f", entity="e", time="t", fields=[Number("x"), Category("c")])
PLANT = """from streamgauge import Feed, Number
f = Feed("f", entity="device", time="t", fields=[Number("x")], windows=["1m"], season=None, partitions=2)
"""


def history(*files: Path, from_path: bool = False) -> History:
    """Files as read, with the feed's own column names."""
    return read_history(FEED, find_files(files), None, None, from_path, lambda rows: None)


def test_odd_rows_are_dead_letters_with_their_reason(tmp_path: Path) -> None:
    """A row that can't be understood is no error: it keeps its entity, and the reason says what was wrong."""
    rows = ["a,2026-01-01T00:00:00Z,1.5,on", "a,yesterday,1,on", ",2026-01-01,1,", "a,,1,", "b,2026-01-01,two,on", "b,2026-01-01 00:01,NA,"]
    (tmp_path / "a.csv").write_text("e,t,x,c\n" + "\n".join(rows) + "\n")
    found = history(tmp_path / "a.csv")
    assert found.columns.reason.tolist() == [0, Reason.TIME_UNREADABLE, Reason.ENTITY_MISSING, Reason.TIME_MISSING, Reason.TYPE, 0]
    assert [found.names[code].decode() if code >= 0 else "" for code in found.entity] == ["a", "a", "", "a", "b", "b"]
    assert found.order.tolist() == [0, 1, 2, 3, 4, 5]


def test_files_are_merged_by_event_time(tmp_path: Path) -> None:
    """Of equal times the earlier file comes first; a file out of order is sorted; epochs and ISO 8601 meet."""
    (tmp_path / "a.csv").write_text("e,t,x\na,1767225600,1\na,1767225720,2\na,1767225660,3\n")
    pd.DataFrame({"e": ["b", "b"], "t": pd.to_datetime(["2026-01-01T00:00:00", "2026-01-01T00:01:30"]), "x": [4, 5]}).to_parquet(
        tmp_path / "b.parquet"
    )
    found = history(tmp_path)
    assert found.columns.number[found.order, 0].tolist() == [1.0, 4.0, 3.0, 5.0, 2.0]


def test_the_path_names_the_entity(tmp_path: Path) -> None:
    """Where no column does, or where asked for."""
    for name in ("p/0", "q/0"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.csv").write_text("t;x\n2026-01-01;1\n")
    assert history(tmp_path).names == [b"p/0", b"q/0"]


def test_a_damaged_row_is_told_with_its_line(tmp_path: Path) -> None:
    """A row with too few cells ends the command with file and line."""
    (tmp_path / "a.csv").write_text("e,t,x\na,2026-01-01,1\na,2026-01-01\n")
    with pytest.raises(InputError, match=r"a\.csv:3: 2 cells where the header has 3"):
        history(tmp_path / "a.csv")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """One device that repeats a reading, and one whose sensor sticks for good."""
    rng = np.random.default_rng(3)
    lines = ["device,t,x"]
    for i in range(4_000):
        for name in ("a", "b"):
            value = 5.0 if name == "b" and i > 3_000 else rng.standard_normal()
            lines.append(f"{name},{1_767_225_600 + 10 * i},{value!r}")
    lines.insert(1000, lines[999])
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "plant.py").write_text(PLANT)
    return tmp_path


def test_outputs(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row an input row in input order; alarm is 1 on the stuck device from its incident on; the report adds up."""
    assert run(["backtest", str(files / "a.csv"), "--definition", str(files / "plant.py"), "--out", str(files / "out")]) == 0
    rows = list(csv.DictReader((files / "out" / "scores.csv").open()))
    report = json.loads((files / "out" / "report.json").read_text())
    alerts = [json.loads(line) for line in (files / "out" / "alerts.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == [str(i) for i in range(1, 8_002)]
    assert list(rows[0]) == ["row", "entity", "event_time", "outcome", "score", "p_value", "alarm"]
    assert rows[0]["event_time"] == "2026-01-01T00:00:00.000000Z"
    assert [i for i, row in enumerate(rows) if row["outcome"] == "duplicate"] == [999]
    assert report["outcomes"] == {"folded": 8_000, "duplicate": 1, "late": 0, "dead_lettered": 0}
    assert report["partitions"] == 2
    assert "Kafka timestamp" in report["clock_ahead"]
    opened = [alert for alert in alerts if alert["status"] == "opened"]
    assert report["incidents"] == len(opened) == sum(report["incidents_by_kind"].values())
    assert [alert["entity"] for alert in opened] == ["b"]  # as an unusual device at first, some readings before it is known as stuck
    assert alerts[-1]["kind"] == "stuck"
    assert alerts[-1]["incident"] == opened[0]["incident"]
    began = min(alert["event_time"] for alert in opened if alert["entity"] == "b")
    alarmed = [row for row in rows if row["alarm"] == "1"]
    assert {row["entity"] for row in alarmed} == {"b"}
    assert np.datetime64(alarmed[0]["event_time"][:-1], "us").astype(int) == began
    assert "8,001 rows of 2 entities" in capsys.readouterr().out


def test_a_definition_is_inferred(files: Path) -> None:
    """Without one, the plant file that `init` writes stands beside the results."""
    assert run(["backtest", str(files / "a.csv"), "--partitions", "1", "--out", str(files / "out")]) == 0
    assert 'entity="device"' in (files / "out" / "plant.py").read_text()
    assert json.loads((files / "out" / "report.json").read_text())["partitions"] == 1


def test_a_plant_file_that_differs_is_not_overwritten(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A definition of one's own that stands where the inferred one would go is kept, and the command says what to do."""
    own = files / "out" / "plant.py"
    own.parent.mkdir()
    own.write_text("# my own\n")
    assert run(["backtest", str(files / "a.csv"), "--out", str(own.parent)]) == 1
    assert own.read_text() == "# my own\n"
    assert f"--definition {own}" in capsys.readouterr().err
