"""Rates from looks at processes, and the shape of what is written."""

from __future__ import annotations

import io
import json
import math

import pytest
from rich.console import Console

from benchmarks import side_by_side
from benchmarks.engines import ENGINES, MORE_ENGINES
from benchmarks.processes import Rate, Sample, WarmUp, rate
from benchmarks.side_by_side import QUICK, cells, entry, report, tables


def looks(per_second: float, seconds: int, cpu: float = 0.5) -> list[Sample]:
    """One look a second at a client that uses `cpu` of a core, a broker a tenth, a store a hundredth."""
    return [Sample(100.0 + s, int(per_second * s), 7.0 + cpu * s, 3.0 + 0.1 * s, 0.01 * s) for s in range(seconds + 1)]


def test_a_rate_is_taken_between_warm_up_and_end() -> None:
    """The start, and what comes after all is nearly through, count for nothing."""
    found = rate(looks(1000.0, 10), WarmUp(1.0), 9_500)  # a second of processor time is over at the fourth look with progress
    assert (found.events, found.seconds, found.events_per_s) == (6_000, 6.0, 1_000.0)
    assert found.cpu_us_per_event == pytest.approx(500.0)
    assert found.broker_us_per_event == pytest.approx(100.0)
    assert found.store_us_per_event == pytest.approx(10.0)


def test_a_warm_up_may_ask_for_events_too() -> None:
    """Both have to pass."""
    assert rate(looks(1000.0, 10), WarmUp(0.5, 6_000), 100_000).events == 4_000


@pytest.mark.parametrize("samples", [[], looks(0.0, 5), looks(1000.0, 1)])
def test_no_progress_is_no_rate(samples: list[Sample]) -> None:
    """Rather than a division by zero, or a figure of a start."""
    with pytest.raises(ValueError, match="no progress"):
        rate(samples, WarmUp(3.0), 100_000)


def made_up() -> dict[str, object]:
    """A report in which streamgauge takes 2 µs, every other engine a hundred times as much."""
    ours, theirs = (Rate(1_000, 1.0, 1e6 / us, us, 0.5, 0.1) for us in (2.0, 200.0))
    found = {
        engine.name: [ours] if engine.name == "streamgauge" else [theirs, theirs._replace(cpu_us_per_event=220.0)] for engine in ENGINES
    }
    return report(ENGINES, found, {"fetch": 0.5, "decode": 0.75}, QUICK)


def test_the_report_has_the_agreed_shape() -> None:
    """The five engines by name with rate and cost, stages of streamgauge that add up; all of it JSON."""
    found = json.loads(json.dumps(made_up()))
    for name in ("streamgauge", "faust", "quix", "bytewax", "kafka_streams"):
        assert found[name]["events_per_s"] > 0 and found[name]["cpu_us_per_event"] > 0
    stages = found["streamgauge"]["stages_us"]
    assert math.isclose(sum(stages.values()), found["streamgauge"]["cpu_us_per_event"])
    assert found["faust"]["times_cpu"] == 105.0 and found["faust"]["cpu_us_per_event_range"] == [200.0, 220.0]
    assert found["faust"]["times_slower"] == 100.0
    assert "times_cpu" not in found["streamgauge"]


def test_without_streamgauge_there_are_no_ratios() -> None:
    """A ratio to another run would be none of one machine at one time."""
    engine = ENGINES[1]
    found = report([engine], {engine.name: [Rate(10, 1.0, 10.0, 1e5, 1.0, 1.0)]}, {}, QUICK)
    assert "times_cpu" not in found[engine.name]


def test_the_table_shows_every_engine_and_what_it_leaves_out() -> None:
    """One row each, in the order they were measured."""
    console = Console(file=io.StringIO(), width=400)
    for table in tables(made_up()):  # type: ignore[arg-type]
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    places = [text.index(engine.title) for engine in ENGINES]
    assert places == sorted(places)
    assert all(engine.left_out in text for engine in ENGINES)


def test_a_cell_names_median_and_span() -> None:
    """Of the rounds."""
    engine = ENGINES[1]
    rounds = [Rate(10, 1.0, 1_000.0, us, 0.0, 0.0) for us in (900.0, 1_000.0, 1_300.0)]
    assert cells(entry(engine, rounds))[2] == "1,000.00 (900.00–1,300.00)"


def test_engines_bear_names_of_their_own() -> None:
    """They are the keys of the report."""
    names = side_by_side.names()
    assert len(set(names)) == len(names) == len(ENGINES) + len(MORE_ENGINES)
