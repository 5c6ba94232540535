"""Whether the engines do the same job: what each has put into Redis against numpy, and a score record for every event.

    python -m benchmarks.same_job [ENGINE…]      # 2 minutes

Few entities over some minutes of event time, so that windows fill and move on; peers serve the window of the event they saw last.
Bytewax with windows is left out: it speaks when they close. streamgauge is compared with pandas by its own tests.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import numpy as np
import redis

from benchmarks.engines import ENGINES, EVENTS, GRACE_SECONDS, MORE_ENGINES, Engine, peer_environment
from benchmarks.job import FIELDS, Events, bench_feed, joined, load, make_events
from benchmarks.servers import BenchServers
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import Child

ENTITIES, COUNT = 8, 2_000
STEP_MS, WINDOW_MS = 10_000, 60_000
WAIT_SECONDS = 180.0  # for the slowest on a busy machine, its last write to Redis included


def wanted(events: Events) -> dict[str, list[float]]:
    """By entity: count, then mean, std, min and max of each field over the fullest window of its last event."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    for value in events.values:
        event = json.loads(value)
        rows.setdefault(event["id"], []).append((event["ts"], *(event[field] for field in FIELDS)))
    out = {}
    for entity, seen in rows.items():
        table = np.array(seen)
        end = (table[-1, 0] // STEP_MS + 1) * STEP_MS
        window = table[(table[:, 0] >= end - WINDOW_MS) & (table[:, 0] < end), 1:]
        out[entity] = [float(len(window))]
        for column in window.T:
            out[entity] += [column.mean(), column.std(ddof=1), column.min(), column.max()]
    return out


def found(port: int, run: str, big_endian: bool) -> dict[str, list[float]]:
    """What stands in Redis."""
    with redis.Redis(port=port) as client:
        keys = [key for key in client.keys(f"{run}:*") if client.type(key) == b"string"]
        blobs = client.mget(keys) if keys else []
    order = ">f8" if big_endian else "<f8"
    return {key.decode().partition(":")[2]: np.frombuffer(blob, order).tolist() for key, blob in zip(keys, blobs, strict=True)}


def same(one: dict[str, list[float]], other: dict[str, list[float]]) -> bool:
    """Up to the last digits: sums are added in different orders."""
    return one.keys() == other.keys() and all(np.allclose(one[entity], other[entity], rtol=1e-7, atol=1e-9) for entity in one)


def check(engine: Engine, servers: BenchServers, events: Events) -> str:
    """What is wrong with an engine's output; empty where nothing is."""
    run = f"check-{engine.name.replace('_', '-')}"
    directory = servers.directory / run
    directory.mkdir()
    servers.make_topic(f"{run}.scores")
    command, environment = engine.command(directory, run)
    environment = dict(environment) | peer_environment(servers, directory, run, f"{run}.scores")
    child = Child(run, command, directory, GRACE_SECONDS, environment, directory)
    deadline, right = time.monotonic() + WAIT_SECONDS, wanted(events)
    try:
        while time.monotonic() < deadline and child.poll() is None:
            stored, scores = found(servers.redis_port, run, engine.name.startswith("kafka_streams")), servers.records(f"{run}.scores")
            if scores >= len(events.values) and same(stored, right):
                return ""
            time.sleep(0.5)
        wrong = [entity for entity in right if not same({entity: stored.get(entity, [])}, {entity: right[entity]})]
        return f"{scores:,} scores of {len(events.values):,} events; other vectors: {wrong}\n{child.log_tail()}"
    finally:
        child.stop()
        servers.clear(run)


def main() -> None:
    """Exit code 1 where one differs."""
    only = sys.argv[1:]
    peers = [e for e in (*ENGINES, *MORE_ENGINES) if not e.name.startswith("streamgauge") and not e.counts_closed_windows]
    ends = 0
    with BenchServers(bound=False) as servers:
        ensure_topics(bench_feed(), servers.servers.kafka)
        events = joined(make_events(COUNT, entities=ENTITIES))
        asyncio.run(load(servers.servers.kafka, EVENTS, iter([events])))
        for engine in peers:
            if not only or engine.name in only:
                wrong = check(engine, servers, events)
                ends |= bool(wrong)
                print(f"{engine.title}: {wrong or 'the same'}", flush=True)
    sys.exit(ends)


if __name__ == "__main__":
    main()
