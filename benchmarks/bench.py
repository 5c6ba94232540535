"""Everything that docs/benchmarks.md says of speed, in one go: tables on the way, figures and pictures at the end.

    make bench             # half an hour
    make bench QUICK=1     # 8 minutes: fewer, shorter rounds

Writes benchmarks/results/latest.json, and beside it the tables as Markdown (latest.md) and pictures. A part that fails is told,
and the others go on; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import checkpoints, engines, entity_memory, feast, growth, latency, offline, side_by_side, start, throughput
from benchmarks.machine import versions
from benchmarks.plots import draw

RESULTS = Path(__file__).parent / "results"
Say = Callable[[str], None]


class Part(NamedTuple):
    """One measurement: its name in the file, what it is, how it is taken and shown."""

    name: str
    title: str
    measure: Callable[[bool, Say], dict[str, Any]]  # (quick, say)
    tables: Callable[[dict[str, Any]], list[Table]]


def _peers(quick: bool, say: Say) -> dict[str, Any]:
    size = side_by_side.QUICK if quick else side_by_side.FULL
    return side_by_side.side_by_side(size, None if quick else side_by_side.names(), say)


def _alone(quick: bool, _: Say) -> dict[str, Any]:
    return throughput.run(300_000 if quick else 1_000_000, 1 if quick else 5, Console(stderr=True))


def _latency(quick: bool, say: Say) -> dict[str, Any]:
    return latency.measure(latency.QUICK if quick else latency.FULL, say)


def _feast(quick: bool, _: Say) -> dict[str, Any]:
    return feast.measure(3.0 if quick else 10.0)


def _growth(quick: bool, _: Say) -> dict[str, Any]:
    return growth.measure(60_000, 150_000, growth.ENTITIES[:4]) if quick else growth.measure()


def _start(quick: bool, _: Say) -> dict[str, Any]:
    return start.measure(2 if quick else 5)


def _checkpoints(quick: bool, _: Say) -> dict[str, Any]:
    return checkpoints.measure(1_600_000, 1) if quick else checkpoints.measure()


def _offline(quick: bool, _: Say) -> dict[str, Any]:
    return offline.measure(600_000) if quick else offline.measure()


PARTS = (
    Part("peers", "side by side on Apache Kafka, one core each", _peers, side_by_side.tables),
    Part("embedded", "streamgauge alone, embedded broker", _alone, lambda found: [throughput.stages_table(found["streamgauge"])]),
    Part("latency", "10,000 events a second, exactly once", _latency, lambda found: [latency.latency_table(found)]),
    Part("feast", "reads beside Feast", _feast, lambda found: [feast.feast_table(found)]),
    Part("growth", "growth", _growth, lambda found: [growth.growth_table(found)]),
    Part("checkpoints", "checkpoints", _checkpoints, lambda found: [checkpoints.checkpoints_table(found)]),
    Part("offline", "backtest and backfill", _offline, lambda found: [offline.offline_table(found)]),
    Part("memory", "memory", lambda *_: entity_memory.measure(), lambda found: [entity_memory.memory_table(found)]),
    Part("start", "start", _start, lambda found: [start.start_table(found)]),
)


def run(parts: tuple[Part, ...], quick: bool, console: Console, say: Say) -> tuple[dict[str, Any], list[str]]:
    """Takes every part; (figures by part, names of those that failed)."""
    found: dict[str, Any] = {}
    failed = []
    for part in parts:
        begun = time.monotonic()
        say(f"{part.title}…")
        try:
            found[part.name] = part.measure(quick, say)
        except Exception as error:  # a part that cannot be had here must not hide the others
            failed.append(part.name)
            say(f"{part.name} failed: {type(error).__name__}: {error}")
            continue
        for table in part.tables(found[part.name]):
            console.print(table)
        say(f"{part.name}: {time.monotonic() - begun:.0f} s")
    return found, failed


def markdown(table: Table) -> str:
    """A table as docs/benchmarks.md has it."""
    columns = table.columns
    rows = [[str(column.header) for column in columns], *zip(*(map(str, column.cells) for column in columns), strict=True)]
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(columns), *body])


def page(found: dict[str, Any], about: dict[str, Any]) -> str:
    """Every table under its title, and what it was measured with."""
    parts = [f"{'Quick rounds. ' if about['quick'] else ''}{', '.join(f'{name} {value}' for name, value in about['versions'].items())}"]
    for part in PARTS:
        if part.name in found:
            parts += [f"## {part.title}", *map(markdown, part.tables(found[part.name]))]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="these parts only")
    parser.add_argument("--to", type=Path, default=RESULTS, help="folder for latest.json and pictures")
    options = parser.parse_args()
    console, progress = Console(width=None if sys.stdout.isatty() else 160), Console(stderr=True)
    parts = tuple(part for part in PARTS if not options.only or part.name in options.only)
    begun = time.monotonic()
    found, failed = run(parts, options.quick, console, lambda line: progress.print(line, highlight=False))
    about: dict[str, Any] = {"quick": options.quick, "failed": failed, "seconds": round(time.monotonic() - begun)}
    about["versions"] = versions() | engines.versions()
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "latest.json").write_text(json.dumps(about | found, indent=2, ensure_ascii=False) + "\n")
    (options.to / "latest.md").write_text(page(found, about))
    written = [options.to / "latest.json", options.to / "latest.md", *draw(found, options.to)]
    console.print(f"{about['seconds']} s; written: {', '.join(map(str, written))}", soft_wrap=True)
    if failed or found.get("peers", {}).get("failed"):
        sys.exit(1)


if __name__ == "__main__":
    main()
