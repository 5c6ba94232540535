"""The gate by simulation: promotions of models that are no better, labels until a better one is promoted, rollbacks, the test of risk.

python -m benchmarks.gate [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy.stats import beta

from benchmarks.machine import versions
from benchmarks.paired_losses import GatePlan, Models, bias_for, mean_absolute_error, run_gate, run_risk
from online_model.paired_test import LEVEL

LABELS = 100_000
BOUND = 0.01  # that the upper 95 % bound of promotions without a reason has to stay within
GAIN, LOSS = 0.9, 1.1  # of the challenger's losses
GOOD, TURNS_BAD_AT, BAD = 1.0 / 0.9, 20_480, 0.8  # the old champion's losses in those of the new: at first, and from which label on
RISK_LEVEL = 1e4  # of the CUSUM of the test of risk
NEVER = 1 << 40  # a label that no simulation reaches
STEP = 50  # pairs between two looks at the progress

_ALONE = mean_absolute_error(1.0, 0.0, 0.0)
_SHARED = mean_absolute_error(1.0, 1.0, 0.0)
CASES = {  # name: (models, mean loss of both)
    "errors of their own, 1 : 1": (Models(1.0, 0.0, 1.0, 0.0), _ALONE),
    "errors of their own, 1 : ½": (Models(1.0, 0.0, 0.5, bias_for(_ALONE, 0.5)), _ALONE),
    "errors of their own, ½ : 1": (Models(0.5, bias_for(_ALONE, 0.5), 1.0, 0.0), _ALONE),
    "errors of their own, 1⁄20 : 1": (Models(0.05, bias_for(_ALONE, 0.05), 1.0, 0.0), _ALONE),
    "shared error, 1 : 1": (Models(1.0, 0.0, 1.0, 0.0, 1.0), _SHARED),
    "shared error, 1 : 0.3": (Models(1.0, 0.0, 0.3, bias_for(_SHARED, 0.3, 1.0), 1.0), _SHARED),
    "shared error, 0.3 : 1": (Models(0.3, bias_for(_SHARED, 0.3, 1.0), 1.0, 0.0, 1.0), _SHARED),
    "difference of losses": (Models(0.0, _ALONE, 0.0, _ALONE, 0.0, 1.0), 1.5 * _ALONE),
}


def binomial_upper(events: int, trials: int, confidence: float = 0.95) -> float:
    """Exact one-sided upper bound of a share (Clopper & Pearson 1934): a quantile of Beta(events + 1, trials − events)."""
    return 1.0 if events >= trials else float(beta.ppf(confidence, events + 1, trials - events))


class Simulation:
    """Runs pairs of models through the gate, `STEP` at a time, with a bar of progress; every pair of every run has a seed of its own."""

    def __init__(self, seed: int, bar: Progress) -> None:
        self._seed, self._bar, self._task = seed * 1_000_000_000, bar, bar.add_task("")

    def gate(self, case: str, pairs: int, plan: GatePlan, what: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(label of each pair's decision or −1, whether its confidence sequence ever missed the true difference)."""
        taken, missed = np.empty(pairs, np.int64), np.empty(pairs, np.bool_)
        first = self._begin(f"{what}: {case}", pairs)
        for i in range(0, pairs, STEP):
            run_gate(CASES[case][0], first + i, plan, taken[i : i + STEP], missed[i : i + STEP])
            self._bar.update(self._task, completed=i + STEP)
        return taken, missed

    def risk(self, case: str, champions: int, change: int, factor: float, what: str) -> NDArray[np.int64]:
        """Label of each champion's first alarm of risk, or −1."""
        alarms = np.empty(champions, np.int64)
        first = self._begin(f"{what}: {case}", champions)
        for i in range(0, champions, STEP):
            run_risk(CASES[case][0], first + i, LABELS, change, factor, RISK_LEVEL, alarms[i : i + STEP])
            self._bar.update(self._task, completed=i + STEP)
        return alarms

    def _begin(self, text: str, total: int) -> int:
        """The seed of a run's first pair."""
        self._bar.reset(self._task, description=text, total=total)
        self._seed += 1_000_000
        return self._seed


def plan(factor: float, difference: float, restarting: bool = False, later: float | None = None, change: int = NEVER) -> GatePlan:
    """A plan over LABELS labels at the gate's own level."""
    return GatePlan(LABELS, LEVEL, restarting, factor, change, factor if later is None else later, difference)


def labels_needed(labels: NDArray[np.int64]) -> dict[str, Any]:
    """Share decided, and median and 90 % quantile of the labels; None where fewer were decided."""
    found = np.sort(np.where(labels > 0, labels, NEVER))
    at = {name: int(found[min(int(np.ceil(q * len(found))) - 1, len(found) - 1)]) for name, q in (("median", 0.5), ("quantile_90", 0.9))}
    return {"share": float((labels > 0).mean())} | {name: None if n == NEVER else n for name, n in at.items()}


def share_row(case: str, labels: NDArray[np.int64]) -> dict[str, Any]:
    """How many were decided, and the upper bound of their share."""
    decided = int((labels > 0).sum())
    return {"case": case, "pairs": len(labels), "decided": decided, "upper_95": binomial_upper(decided, len(labels))}


def equal(simulation: Simulation, pairs: int) -> list[dict[str, Any]]:
    """A against A: every promotion is a wrong one."""
    rows = []
    for case in CASES:
        taken, missed = simulation.gate(case, pairs, plan(1.0, 0.0), "A against A")
        rows.append(share_row(case, taken) | {"confidence_sequence_missed": float(missed.mean())})
    return rows


def power(simulation: Simulation, pairs: int) -> list[dict[str, Any]]:
    """A challenger whose mean absolute error is lower by a tenth, and one whose is higher by a tenth."""
    rows = []
    for case, (_, mean) in CASES.items():
        taken, missed = simulation.gate(case, pairs, plan(GAIN, (1.0 - GAIN) * mean), "a tenth better")
        worse, _ = simulation.gate(case, pairs, plan(LOSS, (1.0 - LOSS) * mean), "a tenth worse")
        row = {"case": case, "pairs": pairs} | labels_needed(taken)
        rows.append(row | {"worse_promoted": int((worse > 0).sum()), "confidence_sequence_missed": float(missed.mean())})
    return rows


def rollback(simulation: Simulation, pairs: int) -> list[dict[str, Any]]:
    """The watch after a promotion: the new champion is a tenth better, and from a label on a quarter worse than the old one."""
    rows = []
    for case, (_, mean) in CASES.items():
        watch = plan(GOOD, (1.0 - GOOD) * mean, True, BAD, TURNS_BAD_AT)
        taken, _ = simulation.gate(case, pairs, watch, "turns bad")
        after = np.where(taken > TURNS_BAD_AT, taken - TURNS_BAD_AT, -1)
        same, _ = simulation.gate(case, pairs, plan(1.0, 0.0, True), "watch, A against A")
        row = {"case": case, "pairs": pairs, "while_good": int(((taken > 0) & (taken <= TURNS_BAD_AT)).sum())}
        rows.append(row | labels_needed(after) | {"equal_rolled_back": int((same > 0).sum())})
    return rows


def risk(simulation: Simulation, champions: int) -> list[dict[str, Any]]:
    """The test of risk: alarms without a change, and labels from a rise by a quarter and from a doubling to the alarm."""
    rows = []
    for case in ("errors of their own, 1 : 1", "errors of their own, ½ : 1", "shared error, 1 : 1"):
        row = share_row(case, simulation.risk(case, champions, NEVER, 1.0, "risk, no change"))
        for name, factor in (("rise_25_percent", 1.25), ("doubling", 2.0)):
            alarms = simulation.risk(case, champions, TURNS_BAD_AT, factor, f"risk, times {factor:g}")
            row[name] = labels_needed(np.where(alarms > TURNS_BAD_AT, alarms - TURNS_BAD_AT, -1))
        rows.append(row)
    return rows


def needed(row: dict[str, Any]) -> list[str]:
    """Cells of `labels_needed`."""
    return [f"{100 * row['share']:.1f} %"] + ["–" if row[name] is None else f"{row[name]:,}" for name in ("median", "quantile_90")]


def show(console: Console, result: dict[str, Any]) -> None:
    """The tables."""
    table = Table("errors, champion : challenger", "pairs", "promoted", "upper 95 %", "≤ 1 %", title=f"A against A, {LABELS:,} labels")
    for row in result["equal"]:
        within = "yes" if row["upper_95"] <= BOUND else "too few pairs" if binomial_upper(0, row["pairs"]) > BOUND else "NO"
        table.add_row(row["case"], f"{row['pairs']:,}", str(row["decided"]), f"{100 * row['upper_95']:.2f} %", within)
    console.print(table)
    columns = ("promoted", "median labels", "90 %", "a tenth worse: promoted")
    table = Table("errors, champion : challenger", "pairs", *columns, title="a challenger with 10 % lower mean absolute error")
    for row in result["power"]:
        table.add_row(row["case"], f"{row['pairs']:,}", *needed(row), str(row["worse_promoted"]))
    console.print(table)
    columns = ("while better", "rolled back", "median labels", "90 %", "A against A: rolled back")
    table = Table("errors, new : old", "pairs", *columns, title="a champion that goes bad after its promotion")
    for row in result["rollback"]:
        table.add_row(row["case"], f"{row['pairs']:,}", str(row["while_good"]), *needed(row), str(row["equal_rolled_back"]))
    console.print(table)
    columns = ("no change: alarms", "+ 25 %: found", "median labels", "90 %", "× 2: found", "median labels", "90 %")
    table = Table("errors", "champions", *columns, title=f"risk against its own reference, evidence {RISK_LEVEL:.0e}")
    for row in result["risk"]:
        table.add_row(row["case"], f"{row['pairs']:,}", str(row["decided"]), *needed(row["rise_25_percent"]), *needed(row["doubling"]))
    console.print(table)


def passed(result: dict[str, Any]) -> bool:
    """No promotion without a reason beyond the bound, none of a worse model; every better one taken, every bad one rolled back."""
    kept = all(row["upper_95"] <= BOUND for row in result["equal"]) and not any(row["worse_promoted"] for row in result["power"])
    return kept and all(row["share"] == 1.0 for row in result["power"] + result["rollback"])


def main() -> None:
    """Runs every case, prints the tables, writes all of it; exit 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pairs a case: too few for the bound")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pairs, fewer = (150, 50) if options.quick else (5_000, 500)
    console = Console(width=None if sys.stdout.isatty() else 150)
    began = time.perf_counter()
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        simulation = Simulation(options.seed, bar)
        result: dict[str, Any] = {
            "equal": equal(simulation, pairs),
            "power": power(simulation, fewer),
            "rollback": rollback(simulation, fewer),
            "risk": risk(simulation, fewer),
        }
    show(console, result)
    result = {"passed": passed(result), "level": LEVEL, "labels": LABELS, "seed": options.seed, "versions": versions()} | result
    verdict = "too few pairs for a verdict" if options.quick else "passed" if result["passed"] else "NOT passed"
    console.print(f"{time.perf_counter() - began:.0f} s; {verdict}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if not (result["passed"] or options.quick):
        sys.exit(1)


if __name__ == "__main__":
    main()
