"""What an event costs as entities, fields and windows grow: decode, fold and outputs of one partition, in this process.

python -m benchmarks.growth --json FILE      # a minute
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import figures_parser, write_figures
from benchmarks.job import FIVE, START_MS, bench_feed, load, make_events
from benchmarks.throughput import full_loop
from contracts.definition import Feed, Number
from contracts.topics import events_topic
from stream_processors.decoding.batches import raw_batch
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack
from streamgauge.warm_up import warm_up

ENTITIES, FIELDS, WINDOWS = (10, 100, 1_000, 10_000, 100_000), (1, 2, 4, 8, 16), (1, 2, 4, 8)
ROWS = 4_096  # a batch under load
EVENTS = 400_000  # of each point, and at least as many again before, so that every entity is known
REPEATS = 3
LOOP_EVENTS = 1_000_000
READINGS_EACH = 20  # at least: with one reading each, only the making of entities and their first checkpoint would be measured
TITLES = {"by_entities": "entities", "full_loop": "entities, full loop", "by_fields": "fields", "by_windows": "windows"}


def growth_feed(entities: int, fields: int, windows: int) -> Feed:
    """The stated configuration but for these three."""
    return Feed(
        "growth",
        entity="id",
        time="ts",
        fields=[Number(f"f{n}", features=FIVE) for n in range(fields)],
        windows=[f"{n + 1}m" for n in range(windows)],
        lateness="30s",
        false_alarms_per_week=1,
        partitions=1,
        time_features=False,
        season=None,
        max_entities=max(entities, 1_000),
    )


def cost(entities: int, fields: int = 3, windows: int = 1, events: int = EVENTS) -> float:
    """µs of processor time an event: the median of a few stretches after one that is not counted."""
    fold = StreamFold(growth_feed(entities, fields, windows), 0, 1)
    noise = np.random.default_rng(3).standard_normal((997, fields))
    warm = max(events, entities)
    stretch = events // REPEATS // ROWS * ROWS
    spent, at = [], 0
    while at < warm:
        at = _fold(fold, entities, noise, at, ROWS)[1]
    for _ in range(REPEATS):
        us, at = _fold(fold, entities, noise, at, stretch)
        spent.append(us / stretch)
    return statistics.median(spent)


def _fold(fold: StreamFold, entities: int, noise: np.ndarray, at: int, count: int) -> tuple[float, int]:
    """Folds events `at` and on; (µs of processor time, number of the next event)."""
    spent, end = 0.0, at + count
    while at < end:
        upto = min(at + ROWS, end)
        keys = [b"device-%06d" % (n % entities) for n in range(at, upto)]
        values = [_value(n, entities, noise) for n in range(at, upto)]
        batch = raw_batch(range(at, upto), [-1] * (upto - at), keys, values)
        begun = time.process_time_ns()
        fold.fold(batch)
        spent += (time.process_time_ns() - begun) / 1000
        at = upto
    return spent, at


def _value(n: int, entities: int, noise: np.ndarray) -> bytes:
    fields = ",".join(f'"f{field}":{value:.6f}' for field, value in enumerate(noise[n % len(noise)]))
    return f'{{"id":"device-{n % entities:06d}","ts":{START_MS + n // entities * 1000},{fields}}}'.encode()


def loop_cost(entities: int, events: int = LOOP_EVENTS) -> float:
    """µs of processor time an event of a worker's service in this process, broker and store beside it."""
    events = max(events, READINGS_EACH * entities)
    feed = replace(bench_feed("growth-loop"), max_entities=max(entities, 1_000))
    with LocalStack() as stack:
        ensure_topics(feed, stack.servers.kafka)
        asyncio.run(load(stack.servers.kafka, events_topic(feed), make_events(events, entities=entities)))
        return asyncio.run(full_loop(stack.servers, feed, events))["cpu_us_per_event"]


def measure(
    events: int = EVENTS, loop_events: int = LOOP_EVENTS, loop_entities: Sequence[int] = ENTITIES
) -> dict[str, list[dict[str, float]]]:
    """A point for each size."""
    warm_up()
    return {
        "by_entities": [{"n": n, "us_per_event": round(cost(n, events=events), 3)} for n in ENTITIES],
        "full_loop": [{"n": n, "us_per_event": round(loop_cost(n, loop_events), 3)} for n in loop_entities],
        "by_fields": [{"n": n, "us_per_event": round(cost(1_000, fields=n, events=events), 3)} for n in FIELDS],
        "by_windows": [{"n": n, "us_per_event": round(cost(1_000, windows=n, events=events), 3)} for n in WINDOWS],
    }


def growth_table(found: dict[str, list[dict[str, float]]]) -> Table:
    """Every point, and how many times the first one it is."""
    table = Table("growing", "n", "µs an event", "× the first")
    for name, points in found.items():
        for point in points:
            times = point["us_per_event"] / points[0]["us_per_event"]
            table.add_row(TITLES[name], f"{point['n']:,}", f"{point['us_per_event']:.2f}", f"{times:.2f}")
    return table


def main() -> None:
    """Command line."""
    parser = figures_parser(__doc__)
    options = parser.parse_args()
    found: dict[str, Any] = measure()
    Console().print(growth_table(found))
    write_figures(found, options.json)


if __name__ == "__main__":
    main()
