"""How long a start takes: `streamgauge --help`, and a worker from its command to the first event folded, kernels in the cache.

python -m benchmarks.start --json FILE      # a minute
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
from benchmarks.servers import BenchServers
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import Child, LocalStack, free_port
from streamgauge.warm_up import warm_up

ROOT = Path(__file__).parents[1]
WAIT_SECONDS = 60.0  # for the first event; a loaded machine was seen to take ten times the goal
GOALS = {"help_s": 0.3, "first_event_s": 3.0}
TITLES = {
    "help_s": "streamgauge --help",
    "first_event_s": "worker: command to first event folded, warm compile cache",
    "first_event_embedded_s": "the same on the embedded broker, which holds a join for 3 s",
}


def measure(rounds: int) -> dict[str, Any]:
    """Medians, and each figure, in seconds. Apache Kafka waits for no other member of a new group here (its default: 3 s)."""
    warm_up()
    found = {"help_s": [_help() for _ in range(rounds)]}
    with BenchServers(bound=False) as stack:
        found["first_event_s"] = [_first_event(stack.servers, f"start{n}") for n in range(rounds)]
    with LocalStack() as local:
        found["first_event_embedded_s"] = [_first_event(local.servers, f"start{n}") for n in range(rounds)]
    return {name: {"median": round(statistics.median(all_), 3), "all": [round(one, 3) for one in all_]} for name, all_ in found.items()}


def _help() -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "streamgauge", "--help"], check=True, capture_output=True)
    return time.monotonic() - begun


def _first_event(servers: Servers, name: str) -> float:
    """With events waiting."""
    feed = bench_feed(name)
    ensure_topics(feed, servers.kafka)
    asyncio.run(load(servers.kafka, events_topic(feed), make_events(10_000)))
    consumer = KafkaConsumer(**servers.kafka.client_options(), enable_auto_commit=False)
    scores = [TopicPartition(topic_name(feed, "scores"), partition) for partition in range(PARTITIONS)]
    with tempfile.TemporaryDirectory() as directory:
        plant = Path(directory) / f"{name}.py"
        plant.write_text(f'from benchmarks.job import bench_feed\n\nfeed = bench_feed("{name}")\n')
        command = [sys.executable, "-m", "streamgauge", "worker", str(plant), "--web-port", str(free_port())]
        begun = time.monotonic()
        worker = Child("worker", command, Path(directory), 10.0, servers.environment | {"PYTHONPATH": str(ROOT)})
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
        table.add_row(title, f"{found[name]['median']:.2f}", f"≤ {GOALS[name]:g}" if name in GOALS else "")
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
