"""Engines side by side: rounds in turn, so that what else the machine does meets all of them alike; medians and ratios."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.table import Column, Table

from benchmarks.engines import ENGINES, EVENTS, MORE_ENGINES, Engine, run_round, versions
from benchmarks.job import bench_feed, joined, load, make_events
from benchmarks.machine import versions as machine_versions
from benchmarks.processes import Rate
from benchmarks.servers import BenchServers
from benchmarks.stages import stages_alone, stages_table
from stream_processors.topics import ensure_topics
from streamgauge.warm_up import warm_up


class Size(NamedTuple):
    """How long it takes."""

    events: int  # on the topic: the fastest engine is through with them before the time is up
    rounds: int
    seconds: float  # of a round after its warm-up
    stage_events: int


FULL = Size(6_000_000, 5, 10.0, 500_000)
QUICK = Size(1_500_000, 2, 4.0, 200_000)


def names() -> list[str]:
    """Every engine that can be measured."""
    return [engine.name for engine in (*ENGINES, *MORE_ENGINES)]


def side_by_side(size: Size, only: Sequence[str] | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures the engines (those of the issue where `only` names none), and the stages of streamgauge."""
    engines = [engine for engine in (*ENGINES, *MORE_ENGINES) if engine.name in only] if only else list(ENGINES)
    warm_up()  # here, so that the worker's kernels come from the cache and no engine waits for them
    found: dict[str, list[Rate]] = {engine.name: [] for engine in engines}
    failed: dict[str, str] = {}
    with BenchServers() as servers:
        feed = bench_feed()
        ensure_topics(feed, servers.servers.kafka)
        began = time.monotonic()
        asyncio.run(load(servers.servers.kafka, EVENTS, make_events(size.events)))
        say(f"{size.events:,} events on the topic in {time.monotonic() - began:.0f} s")
        for number in range(size.rounds):
            for engine in engines:
                if engine.name in failed:
                    continue
                try:
                    one = run_round(engine, servers, number, size.events, size.seconds)
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # not to be had here, or it broke: the others go on
                    failed[engine.name] = str(error)
                    say(f"{engine.name} failed: {error}")
                    continue
                found[engine.name].append(one)
                say(f"round {number + 1} of {size.rounds}: {engine.name} {one.events_per_s:,.0f} events/s, {one.cpu_us_per_event:.2f} µs")
        stages = asyncio.run(stages_alone(servers.servers, feed, joined(make_events(size.stage_events))))
    return report(engines, found, stages, size) | {"failed": failed}


def report(engines: Sequence[Engine], found: dict[str, list[Rate]], stages: dict[str, float], size: Size) -> dict[str, Any]:
    """The figures as they are written: one entry an engine, ratios to streamgauge where that was measured."""
    out: dict[str, Any] = {engine.name: entry(engine, found[engine.name]) for engine in engines if found[engine.name]}
    ours = out.get("streamgauge")
    if ours:
        ours["stages_us"] = {name: round(value, 3) for name, value in stages.items()}
        ours["stages_us"]["rest"] = round(ours["cpu_us_per_event"] - sum(stages.values()), 3)
        for name, theirs in out.items():
            if name != "streamgauge":
                theirs["times_cpu"] = round(theirs["cpu_us_per_event"] / ours["cpu_us_per_event"], 1)
                theirs["times_slower"] = round(ours["events_per_s"] / theirs["events_per_s"], 1)
    shape = {"events_on_topic": size.events, "rounds": size.rounds, "seconds_a_round": size.seconds}
    return out | {"size": shape, "versions": machine_versions() | versions()}


def entry(engine: Engine, rates: Sequence[Rate]) -> dict[str, Any]:
    """Medians of rounds, with their smallest and largest."""
    out: dict[str, Any] = {"title": engine.title, "left_out": engine.left_out, "rounds": len(rates)}
    for field, digits in (("events_per_s", 1), ("cpu_us_per_event", 3)):
        values = [getattr(one, field) for one in rates]
        out[field] = round(statistics.median(values), digits)
        out[f"{field}_range"] = [round(min(values), digits), round(max(values), digits)]
    for field in ("broker_us_per_event", "store_us_per_event", "seconds"):
        out[field] = round(statistics.median(getattr(one, field) for one in rates), 2)
    return out


def tables(found: dict[str, Any]) -> list[Table]:
    """Engines, what each leaves out, and the stages of streamgauge."""
    rows = [row for row in found.values() if isinstance(row, dict) and "cpu_us_per_event" in row]
    columns = ("events/s", "µs an event (span)", "× µs", "× slower", "broker µs", "store µs")
    measured = Table("engine", *(Column(name, justify="right") for name in columns))
    favours = Table("engine", "left out in its favour")
    for row in rows:
        measured.add_row(*cells(row))
        favours.add_row(row["title"], row["left_out"])
    out: list[Table] = [measured, favours]
    if "stages_us" in found.get("streamgauge", {}):
        out.append(stages_table(found["streamgauge"]))
    return out


def cells(row: dict[str, Any]) -> list[str]:
    """One row as text: medians, and the span of the rounds."""
    low, high = row["cpu_us_per_event_range"]
    return [
        row["title"],
        f"{row['events_per_s']:,.0f}",
        f"{row['cpu_us_per_event']:,.2f} ({low:,.2f}–{high:,.2f})",
        f"{row['times_cpu']:,.1f}" if "times_cpu" in row else "1",
        f"{row['times_slower']:,.1f}" if "times_slower" in row else "1",
        f"{row['broker_us_per_event']:.2f}",
        f"{row['store_us_per_event']:.2f}",
    ]
