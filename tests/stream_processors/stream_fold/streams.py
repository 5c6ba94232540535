"""Hostile streams of one partition with exactly known counters, and a way to fold them in any cuts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from contracts.columns import RawBatch
from contracts.definition import Category, Correlation, Feed, Number
from contracts.durations import HOUR, MINUTE, SECOND
from producers.faults import Dropout, Shift, Stuck
from producers.plan import Expected
from producers.scenario import Scenario
from producers.signals import Counter, Modes, Noise, Season, Signal
from producers.simulator import Simulation
from producers.transport_faults import ClockAhead, Transport
from stream_processors.decoding.batches import raw_batch
from stream_processors.log_fold import Outputs, OutRecord
from stream_processors.stream_fold.fold import StreamFold

START = 1_767_225_600 * SECOND  # 2026-01-01
CADENCE = 5 * SECOND


class Log(NamedTuple):
    """Records of one partition, in log order, at offsets from `first` on."""

    times: list[int]  # Kafka timestamps, µs
    keys: list[bytes | None]
    values: list[bytes | None]
    first: int = 0

    def batch(self, start: int, end: int) -> RawBatch:
        """Records start ≤ i < end."""
        offsets = list(range(self.first + start, self.first + end))
        return raw_batch(offsets, self.times[start:end], self.keys[start:end], self.values[start:end])


def small_feed(name: str = "small", **settings: object) -> Feed:
    """Two gauges, a counter and a mode; any setting may be overridden."""
    fields = [Number("heat", low=0, high=90), Number("flow"), Number("strokes", counter=True), Category("mode")]
    given = {
        "entity": "pump",
        "time": "ts",
        "fields": fields,
        "windows": ["1m", "5m"],
        "lateness": "30s",
        "partitions": 1,
        "across": [Correlation("heat", "flow")],
        "season": "5m",  # detectors learn for two seasons, and these streams are short
    }
    return Feed(name, **(given | settings))


def hostile(feed: Feed, seed: int, records: int, entities: int = 12) -> tuple[Log, Expected]:
    """About so many records: 5 % each of repeats, disorder, late and damaged ones; one device's clock runs ahead."""
    names = [f'pump "{i}" ü\n' if i == 0 else f"pump-{i:02d}" for i in range(entities)]
    length = records * CADENCE // entities
    scenario = Scenario(
        replace(feed, fields=[Number("heat"), *feed.fields[1:]]),  # no range: a simulated sensor keeps within its own
        names,
        CADENCE,
        [
            Signal("heat", 80.0, Noise(4.0, 0.5), 2.0, [Season("1d", 3.0, 0.2)]),
            Signal("flow", 20.0, Noise(1.0, 0.3)),
            Counter("strokes", 3.0, wraps_at=500.0),
        ],
        [Modes("mode", ["run", "idle", "wash"], mean_stay="2m")],
        faults=[
            Dropout("flow", names[2], START + length // 4, START + length // 2),
            Stuck("heat", names[3], START + length // 2, START + length),
            Shift("flow", names[4], START + length * 2 // 3, START + length, kind="sudden", size=4.0),
            Shift("heat", names[5], START + length * 2 // 3, START + length, kind="sudden", size=6.0),
        ],
        transport=Transport(duplicates=0.05, disorder=0.05, late=0.05, malformed=0.05),
        transport_faults=[ClockAhead(names[1], START + length // 3, START + length // 2, ahead="20000d")],
    )
    simulation = Simulation(scenario, seed, START, START + length)
    log = Log([], [], [])
    for batch in simulation.run():
        log.times.extend((batch.due // 1000 * 1000).tolist())
        log.keys.extend(batch.keys)
        log.values.extend(batch.values)
    return log, simulation.plan.expected


def with_rare_devices(log: Log, seed: int, frequent: int = 8) -> Log:
    """The log with only a tenth of the records of all devices but the first few: those that a small table evicts."""
    chance = random.Random(seed)
    keys = {b"pump-%02d" % i for i in range(1, frequent)}
    kept = [i for i, key in enumerate(log.keys) if key in keys or chance.random() < 0.1]
    return Log([log.times[i] for i in kept], [log.keys[i] for i in kept], [log.values[i] for i in kept])


class Folded(NamedTuple):
    """All that a fold gave: what must not depend on the cuts."""

    records: dict[str, list[OutRecord]]
    vectors: dict[bytes, bytes]  # the newest served of each entity
    created: list[tuple[bytes, int]]
    chunks: dict[str, bytes]  # a checkpoint of the end
    counters: dict[str, int]


def fold_in_cuts(feed: Feed, log: Log, cuts: Sequence[int], restarts: Sequence[int] = ()) -> Folded:
    """Folds the log cut before each of `cuts`; before each of `restarts` a new fold goes on from a checkpoint.

    A checkpoint is what was handed out as changed, put over the checkpoint before: a change that is not marked is lost.
    """
    fold = StreamFold(feed, 0, 1)
    records: dict[str, list[OutRecord]] = {}
    vectors: dict[bytes, bytes] = {}
    created: list[tuple[bytes, int]] = []
    stored: dict[str, bytes] = {}
    edges = sorted({0, len(log.values), *cuts, *restarts})
    for start, end in itertools.pairwise(edges):
        if start in restarts:
            stored |= fold.changed_chunks()
            fold = StreamFold(feed, 0, 1)
            fold.restore(stored)
            vectors |= served(fold.everything_served())
        outputs = fold.fold(log.batch(start, end))
        for kind, items in outputs.records.items():
            records.setdefault(kind, []).extend(items)
        vectors |= served(outputs)
        created += outputs.created
    stored |= fold.changed_chunks()
    return Folded(records, vectors, created, stored, fold.counters())


def served(outputs: Outputs) -> dict[bytes, bytes]:
    """Entity -> vector."""
    return dict(zip(outputs.entities, outputs.vectors, strict=True))


__all__ = [
    "CADENCE",
    "HOUR",
    "MINUTE",
    "SECOND",
    "START",
    "Folded",
    "Log",
    "fold_in_cuts",
    "hostile",
    "served",
    "small_feed",
    "with_rare_devices",
]
