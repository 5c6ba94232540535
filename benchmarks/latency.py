"""Latency at 10,000 events a second on Apache Kafka, exactly-once on, one worker; and what a read of features takes.

*Served*: from the moment an event is handed to the producer until a Redis read of another process shows its vector. *Alert*: until
a read-committed consumer in another process has the alert that the event set off; faults are planted in 100 of 1,000 entities, one
after the other. *Read*: 100 entities × 50 features from one process through feature_store's readers. Nothing is bound to a core:
producer, broker, store, worker, reader and consumer share the machine.

    python -m benchmarks.latency --json FILE      # 3 minutes; --quick: 1 minute
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from kafka.partitioner.default import murmur2
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import figures_parser, write_figures
from benchmarks.job import ENTITIES, PARTITIONS, Events, bench_feed, load
from benchmarks.latency_probes import Moments, latencies, percentiles
from benchmarks.machine import versions
from benchmarks.reads import read_figures
from benchmarks.servers import BenchServers
from contracts.definition import Feed
from contracts.topics import events_topic
from producers.sender import LINGER_MS, Sender
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import Child, free_port

ROOT = Path(__file__).parents[1]
RATE = 10_000  # events a second
CADENCE_MS = 1_000 * ENTITIES // RATE  # between two readings of an entity
CHUNK_ROUNDS = 50  # of the history, sent at once
HISTORY = 600  # readings of each entity before: detectors bet from some 350 on
TICK_SECONDS = 0.001  # events are due one by one; handed over in calls of ten
FAULTS = 100  # entities; fewer than one in five, or they would be one common cause
SHIFT = 12.0  # standard deviations: the fault is plain, so that what is timed is its way and not its detection
PROBES = 6  # entities that the reader watches
FOLD_SECONDS = 120.0  # to fold the history
LEAD_MS = 5_000  # to make the texts of the live part; event times are the wall clock's when they are sent
SETTLE_SECONDS = 3.0  # after the last event, for alerts on their way


class Size(NamedTuple):
    """How long it takes."""

    live_seconds: int
    read_seconds: float


FULL, QUICK = Size(60, 10.0), Size(20, 3.0)


class Readings:
    """Readings of all entities, round by round; event times are the wall clock's from the live part on."""

    def __init__(self, live_from: int, live_seconds: int, seed: int = 1) -> None:
        self.live_from = live_from  # ms
        self._rng = np.random.default_rng(seed)
        self.keys = [b"device-%05d" % entity for entity in range(ENTITIES)]
        rounds = live_seconds * RATE // ENTITIES
        # the faults begin one after the other between a tenth and six tenths of the live part
        self.faulty = {n * (ENTITIES // FAULTS): rounds * (FAULTS + 5 * n) // (10 * FAULTS) for n in range(FAULTS)}

    def round(self, number: int) -> tuple[list[int], list[bytes]]:
        """Event times (ms) and values of round `number`; round 0 is the first live one."""
        noise = self._rng.standard_normal((ENTITIES, 3))
        for entity, begins in self.faulty.items():
            if number >= begins:
                noise[entity, 0] += SHIFT
        begin = self.live_from + number * CADENCE_MS
        times = [begin + entity * CADENCE_MS // ENTITIES for entity in range(ENTITIES)]
        values = [
            b'{"id":"device-%05d","ts":%d,"temperature":%.6f,"vibration":%.6f,"pressure":%.6f}'
            % (entity, at, 60 + a, 2 + b * 0.1, 4 + c * 0.05)
            for entity, (at, (a, b, c)) in enumerate(zip(times, noise.tolist(), strict=True))
        ]
        return times, values

    def history(self) -> Iterator[Events]:
        """What was before the live part, in the partitions that the producer will choose."""
        partitions = [(murmur2(key) & 0x7FFFFFFF) % PARTITIONS for key in self.keys]
        for begin in range(-HISTORY, 0, CHUNK_ROUNDS):
            values = [value for number in range(begin, begin + CHUNK_ROUNDS) for value in self.round(number)[1]]
            yield Events(self.keys * CHUNK_ROUNDS, values, partitions * CHUNK_ROUNDS)


def measure(size: Size, say: Any) -> dict[str, Any]:
    """Everything."""
    with BenchServers(bound=False) as servers:
        feed = bench_feed("latency")
        ensure_topics(feed, servers.servers.kafka)
        reads = read_figures(servers.servers.redis, size.read_seconds)
        say(f"read 100 × 50: p50 {reads['read_100x50_ms']['p50']} ms, p99 {reads['read_100x50_ms']['p99']} ms")
        plant = servers.directory / "plant.py"
        plant.write_text('from benchmarks.job import bench_feed\n\nfeed = bench_feed("latency")\n')
        environment = servers.servers.environment | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "streamgauge", "worker", str(plant), "--web-port", str(free_port())]
        worker = Child("worker", command, servers.directory, 20.0, environment)
        try:
            found = _live(servers, feed, size, environment, say)
        except Exception as error:
            raise RuntimeError(f"{error}\n{worker.log_tail()[-1500:]}") from error
        finally:
            worker.stop()
    return found | reads | {"versions": versions()}


def _live(servers: BenchServers, feed: Feed, size: Size, environment: dict[str, str], say: Any) -> dict[str, Any]:
    """History at full speed, then the live part beside a reader and a consumer of alerts."""
    live_from = time.time_ns() // 1_000_000
    readings = Readings(live_from, size.live_seconds)
    total = asyncio.run(load(servers.servers.kafka, events_topic(feed), readings.history()))
    _wait(servers, f"{feed.name}.scores", total)
    say(f"{total:,} events of history are folded")
    probes = [key.decode() for key in readings.keys[1 :: ENTITIES // PROBES]][:PROBES]
    watchers = [
        Child(kind, [sys.executable, "-m", "benchmarks.latency_probes", kind, *rest], servers.directory, 2.0, environment)
        for kind, rest in (("served", probes), ("alerts", []))
    ]
    try:
        for watcher in watchers:
            _wait_for_line(watcher)
        handed_over, behind = _send(servers, feed, readings, size.live_seconds)
        time.sleep(SETTLE_SECONDS)
    finally:
        for watcher in watchers:
            watcher.stop()
    served = latencies(watchers[0].log_path.read_text().splitlines(), handed_over)
    alerts = latencies(watchers[1].log_path.read_text().splitlines(), handed_over)
    return {
        "event_to_served_ms": percentiles(served),
        "event_to_alert_ms": percentiles(alerts),
        "events_per_s": RATE,
        "served_seen": len(served),
        "alerts_seen": len(alerts),
        "faults": FAULTS,
        "producer_linger_ms": LINGER_MS,
        "sender_behind_ms": percentiles(behind),
    }


def _send(servers: BenchServers, feed: Feed, readings: Readings, seconds: int) -> tuple[Moments, list[float]]:
    """Hands events over when they are due; (moment of each, ms that calls came late)."""
    readings.live_from = time.time_ns() // 1_000_000 + LEAD_MS
    rounds = [readings.round(number) for number in range(seconds * RATE // ENTITIES)]  # before: making texts takes time, too
    per_tick, ticks = int(RATE * TICK_SECONDS), seconds * RATE // int(RATE * TICK_SECONDS)
    pieces = [
        (readings.keys[at : at + per_tick], values[at : at + per_tick]) for _, values in rounds for at in range(0, ENTITIES, per_tick)
    ]
    moments, behind = [0] * ticks, [0.0] * ticks
    topic, begin = events_topic(feed), time.monotonic() + max(0.0, readings.live_from / 1e3 - time.time())
    with Sender(servers.servers.kafka) as sender:
        for tick, piece in enumerate(pieces):
            due = begin + tick * TICK_SECONDS
            now = time.monotonic()
            if due > now:
                time.sleep(due - now)
            moments[tick] = time.monotonic_ns()
            behind[tick] = max(0.0, moments[tick] / 1e6 - due * 1e3)
            sender.send(topic, *piece)
        sender.flush()
    names, ticks_a_round = [key.decode() for key in readings.keys], ENTITIES // per_tick
    handed_over = {
        (names[at], 1000 * times[at]): moments[number * ticks_a_round + at // per_tick]
        for number, (times, _) in enumerate(rounds)
        for at in range(ENTITIES)
    }
    return handed_over, behind


def _wait(servers: BenchServers, topic: str, count: int) -> None:
    deadline = time.monotonic() + FOLD_SECONDS
    while servers.records(topic) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count:,} events were not folded in {FOLD_SECONDS:.0f} s")
        time.sleep(0.1)


def _wait_for_line(watcher: Child) -> None:
    """Until a probe says that it watches."""
    deadline = time.monotonic() + FOLD_SECONDS
    while not watcher.log_tail():
        if time.monotonic() > deadline or watcher.poll() is not None:
            raise TimeoutError(f"the {watcher.name} probe did not begin: {watcher.log_tail()}")
        time.sleep(0.05)


GOALS = {"event_to_served_ms": {"p50": 5.0, "p99": 25.0}, "event_to_alert_ms": {"p99": 50.0}, "read_100x50_ms": {"p99": 1.0}}
TITLES = {
    "event_to_served_ms": "event handed over → served to another process",
    "event_to_alert_ms": "event handed over → alert at a consumer",
    "read_100x50_ms": "read 100 entities × 50 features",
    "read_1x10_ms": "read 1 entity × 10 features",
}


def latency_table(found: dict[str, Any]) -> Table:
    """What was measured beside its goal."""
    table = Table("what", "p50 ms", "p99 ms", "goal")
    for name, title in TITLES.items():
        if name in found:
            goal = ", ".join(f"{quantile} ≤ {bound:g}" for quantile, bound in GOALS.get(name, {}).items())
            table.add_row(title, str(found[name]["p50"]), str(found[name]["p99"]), goal)
    return table


def main() -> None:
    """Command line."""
    parser = figures_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a shorter live part, with fewer alerts in it")
    options = parser.parse_args()
    progress = Console(stderr=True)
    found = measure(QUICK if options.quick else FULL, lambda line: progress.print(line, highlight=False))
    console = Console()
    console.print(latency_table(found))
    console.print(f"{found['reads_100x50_per_s']:,.0f} reads of 100 × 50 a second from one process", highlight=False)
    write_figures(found, options.json)


if __name__ == "__main__":
    main()
