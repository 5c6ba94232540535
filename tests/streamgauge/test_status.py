"""What `streamgauge status` prints."""

from __future__ import annotations

import re

import pytest
import rich.console

from streamgauge.commands.status import COLUMNS, _show

ROW = {column: 1_234_567_000 + place for place, column in enumerate(COLUMNS)}
STATUS = {
    "partitions": [ROW | {"partition": 0}],
    "totals": {column: 8_234_567_000 + place for place, column in enumerate(COLUMNS) if place > 3},
    "balanced": True,
}
NUMBERS = [f"{row[column]:,}" for row in (STATUS["partitions"][0], STATUS["totals"]) for column in COLUMNS if column in row]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", ["40", "80", "250"])
def test_no_number_is_cut(terminal: bool, width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of billions stand there whole, piped and on a terminal, however narrow; a terminal's lines fit where they can."""
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr(rich.console.Console, "is_terminal", terminal)
    _show("pumps", STATUS)
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert [number for number in NUMBERS if number not in out] == []
    assert "pumps: balanced" in out
    assert not terminal or max(map(len, out.splitlines())) <= int(width)
