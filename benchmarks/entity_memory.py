"""What an entity costs in a worker's memory, beside what `streamgauge check` says.

    python -m benchmarks.entity_memory --json FILE      # half a minute

Folds readings of few and of many entities, each in a process of its own, and takes the difference of resident memory.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.command_line import figures_parser, write_figures
from benchmarks.growth import growth_feed
from benchmarks.job import START_MS
from benchmarks.processes import resident_mb
from streamgauge.estimate import estimate

FEW, MANY = 20_000, 120_000
READINGS = 2  # of each entity
ROWS = 4_096
GOAL = 0.10  # beside what is said


def resident(entities: int) -> float:
    """Bytes of a process that has folded readings of so many entities."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.entity_memory", "--fold", str(entities)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def fold(entities: int) -> float:
    """Folds them here; megabytes of this process at the end."""
    import os

    from stream_processors.decoding.batches import raw_batch
    from stream_processors.stream_fold.fold import StreamFold

    state = StreamFold(growth_feed(MANY, 3, 1), 0, 1)
    count = entities * READINGS
    for at in range(0, count, ROWS):
        rows = range(at, min(at + ROWS, count))
        keys = [b"device-%06d" % (n % entities) for n in rows]
        values = [
            b'{"id":"device-%06d","ts":%d,"f0":%d.5,"f1":1.5,"f2":2.5}' % (n % entities, START_MS + n // entities * 1000, n % 7)
            for n in rows
        ]
        state.fold(raw_batch(rows, [-1] * len(rows), keys, values))
    return resident_mb(os.getpid())


def measure() -> dict[str, Any]:
    """Bytes an entity, measured and said."""
    found = {entities: resident(entities) * 1e6 for entities in (FEW, MANY)}
    said = estimate(growth_feed(MANY, 3, 1), 1.0, 1)["bytes"]["state_per_entity"]
    measured = (found[MANY] - found[FEW]) / (MANY - FEW)
    return {"bytes_per_entity": round(measured), "said": said, "off_by": round(measured / said - 1, 4), "entities": [FEW, MANY]}


def memory_table(found: dict[str, Any]) -> Table:
    """Beside the goal."""
    table = Table("an entity's memory", "bytes", "check says", "off by", "goal")
    table.add_row(
        "three fields, one window", f"{found['bytes_per_entity']:,}", f"{found['said']:,}", f"{found['off_by']:+.1%}", f"± {GOAL:.0%}"
    )
    return table


def main() -> None:
    """Command line."""
    parser = figures_parser(__doc__)
    parser.add_argument("--fold", type=int, metavar="ENTITIES", help="fold readings of so many entities, print megabytes")
    options = parser.parse_args()
    if options.fold:
        print(fold(options.fold))
        return
    found = measure()
    Console().print(memory_table(found))
    write_figures(found, options.json)


if __name__ == "__main__":
    main()
