"""False incidents on fleets without a fault against the budget, and the same thresholds on a shift of 1.5 σ.

python -m benchmarks.alarms [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy.stats import chi2

from benchmarks.fleets import NOISES, START, Fleet, fleet_feed
from benchmarks.machine import versions
from contracts.durations import MINUTE
from contracts.records import Alert
from stream_processors.backtest.backtest import Backtest
from stream_processors.backtest.partition_folds import place_entities

BUDGET = 1.0  # false alarms a week, the whole fleet
DAY_MINUTES, WEEK_MINUTES = 1_440, 10_080
WARM_UP = 3 * DAY_MINUTES
FLEETS = (1, 48)
SHIFT = 1.5  # in standard deviations of the noise
HORIZON = 3 * DAY_MINUTES  # a shift not found by then is not found
LATEST_SHIFT = DAY_MINUTES  # after the warm-up: shifts begin at different times of the day


def poisson_upper(events: int, exposure: float, confidence: float = 0.95) -> float:
    """Exact upper bound of a Poisson rate: chi2 quantile at 2 (events + 1) degrees of freedom, halved, over the exposure.

    Garwood 1936, "Fiducial limits for the Poisson distribution"; one-sided.
    """
    return float(chi2.ppf(confidence, 2 * (events + 1)) / 2.0 / exposure)


def run_fleet(fleet: Fleet, bar: Progress | None = None, task: Any = None) -> tuple[list[Alert], float]:
    """The alerts of a fleet through the backtest's folds, and rows a second."""
    feed = fleet_feed(BUDGET)
    placed = place_entities(fleet.names, feed.partitions)
    began = time.perf_counter()
    with Backtest(feed) as backtest:
        for columns, entity in fleet.chunks():
            backtest.fold(columns, np.arange(columns.n), placed[entity])
            if bar is not None:
                bar.update(task, advance=columns.n // fleet.entities)
        backtest.finish()
    assert backtest.folds.counters()["folded"] == fleet.entities * fleet.minutes
    return backtest.alerts, fleet.entities * fleet.minutes / (time.perf_counter() - began)


def without_fault(noise: str, entities: int, weeks: int, seed: int, bar: Progress) -> dict[str, Any]:
    """False incidents of one case; those of the warm-up are counted apart."""
    task = bar.add_task(f"{noise}, {entities}", total=WARM_UP + weeks * WEEK_MINUTES)
    alerts, rate = run_fleet(Fleet(noise, entities, WARM_UP + weeks * WEEK_MINUTES, seed), bar, task)
    opened = [alert for alert in alerts if alert.status == "opened"]
    counted = [alert for alert in opened if alert.event_time >= START + WARM_UP * MINUTE]
    upper = poisson_upper(len(counted), weeks)
    return {
        "noise": noise,
        "entities": entities,
        "weeks": weeks,
        "seed": seed,
        "false_incidents": len(counted),
        "in_warm_up": len(opened) - len(counted),
        "kinds": dict(Counter(alert.kind for alert in counted)),
        "per_week": len(counted) / weeks,
        "upper_95_per_week": upper,
        "budget_per_week": BUDGET,
        "within_twice_the_budget": upper <= 2 * BUDGET,
        "rows_per_s": round(rate),
        "incidents": [[a.kind, a.scope, a.entity, (a.event_time - START) // MINUTE, a.log10_e, a.threshold] for a in opened],
    }


def with_shift(noise: str, entities: int, repeats: int, seed: int, bar: Progress) -> dict[str, Any]:
    """Whether and after how many readings a lasting shift of one entity opens an incident on it."""
    task = bar.add_task(f"{noise}, {entities}: shift", total=repeats)
    delays: list[int | None] = []
    kinds: Counter[str] = Counter()
    for repeat in range(repeats):
        first = WARM_UP + repeat * LATEST_SHIFT // repeats
        alerts, _ = run_fleet(Fleet(noise, entities, first + HORIZON, seed + repeat, (first, SHIFT)))
        begin = START + first * MINUTE
        found = [a for a in alerts if a.status == "opened" and a.event_time >= begin and a.entity in (None, "e00")]
        delays.append((found[0].event_time - begin) // MINUTE + 1 if found else None)
        kinds[found[0].kind if found else "not found"] += 1
        bar.update(task, advance=1)
    known = [delay for delay in delays if delay is not None]
    return {
        "noise": noise,
        "entities": entities,
        "shift_sigma": SHIFT,
        "seeds": [seed, seed + repeats - 1],
        "repeats": repeats,
        "found": len(known),
        "readings": delays,
        "median_readings": statistics.median(known) if known else None,
        "worst_readings": max(known) if len(known) == repeats else None,
        "kinds": dict(kinds),
    }


def show(console: Console, healthy: list[dict[str, Any]], shifted: list[dict[str, Any]]) -> None:
    """Both tables."""
    table = Table(
        "noise",
        "entities",
        "weeks",
        "false incidents",
        "a week",
        "upper 95 %",
        "≤ 2 × budget",
        "kinds",
        title=f"no fault, budget {BUDGET:g} a week",
    )
    for row in healthy:
        kinds = ", ".join(f"{n} {kind}" for kind, n in row["kinds"].items())
        cells = [
            row["noise"],
            str(row["entities"]),
            str(row["weeks"]),
            str(row["false_incidents"]),
            f"{row['per_week']:.2f}",
            f"{row['upper_95_per_week']:.2f}",
        ]
        table.add_row(*cells, "yes" if row["within_twice_the_budget"] else "NO", kinds)
    console.print(table)
    table = Table(
        "noise", "entities", "found", "median readings", "worst", "kinds", title=f"a shift of {SHIFT:g} σ of one entity, same thresholds"
    )
    for row in shifted:
        kinds = ", ".join(f"{n} {kind}" for kind, n in row["kinds"].items())
        table.add_row(
            row["noise"],
            str(row["entities"]),
            f"{row['found']} of {row['repeats']}",
            str(row["median_readings"]),
            str(row["worst_readings"]),
            kinds,
        )
    console.print(table)


def main() -> None:
    """Runs every case, prints the tables, writes all of it; exit 1 where a bound is not kept or a shift not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 weeks a case and fewer shifts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    weeks, repeats = (2, 4) if options.quick else (20, 20)
    console = Console(width=None if sys.stdout.isatty() else 150)
    cases = [(noise, entities) for entities in FLEETS for noise in NOISES]
    healthy, shifted = [], []
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        for number, (noise, entities) in enumerate(cases):
            seed = options.seed * 1_000_000 + number * 10_000
            shifted.append(with_shift(noise, entities, repeats, seed + 1, bar))
            healthy.append(without_fault(noise, entities, weeks, seed, bar))
    show(console, healthy, shifted)
    passed = all(row["within_twice_the_budget"] for row in healthy) and all(row["found"] == row["repeats"] for row in shifted)
    result = {
        "passed": passed,
        "versions": versions(),
        "warm_up_days": WARM_UP / DAY_MINUTES,
        "without_fault": healthy,
        "with_shift": shifted,
    }
    console.print("too few weeks for a verdict" if options.quick else "passed" if passed else "NOT passed")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if not (passed or options.quick):
        sys.exit(1)


if __name__ == "__main__":
    main()
