"""Throughput of one worker on one core, alone or side by side with other engines.

Alone: a worker's service in this process on the embedded broker, and each stage timed alone on the same records; `rest` is what
the full loop takes beyond them. With --peers: `streamgauge worker` and the other engines as processes on Apache Kafka, all over the
same topic, each with a core to itself; the servers and this program have the other cores. The job: benchmarks/job.py.

    python -m benchmarks.throughput --json FILE
    python -m benchmarks.throughput --peers --json FILE      # 13 minutes; --quick: 4 minutes
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.command_line import figures_parser, write_figures
from benchmarks.job import bench_feed, joined, load, make_events
from benchmarks.side_by_side import FULL, QUICK, names, side_by_side, tables
from benchmarks.stages import stages_alone, stages_table
from contracts.definition import Feed
from contracts.settings import Servers
from contracts.topics import events_topic
from stream_processors.runner.fold_service import GC_OBJECTS, FoldService
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack
from streamgauge.warm_up import warm_up


async def full_loop(servers: Servers, feed: Feed, count: int, metrics: WorkerMetrics | None = None) -> dict[str, float]:
    """Runs a worker's service in this process until every event is folded and every score acknowledged."""
    service = FoldService([feed], servers, f"bench-{time.monotonic_ns()}", metrics or WorkerMetrics())
    await service.start()
    while not any(runner.progress.read for runner in service.runners.values()):  # noqa: ASYNC110 — it measures from outside
        await asyncio.sleep(0.001)
    wall, cpu = time.perf_counter(), time.process_time()
    first = sum(runner.progress.read for runner in service.runners.values() if runner.place.log == "events")
    while True:
        read = sum(runner.progress.read for runner in service.runners.values() if runner.place.log == "events")
        if read >= count:
            break
        await asyncio.sleep(0.005)
    await asyncio.gather(*(runner.published() for runner in service.runners.values()))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await service.stop()
    return {"events_per_s": (read - first) / wall, "cpu_us_per_event": cpu / (read - first) * 1e6}


def run(count: int, rounds: int, console: Console) -> dict[str, Any]:
    """streamgauge alone, on the embedded broker."""
    warm_up()  # kernels are loaded before anything is timed
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 20, 50)  # as a worker does
    found: list[dict[str, float]] = []
    stages: dict[str, float] = {}
    for number in range(rounds):
        with LocalStack() as stack:
            cores = os.sched_getaffinity(0)
            feed = bench_feed()
            ensure_topics(feed, stack.servers.kafka)
            asyncio.run(load(stack.servers.kafka, events_topic(feed), make_events(count)))
            os.sched_setaffinity(0, {min(cores)})
            try:
                if not stages:
                    stages = asyncio.run(stages_alone(stack.servers, feed, joined(make_events(count // 2))))
                found.append(asyncio.run(full_loop(stack.servers, feed, count)))
            finally:
                os.sched_setaffinity(0, cores)
        console.print(
            f"round {number + 1} of {rounds}: {found[-1]['events_per_s']:,.0f} events/s, {found[-1]['cpu_us_per_event']:.2f} µs",
            highlight=False,
        )
    cpu = float(np.median([f["cpu_us_per_event"] for f in found]))
    rates = sorted(f["events_per_s"] for f in found)
    stages["rest"] = cpu - sum(stages.values())
    sample = next(itertools.islice(make_events(1_000), 1)).values
    return {
        "streamgauge": {
            "events_per_s": round(float(np.median(rates)), 1),
            "events_per_s_range": [round(rates[0], 1), round(rates[-1], 1)],
            "cpu_us_per_event": round(cpu, 3),
            "stages_us": {name: round(value, 3) for name, value in stages.items()},
        },
        "events": count,
        "rounds": rounds,
        "bytes_per_event": round(sum(map(len, sample)) / len(sample), 1),
    }


def main() -> None:
    """Command line."""
    parser = figures_parser(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events a round of streamgauge alone (default 1,000,000)")
    parser.add_argument("--rounds", type=int, help="rounds in place of 3 alone, 5 with peers, 2 with peers and --quick")
    parser.add_argument("--peers", action="store_true", help="side by side with the other engines, on Apache Kafka")
    parser.add_argument("--quick", action="store_true", help="with --peers: fewer and shorter rounds")
    parser.add_argument("--engines", nargs="+", choices=names(), help="with --peers: these engines only")
    options = parser.parse_args()
    console, progress = Console(), Console(stderr=True)
    if options.peers:
        size = QUICK if options.quick else FULL
        if options.rounds:
            size = size._replace(rounds=options.rounds)
        found = side_by_side(size, options.engines, lambda line: progress.print(line, highlight=False))
        shown = tables(found)
    else:
        found = run(options.events, options.rounds or 3, progress)
        shown = [stages_table(found["streamgauge"])]
    for table in shown:
        console.print(table)
    write_figures(found, options.json)
    if found.get("failed"):
        sys.exit(1)


if __name__ == "__main__":
    main()
