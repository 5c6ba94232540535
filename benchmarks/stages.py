"""Stages of the loop timed alone, one after the other over the same records: µs of processor time an event.

`fold` is validation, order, tiles, features and score; `drift` is what the detectors add to it; `rest` is what the full loop takes
beyond all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.job import Events, bench_feed
from contracts.definition import Feed
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.redis_connection import sync_client
from stream_processors.decoding.batches import raw_batch
from stream_processors.runner.clients import group_consumer, plain_producer
from stream_processors.runner.publisher import Publisher
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.topics import ensure_topics

ALONE = "bench-alone"  # a feed of its own: what stands on a feed's topics is not published again
STAGE_ROWS = 4_096  # rows of a batch where stages are timed alone: what the full loop sees under load
FETCHED = 400_000  # records of the fetch alone: two seconds of a fast loop


async def stages_alone(servers: Servers, feed: Feed, events: Events) -> dict[str, float]:
    """µs of processor time an event of each stage, one after the other over the same records."""
    keys, values, partitions = events
    mine = [row for row, partition in enumerate(partitions) if partition == 0]
    cuts = [mine[at : at + STAGE_ROWS] for at in range(0, len(mine), STAGE_ROWS)]
    raws = [raw_batch(range(c[0], c[0] + len(c)), [-1] * len(c), [keys[r] for r in c], [values[r] for r in c]) for c in cuts]
    raws = [raw._replace(offset=np.arange(i * STAGE_ROWS, i * STAGE_ROWS + raw.n)) for i, raw in enumerate(raws)]
    fold, undetected, n = StreamFold(feed, 0, 1), StreamFold(replace(feed, detectors=()), 0, 1), len(mine)
    columns = [None] * len(raws)
    rows: list[Any] = []
    outputs: list[Any] = []

    def decode() -> None:
        columns[:] = [fold.decoder.decode(raw) for raw in raws]  # type: ignore[assignment]

    def fold_all() -> None:
        rows.extend(fold.fold_rows(c) for c in columns)  # type: ignore[arg-type]

    def write() -> None:
        outputs.extend(fold.writer.outputs(c, raw, r, []) for c, raw, r in zip(columns, raws, rows, strict=True))  # type: ignore[arg-type]

    def fold_undetected() -> None:
        for batch in columns:
            undetected.fold_rows(batch)  # type: ignore[arg-type]

    found = {"fetch": await _fetch(servers, feed), "decode": _cpu(decode) / n}
    whole, found["fold"] = _cpu(fold_all) / n, _cpu(fold_undetected) / n
    found |= {"drift": whole - found["fold"], "outputs": _cpu(write) / n}
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
    while begun is None or count < FETCHED:
        passed = await consumer.getbatches(timeout_ms=500)
        begun = begun or (time.process_time() if passed else None)
        count += sum(fetched.batch.n for _, fetched in passed)
        if not passed and begun:
            break
    spent = time.process_time() - (begun or 0.0)
    await consumer.stop()
    return spent / count * 1e6


async def _publish(servers: Servers, outputs: list[Any], n: int) -> float:
    await asyncio.to_thread(ensure_topics, bench_feed(ALONE), servers.kafka)
    producer = plain_producer(servers.kafka)
    await producer.start()
    publisher = Publisher(producer, transactional=False)
    begun = time.process_time()
    for out in outputs:
        publisher.hand_over({f"{ALONE}.{kind}": items for kind, items in out.records.items() if kind == "scores"})
    await publisher.published()
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


def stages_table(found: dict[str, Any]) -> Table:
    """What a stage costs."""
    table = Table("stage", "µs of processor time an event")
    for name, value in found["stages_us"].items():
        table.add_row(name, f"{value:.2f}")
    table.add_row("full loop", f"{found['cpu_us_per_event']:.2f}")
    return table
