"""What checkpoints take of a worker's throughput, and for how long a partition stands still, at 10,000 entities.

python -m benchmarks.checkpoints --json FILE      # half a minute
"""

from __future__ import annotations

import asyncio
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
from stream_processors.runner.fold_service import CHECKPOINT_SECONDS
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack
from streamgauge.warm_up import warm_up

ENTITIES = 10_000
EVENTS = 3_000_000  # some 15 s of a worker: three checkpoints of each partition
GOALS = {"share": 0.10, "pause_ms": 50.0}


class Watched(WorkerMetrics):
    """Metrics that keep how long each checkpoint of a partition took; nothing of the worker is folded meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []  # seconds
        self.processor: list[float] = []  # seconds of this process

    @contextmanager
    def checkpointing(self) -> Iterator[None]:
        """Times a checkpoint."""
        wall, cpu = time.perf_counter(), time.process_time()
        with super().checkpointing():
            yield
        self.pauses.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - cpu)


def measure(events: int = EVENTS) -> dict[str, Any]:
    """A worker's service in this process, over more events than it folds between two checkpoints."""
    warm_up()
    metrics = Watched()
    with LocalStack() as stack:
        feed = bench_feed("checkpoints")
        ensure_topics(feed, stack.servers.kafka)
        asyncio.run(load(stack.servers.kafka, events_topic(feed), make_events(events, entities=ENTITIES)))
        loop = asyncio.run(full_loop(stack.servers, feed, events, metrics))
    pauses = np.array(metrics.pauses[1:]) * 1000  # the first writes everything once
    seconds = events / loop["events_per_s"]
    return {
        "entities": ENTITIES,
        "checkpoints": len(metrics.pauses),
        "every_s": CHECKPOINT_SECONDS,
        "share": round(sum(metrics.pauses) / seconds, 4),
        "processor_share": round(sum(metrics.processor) / seconds, 4),
        "pause_ms": {"median": round(float(np.median(pauses)), 2), "max": round(float(pauses.max()), 2)},
        "events_per_s": round(loop["events_per_s"], 1),
    }


def checkpoints_table(found: dict[str, Any]) -> Table:
    """Beside the goals."""
    table = Table("checkpoints of 10,000 entities", "measured", "goal")
    table.add_row("share of the time", f"{found['share']:.1%}", f"≤ {GOALS['share']:.0%}")
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
