"""Separate processes that see what a worker puts out, and when; moments are of the monotonic clock, which a machine's processes share.

    python -m benchmarks.latency_probes served ENTITY…      # a line for each newer vector seen in Redis
    python -m benchmarks.latency_probes alerts              # a line for each alert read

Each prints `ready` first, then lines of entity, event time (µs) and moment (ns).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import numpy as np

Moments = dict[tuple[str, int], int]  # (entity, event time in µs) -> ns
PAUSE_SECONDS = 0.0005  # between two reads: how finely the figures resolve, and some 1,500 reads a second for Redis


def latencies(lines: Iterable[str], handed_over: Moments) -> list[float]:
    """Milliseconds from the hand-over of an event to the moment of its line; lines of other events are left out."""
    out = []
    for words in (line.split() for line in lines):
        begun = handed_over.get((words[0], int(words[1]))) if len(words) == 3 else None
        if begun is not None:
            out.append((int(words[2]) - begun) / 1e6)
    return out


def percentiles(values: list[float]) -> dict[str, float | None]:
    """Median and 99th percentile, None where there is no value."""
    if not values:
        return {"p50": None, "p99": None}
    return {"p50": round(float(np.percentile(values, 50)), 3), "p99": round(float(np.percentile(values, 99)), 3)}


def watch_served(entities: list[str]) -> None:
    """Reads the entities again and again."""
    from benchmarks.job import bench_feed
    from contracts.settings import Servers
    from feature_store.readers import FeatureReader

    with FeatureReader(Servers.resolve().redis, bench_feed("latency")) as reader:
        newest = reader.read(entities, ["temperature_mean_1m"]).event_time.tolist()
        print("ready", flush=True)
        while True:
            found = reader.read(entities, ["temperature_mean_1m"]).event_time.tolist()
            seen = time.monotonic_ns()
            for at, event_time in enumerate(found):
                if event_time > newest[at]:
                    newest[at] = event_time
                    print(entities[at], event_time, seen, flush=True)
            time.sleep(PAUSE_SECONDS)


def watch_alerts() -> None:
    """Follows the alerts of opened incidents."""
    from benchmarks.job import bench_feed
    from contracts.settings import Servers
    from stream_processors.alert_reader import read_alerts

    print("ready", flush=True)
    for alert in read_alerts([bench_feed("latency")], Servers.resolve().kafka, follow=True, poll_ms=20):
        if alert.status == "opened":
            print(alert.entity, alert.event_time, time.monotonic_ns(), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "served":
        watch_served(sys.argv[2:])
    else:
        watch_alerts()
