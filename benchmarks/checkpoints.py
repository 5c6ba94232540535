"""What checkpoints take of a worker's throughput, and for how long a partition stands still, at 10,000 entities.

python -m benchmarks.checkpoints --json FILE      # 3 minutes
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import figures_parser, write_figures
from benchmarks.job import bench_feed, load, make_events
from benchmarks.throughput import full_loop
from contracts.topics import events_topic
from stream_processors.runner import fold_service
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack
from streamgauge.warm_up import warm_up

ENTITIES = 10_000
EVENTS = 3_000_000  # some 15 s of a worker: three checkpoints of each partition
ROUNDS = 2  # with checkpoints and without, in turn
GOALS = {"share": 0.10, "pause_ms": 50.0}


class Watched(WorkerMetrics):
    """Metrics that keep for how long each checkpoint held up the worker, and how long it took to its flip."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []  # seconds in which nothing was folded
        self.staged: list[float] = []  # seconds

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Times the snapshot."""
        begun = time.perf_counter()
        with super().snapshot():
            yield
        self.pauses.append(time.perf_counter() - begun)

    def checkpointed(self, seconds: float) -> None:
        """Notes it."""
        super().checkpointed(seconds)
        self.staged.append(seconds)


def measure(events: int = EVENTS, rounds: int = ROUNDS) -> dict[str, Any]:
    """A worker's service in this process, over more events than it folds between two checkpoints; then the same without any."""
    warm_up()
    metrics = Watched()
    loops: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    every = fold_service.CHECKPOINT_SECONDS
    for _ in range(rounds):
        for kept in loops:
            fold_service.CHECKPOINT_SECONDS = every if kept else math.inf
            loops[kept].append(_loop(events, metrics if kept else WorkerMetrics()))
    fold_service.CHECKPOINT_SECONDS = every
    pauses = np.array(metrics.pauses) * 1000
    rate, cost = (_medians(loops, name) for name in ("events_per_s", "cpu_us_per_event"))
    return {
        "entities": ENTITIES,
        "checkpoints": len(metrics.pauses),
        "every_s": every,
        "share": round(1 - rate[True] / rate[False], 4),
        "processor_share": round(1 - cost[False] / cost[True], 4),
        "pause_ms": {"median": round(float(np.median(pauses)), 2), "max": round(float(pauses.max()), 2)},
        "flipped_after_ms": round(1000 * float(np.median(metrics.staged)), 1),
        "events_per_s": round(rate[True], 1),
        "events_per_s_without": round(rate[False], 1),
    }


def _medians(loops: dict[bool, list[dict[str, float]]], name: str) -> dict[bool, float]:
    return {kept: float(np.median([loop[name] for loop in found])) for kept, found in loops.items()}


def _loop(events: int, metrics: WorkerMetrics) -> dict[str, float]:
    with LocalStack() as stack:
        feed = bench_feed("checkpoints")
        ensure_topics(feed, stack.servers.kafka)
        asyncio.run(load(stack.servers.kafka, events_topic(feed), make_events(events, entities=ENTITIES)))
        return asyncio.run(full_loop(stack.servers, feed, events, metrics))


def checkpoints_table(found: dict[str, Any]) -> Table:
    """Beside the goals."""
    table = Table("checkpoints of 10,000 entities", "measured", "goal")
    table.add_row("share of the throughput", f"{found['share']:.1%}", f"≤ {GOALS['share']:.0%}")
    table.add_row(
        "pause, median and longest",
        f"{found['pause_ms']['median']:.1f}, {found['pause_ms']['max']:.1f} ms",
        f"≤ {GOALS['pause_ms']:.0f} ms",
    )
    return table


def main() -> None:
    """Command line."""
    parser = figures_parser(__doc__)
    options = parser.parse_args()
    found = measure()
    Console().print(checkpoints_table(found))
    write_figures(found, options.json)


if __name__ == "__main__":
    main()
