"""The read path of Feast's Python SDK beside feature_store's readers, over the same Redis, one after the other.

python -m benchmarks.feast --json FILE      # half a minute; the first time Feast is installed, 600 MB
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.command_line import figures_parser, write_figures
from benchmarks.peers import environments
from benchmarks.reads import read_figures
from streamgauge.local_stack import LocalStack

READS = {"read_100x50_ms": "100 entities × 50 features", "read_1x10_ms": "1 entity × 10 features"}


def measure(seconds: float) -> dict[str, Any]:
    """Both; {"streamgauge": …, "feast": …}."""
    python = environments.python_of("feast")
    with LocalStack() as stack:
        ours = read_figures(stack.servers.redis, seconds)
        port = stack.servers.redis.rpartition(":")[2]
        script = str(Path(environments.__file__).parent / "feast_reads.py")
        done = subprocess.run([str(python), script, port, str(seconds)], capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"Feast failed:\n{done.stderr[-2000:]}")
    return {"streamgauge": ours, "feast": json.loads(done.stdout.splitlines()[-1])}


def feast_table(found: dict[str, Any]) -> Table:
    """Both, and how many times longer Feast takes."""
    table = Table("read", "streamgauge p50 / p99 ms", "Feast p50 / p99 ms", "× at p50", "× at p99")
    for name, title in READS.items():
        ours, theirs = found["streamgauge"][name], found["feast"][name]
        pairs = (f"{one['p50']:.3f} / {one['p99']:.3f}" for one in (ours, theirs))
        table.add_row(title, *pairs, *(f"{theirs[q] / ours[q]:.1f}" for q in ("p50", "p99")))
    return table


def main() -> None:
    """Command line."""
    parser = figures_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each read")
    options = parser.parse_args()
    found = measure(options.seconds)
    Console().print(feast_table(found))
    write_figures(found, options.json)


if __name__ == "__main__":
    main()
