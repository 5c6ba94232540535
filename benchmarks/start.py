"""How long a start takes: `streamgauge --help`, and a worker from its command to the first event folded, kernels in the cache.

python -m benchmarks.start --json FILE      # half a minute
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import figures_parser, write_figures
from benchmarks.job import PARTITIONS, bench_feed, load, make_events
from contracts.topics import events_topic, topic_name
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import Child, LocalStack, free_port
from streamgauge.warm_up import warm_up

ROOT = Path(__file__).parents[1]
WAIT_SECONDS = 60.0  # for the first event; a loaded machine was seen to take ten times the goal
GOALS = {"help_s": 0.3, "first_event_s": 3.0}
TITLES = {"help_s": "streamgauge --help", "first_event_s": "worker: command to first event folded, warm compile cache"}


def measure(rounds: int) -> dict[str, Any]:
    """Medians, and each figure, in seconds."""
    warm_up()
    found = {"help_s": [_help() for _ in range(rounds)], "first_event_s": [_first_event() for _ in range(rounds)]}
    return {name: {"median": round(statistics.median(all_), 3), "all": [round(one, 3) for one in all_]} for name, all_ in found.items()}


def _help() -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "streamgauge", "--help"], check=True, capture_output=True)
    return time.monotonic() - begun


def _first_event() -> float:
    """On the embedded broker, with events waiting."""
    feed = bench_feed("start")
    with LocalStack() as stack, tempfile.TemporaryDirectory() as name:
        ensure_topics(feed, stack.servers.kafka)
        asyncio.run(load(stack.servers.kafka, events_topic(feed), make_events(10_000)))
        plant = Path(name) / "plant.py"
        plant.write_text('from benchmarks.job import bench_feed\n\nfeed = bench_feed("start")\n')
        consumer = KafkaConsumer(**stack.servers.kafka.client_options(), enable_auto_commit=False)
        scores = [TopicPartition(topic_name(feed, "scores"), partition) for partition in range(PARTITIONS)]
        environment = stack.servers.environment | {"PYTHONPATH": str(ROOT)}
        begun = time.monotonic()
        worker = Child(
            "worker",
            [sys.executable, "-m", "streamgauge", "worker", str(plant), "--web-port", str(free_port())],
            Path(name),
            10.0,
            environment,
        )
        try:
            while not sum(consumer.end_offsets(scores).values()):
                if time.monotonic() - begun > WAIT_SECONDS or worker.poll() is not None:
                    raise RuntimeError(f"no event was folded: {worker.log_tail()[-1500:]}")
                time.sleep(0.01)
            return time.monotonic() - begun
        finally:
            worker.stop()
            consumer.close()


def start_table(found: dict[str, Any]) -> Table:
    """Medians beside their goals."""
    table = Table("start", "median s", "goal s")
    for name, title in TITLES.items():
        table.add_row(title, f"{found[name]['median']:.2f}", f"≤ {GOALS[name]:g}")
    return table


def main() -> None:
    """Command line."""
    parser = figures_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = measure(options.rounds)
    Console().print(start_table(found))
    write_figures(found, options.json)


if __name__ == "__main__":
    main()
