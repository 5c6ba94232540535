"""`make bench`: its parts, their tables and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.bench import PARTS, Part, markdown, page, run
from benchmarks.plots import draw


def table_of(found: dict[str, Any]) -> list[Table]:
    """One row."""
    table = Table("what", "µs")
    table.add_row("all", f"{found['us']:.1f}")
    return [table]


def broken(*_: object) -> dict[str, Any]:
    """A part that cannot be had."""
    raise RuntimeError("no such engine")


def test_a_part_that_fails_hides_no_other() -> None:
    """It is told, with its reason, and the next one is measured."""
    said: list[str] = []
    parts = (Part("one", "the first", broken, table_of), Part("two", "the second", lambda *_: {"us": 2.0}, table_of))
    found, failed = run(parts, True, Console(quiet=True), said.append)
    assert (found, failed) == ({"two": {"us": 2.0}}, ["one"])
    assert any("no such engine" in line for line in said)


def test_a_table_becomes_markdown() -> None:
    """Header, rule, rows."""
    assert markdown(table_of({"us": 2.0})[0]) == "| what | µs |\n|---|---|\n| all | 2.0 |"


FOUND: dict[str, dict[str, Any]] = {
    "latency": {name: {"p50": 1.0, "p99": 2.0} for name in ("event_to_served_ms", "event_to_alert_ms", "read_100x50_ms")},
    "feast": {
        engine: {name: {"p50": ms, "p99": 2 * ms} for name in ("read_100x50_ms", "read_1x10_ms")}
        for engine, ms in (("streamgauge", 0.5), ("feast", 40.0))
    },
    "growth": {f"by_{what}": [{"n": n, "us_per_event": 2.0 + n} for n in (1, 2)] for what in ("entities", "fields", "windows")}
    | {"full_loop": [{"n": 10, "us_per_event": 4.0}]},
    "checkpoints": {"share": 0.02, "pause_ms": {"median": 3.0, "max": 20.0}},
    "offline": {f"{command}_{figure}": 5.0 for command in ("backtest", "backfill") for figure in ("rows_per_s", "start_s")},
    "memory": {"bytes_per_entity": 14_000, "said": 13_900, "off_by": 0.007},
    "start": {"help_s": {"median": 0.2}, "first_event_s": {"median": 2.5}, "first_event_embedded_s": {"median": 5.5}},
    "embedded": {"streamgauge": {"stages_us": {"fetch": 0.2, "rest": 0.1}, "cpu_us_per_event": 0.3}},
    "peers": {
        "streamgauge": {
            "title": "streamgauge worker",
            "left_out": "nothing",
            "events_per_s": 1e5,
            "cpu_us_per_event": 3.0,
            "cpu_us_per_event_range": [2.5, 4.0],
            "broker_us_per_event": 1.0,
            "store_us_per_event": 0.1,
            "stages_us": {"fetch": 0.2, "rest": 2.8},
        }
    },
}


def test_every_part_has_its_tables_on_the_page() -> None:
    """Under its title, with what it was measured with."""
    text = page(FOUND, {"quick": True, "versions": {"numpy": "2.4"}})
    assert text.startswith("Quick rounds. numpy 2.4")
    assert all(f"## {part.title}\n\n| " in text for part in PARTS)
    assert "| 100 entities × 50 features | 0.500 / 1.000 | 40.000 / 80.000 | 80.0 | 80.0 |" in text


def test_pictures_are_the_same_for_the_same_figures(tmp_path: Path) -> None:
    """Byte for byte, so that a commit shows what changed; none for a part that is not there."""
    pytest.importorskip("matplotlib")
    first, again = tmp_path / "first", tmp_path / "again"
    for directory in (first, again):
        directory.mkdir()
        assert sorted(path.name for path in draw(json.loads(json.dumps(FOUND)), directory)) == ["engines.svg", "growth.svg", "stages.svg"]
    assert all((first / path.name).read_bytes() == path.read_bytes() for path in again.iterdir())
    assert draw({}, tmp_path) == []
