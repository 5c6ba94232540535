"""One worker on one core: events a second of the full loop, and processor time an event of each stage.

The stated configuration: some 105 bytes of JSON with three numeric fields, 1,000 entities, four partitions, 2 % of the
records out of order; one 60 s window of six tiles with count, mean, std, min and max; Half-Space Trees, the drift
detectors, the vector in Redis, a score record with the vector on a topic. Broker and store run on the same machine; the
worker is bound to one core. Stages are timed alone, on the same records; `rest` is what the full loop takes beyond them.

    python -m benchmarks.throughput --json FILE
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from contracts.definition import Feed, Number
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.redis_connection import sync_client
from stream_processors.decoding.batches import raw_batch
from stream_processors.runner.clients import group_consumer, plain_producer
from stream_processors.runner.fold_service import GC_OBJECTS, FoldService
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.runner.publisher import Publisher
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack
from streamgauge.warm_up import warm_up

FIVE = ("count", "mean", "std", "min", "max")
ENTITIES = 1_000
PARTITIONS = 4
STAGE_ROWS = 4_096  # rows of a batch where stages are timed alone: what the full loop sees under load


def bench_feed() -> Feed:
    """The stated configuration."""
    return Feed(
        "bench",
        entity="id",
        time="ts",
        fields=[Number(name, features=FIVE) for name in ("temperature", "vibration", "pressure")],
        windows=["1m"],
        lateness="30s",
        false_alarms_per_week=1,
        partitions=PARTITIONS,
        time_features=False,
        season=None,  # with a daily season the drift detectors would still be learning when the run ends
    )


def make_events(count: int, seed: int = 1) -> tuple[list[bytes], list[bytes], list[int]]:
    """Keys, values and partitions; each entity reads once a second, 2 % are delayed by up to ten readings of all."""
    rng = np.random.default_rng(seed)
    start = 1_790_000_000_000
    order = np.arange(count, dtype=np.float64)
    late = rng.random(count) < 0.02
    order[late] += rng.random(late.sum()) * 10 * ENTITIES
    rows = np.argsort(order, kind="stable")
    noise = rng.standard_normal((count, 3))
    keys, values, partitions = [], [], []
    for row in rows.tolist():
        entity = row % ENTITIES
        a, b, c = noise[row]
        stamp = start + row // ENTITIES * 1000 + entity
        keys.append(b"device-%04d" % entity)
        values.append(
            b'{"id":"device-%04d","ts":%d,"temperature":%.3f,"vibration":%.4f,"pressure":%.4f}'
            % (entity, stamp, 60 + a, 2 + b * 0.1, 4 + c * 0.05)
        )
        partitions.append(entity % PARTITIONS)
    return keys, values, partitions


async def load(servers: Servers, feed: Feed, keys: list[bytes], values: list[bytes], partitions: list[int]) -> None:
    """Puts all events on the topic, in whole batches."""
    producer = plain_producer(servers.kafka)
    await producer.start()
    rows: list[list[int]] = [[] for _ in range(PARTITIONS)]
    for row, partition in enumerate(partitions):
        rows[partition].append(row)
    for partition, mine in enumerate(rows):
        batch = producer.create_batch()
        for row in mine:
            if batch.append(key=keys[row], value=values[row], timestamp=None) is None:
                await producer.send_batch(batch, events_topic(feed), partition=partition)
                batch = producer.create_batch()
                batch.append(key=keys[row], value=values[row], timestamp=None)
        await producer.send_batch(batch, events_topic(feed), partition=partition)
    await producer.stop()


async def full_loop(servers: Servers, feed: Feed, count: int) -> dict[str, float]:
    """Runs a worker's service in this process until every event is folded."""
    service = FoldService([feed], servers, f"bench-{time.monotonic_ns()}", WorkerMetrics())
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
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await service.stop()
    return {"events_per_s": (read - first) / wall, "cpu_us_per_event": cpu / (read - first) * 1e6}


async def stages_alone(servers: Servers, feed: Feed, keys: list[bytes], values: list[bytes], partitions: list[int]) -> dict[str, float]:
    """µs of processor time an event of each stage, one after the other over the same records."""
    mine = [row for row, partition in enumerate(partitions) if partition == 0]
    cuts = [mine[at : at + STAGE_ROWS] for at in range(0, len(mine), STAGE_ROWS)]
    raws = [raw_batch(range(c[0], c[0] + len(c)), [-1] * len(c), [keys[r] for r in c], [values[r] for r in c]) for c in cuts]
    raws = [raw._replace(offset=np.arange(i * STAGE_ROWS, i * STAGE_ROWS + raw.n)) for i, raw in enumerate(raws)]
    fold, n = StreamFold(feed, 0, 1), len(mine)
    columns = [None] * len(raws)
    rows: list[Any] = []
    outputs: list[Any] = []

    def decode() -> None:
        columns[:] = [fold.decoder.decode(raw) for raw in raws]  # type: ignore[assignment]

    def fold_all() -> None:
        rows.extend(fold.fold_rows(c) for c in columns)  # type: ignore[arg-type]

    def write() -> None:
        outputs.extend(fold.writer.outputs(c, raw, r, []) for c, raw, r in zip(columns, raws, rows, strict=True))  # type: ignore[arg-type]

    found = {"fetch": await _fetch(servers, feed), "decode": _cpu(decode) / n, "fold": _cpu(fold_all) / n, "outputs": _cpu(write) / n}
    found["publish"] = await _publish(servers, outputs, n)
    found["redis"] = _redis(servers, outputs) / n
    found["checkpoint"] = _cpu(fold.changed_chunks) / n
    return found


def _cpu(work: Callable[[], object]) -> float:
    """µs of processor time of this process."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1e6


async def _fetch(servers: Servers, feed: Feed) -> float:
    """Fetching, up to raw batches."""
    consumer = group_consumer(servers.kafka, f"bench-fetch-{time.monotonic_ns()}", "bench")
    await consumer.start()
    consumer.subscribe([events_topic(feed)])
    begun, count = None, 0
    while begun is None or count < 400_000:
        passed = await consumer.getbatches(timeout_ms=500)
        begun = begun or (time.process_time() if passed else None)
        count += sum(fetched.batch.n for _, fetched in passed)
        if not passed and begun:
            break
    spent = time.process_time() - (begun or 0.0)
    await consumer.stop()
    return spent / count * 1e6


async def _publish(servers: Servers, outputs: list[Any], n: int) -> float:
    producer = plain_producer(servers.kafka)
    await producer.start()
    publisher = Publisher(producer, transactional=False)
    begun = time.process_time()
    for out in outputs:
        await publisher.publish({f"bench-alone.{kind}": items for kind, items in out.records.items() if kind == "scores"})
    spent = time.process_time() - begun
    await producer.stop()
    return spent / n * 1e6


def _redis(servers: Servers, outputs: list[Any]) -> float:
    """Client side of writing every batch's vectors; the server-side guard is the store's own time."""
    client = sync_client(servers.redis)
    begun = time.process_time()
    for out in outputs:
        client.mset({b"bench:" + entity: blob for entity, blob in zip(out.entities, out.vectors, strict=True)})
    spent = (time.process_time() - begun) * 1e6
    client.close()
    return spent


def run(count: int, rounds: int) -> dict[str, Any]:
    """The measurement."""
    console = Console(stderr=True)
    warm_up()  # kernels are loaded before anything is timed
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 20, 50)  # as a worker does
    keys, values, partitions = make_events(count)
    found: list[dict[str, float]] = []
    stages: dict[str, float] = {}
    for number in range(rounds):
        with LocalStack() as stack:
            cores = os.sched_getaffinity(0)
            feed = bench_feed()
            ensure_topics(feed, stack.servers.kafka)
            asyncio.run(load(stack.servers, feed, keys, values, partitions))
            os.sched_setaffinity(0, {min(cores)})
            try:
                if not stages:
                    stages = asyncio.run(stages_alone(stack.servers, feed, keys[: count // 2], values, partitions[: count // 2]))
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
    return {
        "streamgauge": {
            "events_per_s": round(float(np.median(rates)), 1),
            "events_per_s_range": [round(rates[0], 1), round(rates[-1], 1)],
            "cpu_us_per_event": round(cpu, 3),
            "stages_us": {name: round(value, 3) for name, value in stages.items()},
        },
        "events": count,
        "rounds": rounds,
        "bytes_per_event": round(sum(map(len, values)) / len(values), 1),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--events", type=int, default=1_000_000, help="events a round (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = run(options.events, options.rounds)
    table = Table("stage", "µs of processor time an event")
    for name, value in found["streamgauge"]["stages_us"].items():
        table.add_row(name, f"{value:.2f}")
    table.add_row("full loop", f"{found['streamgauge']['cpu_us_per_event']:.2f}")
    console = Console()
    console.print(table)
    console.print(f"{found['streamgauge']['events_per_s']:,.0f} events a second on one core", highlight=False)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
