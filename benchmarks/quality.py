"""NAB and SKAB by their protocols: one inferred definition with defaults for all files of a corpus, published results beside.

python -m benchmarks.quality [--data DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.corpus import FileRun, infer_feed, run_files
from benchmarks.machine import versions
from benchmarks.nab_scoring import PROFILES, Labelled, best_threshold, corpus_score, window_rows
from benchmarks.point_scoring import PointScore, best_point_threshold, point_score
from contracts.errors import InputError
from producers.files import Source, find_files

TRAIN_ROWS = 400  # of a SKAB file
SMALL_P = 0.01  # a row with a p-value up to this alarms: one row in a hundred where nothing has changed
BUDGET = "incidents: budget of 1 a week, no labels"
WITH_LABELS = "threshold chosen with labels"

# Published results, as ../shared/data/README.md has them: standard, reward low FP, reward low FN.
NAB_PUBLISHED = {
    "ARTime": (74.9, 65.1, 80.4),
    "Numenta HTM": (70.1, 63.1, 74.3),
    "CAD OSE": (69.9, 67.0, 73.2),
    "Skyline": (58.2, 46.2, 63.9),
    "KNN-CAD": (58.0, 43.4, 64.8),
    "Relative Entropy": (54.6, 47.6, 58.8),
    "Random Cut Forest": (51.7, 38.4, 59.7),
    "Windowed Gaussian": (39.6, 20.9, 47.4),
    "EXPoSE": (16.4, 3.2, 26.9),
    "random": (11.0, 1.2, 19.5),
    "null": (0.0, 0.0, 0.0),
}
NAB_THESE_FILES = {  # standard profile, threshold chosen with labels on these 51 files
    "ARTime": 77.0, "CAD OSE": 75.4, "Numenta HTM": 73.0, "Skyline": 63.2, "KNN-CAD": 60.5, "Relative Entropy": 55.6,
    "Random Cut Forest": 55.1, "Windowed Gaussian": 44.8, "random": 17.6,
}  # fmt: skip
SKAB_PUBLISHED = {
    "Conv-AE": PointScore(0.78, 13.6, 28.0),
    "MSET": PointScore(0.78, 39.7, 14.1),
    "T²+Q": PointScore(0.76, 26.6, 24.9),
    "LSTM-AE": PointScore(0.74, 30.0, 25.9),
    "T²": PointScore(0.66, 19.2, 42.6),
    "LSTM-VAE": PointScore(0.56, 9.1, 55.0),
    "Isolation Forest": PointScore(0.29, 2.6, 82.9),
}


def nab(data: Path, bar: Progress) -> dict[str, Any]:
    """Scores of the three profiles, in per cent of perfect."""
    sources = find_files([data / "nab"])
    feed = infer_feed(sources, "nab")
    windows = json.loads((data / "nab" / "combined_windows.json").read_text())
    runs = list(run_files(feed, sources, bar))
    labelled = [Labelled(len(run.event_time), window_rows(run.event_time, _micros(windows[f"{run.name}.csv"]))) for run in runs]
    scores = {BUDGET: {name: corpus_score(labelled, [run.openings for run in runs], profile) for name, profile in PROFILES.items()}}
    thresholds = {}
    for what, values in (("p-value", [1.0 - run.p_value for run in runs]), ("anomaly score", [run.score for run in runs])):
        best = {name: best_threshold(labelled, values, profile) for name, profile in PROFILES.items()}
        scores[f"{what}: {WITH_LABELS}"] = {name: score for name, (score, _) in best.items()}
        thresholds[what] = {name: level for name, (_, level) in best.items()}
    counted = [np.sum(run.openings >= item.probation) for run, item in zip(runs, labelled, strict=True)]
    hits = sum(
        bool(np.any((run.openings >= max(first, item.probation)) & (run.openings <= last)))
        for run, item in zip(runs, labelled, strict=True)
        for first, last in item.windows
    )
    return {
        "files": len(runs),
        "rows": sum(len(run.event_time) for run in runs),
        "windows": sum(len(item.windows) for item in labelled),
        "definition": feed.canonical(),
        "scores": scores,
        "thresholds": thresholds,
        "windows_hit_by_incidents": hits,
        "incidents_after_probation": int(sum(counted)),
        "kinds": dict(Counter(alert.kind for run in runs for alert in run.alerts if alert.status == "opened")),
        "openings": {run.name: run.openings.tolist() for run in runs},
    }


def skab(data: Path, bar: Progress) -> dict[str, Any]:
    """F1, FAR and MAR over the rows after the first 400 of the 34 labelled files."""
    sources = [source for source in find_files([data / "skab"]) if not source.name.startswith("anomaly-free")]
    feed = infer_feed(sources, "skab")
    runs = list(run_files(feed, sources, bar))
    truth = [_labels(source) for source in sources]
    alarms = {
        BUDGET: [run.alarm[TRAIN_ROWS:] for run in runs],
        f"p-value ≤ {SMALL_P:g}: no labels": [run.p_value[TRAIN_ROWS:] <= SMALL_P for run in runs],
        "always anomalous": [np.ones_like(rows) for rows in truth],
    }
    scores = {name: point_score(truth, told) for name, told in alarms.items()}
    thresholds = {}
    for what, values in (("p-value", _after(runs, "p_value", -1.0)), ("anomaly score", _after(runs, "score", 1.0))):
        best, level = best_point_threshold(truth, values)
        scores[f"{what}: {WITH_LABELS}"], thresholds[what] = best, level
    return {
        "files": len(runs),
        "rows_tested": sum(map(len, truth)),
        "definition": feed.canonical(),
        "scores": {name: score._asdict() for name, score in scores.items()},
        "thresholds": thresholds,
        "kinds": dict(Counter(alert.kind for run in runs for alert in run.alerts if alert.status == "opened")),
        "openings": {run.name: run.openings.tolist() for run in runs},
    }


def show(console: Console, found: dict[str, Any]) -> None:
    """Both tables, ours among the published ones, best first."""
    rows = [(name, *score.values()) for name, score in found["nab"]["scores"].items()]
    table = Table(
        "detector",
        "standard",
        "low FP",
        "low FN",
        "standard, these 51 files",
        title="NAB (published: whole corpus, threshold chosen with labels)",
    )
    for name, standard, low_fp, low_fn in sorted([*rows, *((n, *s) for n, s in NAB_PUBLISHED.items())], key=lambda row: -row[1]):
        these = f"{NAB_THESE_FILES[name]:.1f}" if name in NAB_THESE_FILES else ""
        ours = name in found["nab"]["scores"]
        table.add_row(
            f"streamgauge, {name}" if ours else name,
            f"{standard:.1f}",
            f"{low_fp:.1f}",
            f"{low_fn:.1f}",
            these,
            style="bold" if ours else None,
        )
    console.print(table)
    ours_too = {
        f"streamgauge, {name}" if "anomalous" not in name else name: PointScore(**score) for name, score in found["skab"]["scores"].items()
    }
    table = Table("detector", "F1", "FAR %", "MAR %", title="SKAB, rows after the first 400 of 34 files")
    for name, score in sorted((SKAB_PUBLISHED | ours_too).items(), key=lambda item: -item[1].f1):
        table.add_row(name, f"{score.f1:.2f}", f"{score.far:.1f}", f"{score.mar:.1f}", style="bold" if name in ours_too else None)
    console.print(table)


def main() -> None:
    """Runs both corpora, prints the tables, writes all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        with Progress(console=Console(stderr=True)) as bar:
            found: dict[str, Any] = {"versions": versions(), "nab": nab(options.data, bar), "skab": skab(options.data, bar)}
    except (InputError, OSError) as error:
        sys.exit(f"Error: {error}; name the directory that holds nab/ and skab/ with --data DIR")
    show(Console(width=None if sys.stdout.isatty() else 130), found)
    found["published"] = {
        "nab": NAB_PUBLISHED,
        "nab_these_files": NAB_THESE_FILES,
        "skab": {n: s._asdict() for n, s in SKAB_PUBLISHED.items()},
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _micros(windows: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    return [(_micro(first), _micro(last)) for first, last in windows]


def _micro(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def _labels(source: Source) -> np.typing.NDArray[np.bool_]:
    return pd.read_csv(source.path, sep=";")["anomaly"].to_numpy(np.float64)[TRAIN_ROWS:] == 1.0


def _after(runs: Sequence[FileRun], what: str, sign: float) -> list[np.typing.NDArray[np.float64]]:
    """A column of the tested rows; the sign makes larger mean stranger."""
    return [sign * getattr(run, what)[TRAIN_ROWS:] for run in runs]


if __name__ == "__main__":
    main()
