"""Rows a second of `streamgauge backtest` and `streamgauge backfill` from Parquet, on one core.

    python -m benchmarks.offline --json FILE      # a minute

The whole commands are timed on a small and a large file; the difference leaves out what a start costs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import figures_parser, write_figures
from benchmarks.job import ENTITIES, FIELDS, START_MS
from benchmarks.servers import client_core
from streamgauge.warm_up import warm_up

ROOT = Path(__file__).parents[1]
SMALL, LARGE = 100_000, 1_600_000
GOAL = 500_000  # rows a second
PLANT = 'from benchmarks.job import bench_feed\n\nfeed = bench_feed("offline")\n'


def write_rows(path: Path, count: int) -> None:
    """The job's readings in order of time, as columns."""
    rows = np.arange(count)
    noise = np.random.default_rng(1).standard_normal((len(FIELDS), count))
    columns = {
        "id": pa.array([f"device-{n:05d}" for n in range(ENTITIES)]).take(pa.array(rows % ENTITIES)),
        "ts": pa.array((START_MS + rows // ENTITIES * 1000 + rows % ENTITIES) * 1000, pa.timestamp("us", "UTC")),
    }
    columns |= {name: pa.array(values) for name, values in zip(FIELDS, noise, strict=True)}
    pq.write_table(pa.table(columns), path)


def measure(large: int = LARGE) -> dict[str, Any]:
    """Rows a second of each command."""
    warm_up()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "plant.py").write_text(PLANT)
        for count in (SMALL, large):
            write_rows(directory / f"{count}.parquet", count)
        found = {}
        for command in ("backtest", "backfill"):
            few, many = (_seconds(command, directory, count) for count in (SMALL, large))
            found[f"{command}_rows_per_s"] = round((large - SMALL) / (many - few), 1)
            found[f"{command}_start_s"] = round(few - SMALL / (large - SMALL) * (many - few), 2)
    return found | {"rows": large}


def _seconds(command: str, directory: Path, count: int) -> float:
    plant, rows, out = directory / "plant.py", directory / f"{count}.parquet", directory / f"{command}-{count}"
    backtest = [rows, "--definition", plant, "--out", out]
    arguments = map(str, backtest if command == "backtest" else [plant, rows, "--to", out])
    begun = time.monotonic()
    _run(["taskset", "-c", str(client_core()), sys.executable, "-m", "streamgauge", command, *arguments])
    return time.monotonic() - begun


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-1500:]}")


def offline_table(found: dict[str, Any]) -> Table:
    """Beside the goal."""
    table = Table("from Parquet, one core", "rows/s", "goal", "start s")
    for command in ("backtest", "backfill"):
        table.add_row(command, f"{found[f'{command}_rows_per_s']:,.0f}", f"≥ {GOAL:,}", f"{found[f'{command}_start_s']:.1f}")
    return table


def main() -> None:
    """Command line."""
    parser = figures_parser(__doc__)
    options = parser.parse_args()
    found = measure()
    Console().print(offline_table(found))
    write_figures(found, options.json)


if __name__ == "__main__":
    main()
