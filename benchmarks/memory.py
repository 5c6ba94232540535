"""Whether a worker holds as much memory as `streamgauge check` says, while far more entities come and go than its cap keeps.

One worker, four partitions. 200,000 entities come one after another, send four readings each, and are gone; a quarter of them fits under
the cap. Compared at the end, and at the worst moment, is the resident memory of the worker's process.

    python -m benchmarks.memory --json FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import redis

from benchmarks.machine import versions
from contracts.definition import Feed
from contracts.plant import load_plant
from contracts.settings import Servers
from contracts.topics import events_topic
from producers.sender import Sender
from stream_processors.status import feed_status
from stream_processors.topics import ensure_topics
from streamgauge.estimate import estimate
from streamgauge.local_stack import LocalStack
from tests.storm.fleet import Fleet, Process

START = 1_767_225_600_000  # ms
READINGS = 4  # of each entity
APART = 200  # entities that come between two readings of one
PLANT = """
from streamgauge import Feed, Number

feed = Feed(
    "memory",
    entity="unit",
    time="at",
    fields=[Number("temperature"), Number("vibration"), Number("pressure")],
    windows=["1m"],
    lateness="30s",
    season=None,
    partitions=4,
    max_entities={cap},
    false_alarms_per_week=1,
)
"""


def main() -> None:
    """Measures and prints; exit 1 where it is off by more than a tenth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument("--cap", type=int, default=12_500, help="of a partition")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, LocalStack() as stack:
        found = measure(Path(name), stack.servers, options.entities, options.cap)
    found["versions"] = versions()
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    raise SystemExit(0 if all(abs(found[what] / found["predicted"] - 1) <= 0.1 for what in ("resident", "worst")) else 1)


def measure(directory: Path, servers: Servers, entities: int, cap: int) -> dict[str, Any]:
    """Bytes that the worker's process holds when all have come and gone, at its worst, and by prediction."""
    plant = directory / "plant.py"
    plant.write_text(PLANT.format(cap=cap))
    (feed,) = load_plant(plant)
    ensure_topics(feed, servers.kafka)
    fleet = Fleet(plant, servers, directory, None)
    watch = _Watch(fleet.start_worker())
    try:
        sent = _send(feed, servers, entities)
        _folded(feed, servers, sent)
        time.sleep(12.0)  # the last checkpoint, and what is freed after it
        resident = watch.process.resident
    finally:
        watch.stop()
        fleet.stop()
    sizes = estimate(feed, 1000.0, entities)["bytes"]
    with redis.Redis.from_url(servers.redis) as client:
        store = client.info("memory")["used_memory"]
    stored = {"redis": store, "redis_predicted": sizes["redis_vectors"] + sizes["redis_checkpoint"]}
    figures = {"entities": entities, "cap": feed.partitions * cap, "events": sent, "resident": resident}
    return figures | {"worst": watch.worst, "predicted": sizes["worker_resident"], "worker_state": sizes["worker_state"]} | stored


def _send(feed: Feed, servers: Servers, entities: int) -> int:
    """Readings of entity n come at n, n + APART, …; returns how many."""
    sent = 0
    with Sender(servers.kafka) as sender:
        for first in range(0, entities + READINGS * APART, APART):
            keys, values = [], []
            for reading in range(READINGS):
                for n in range(max(0, first - reading * APART), min(entities, first - reading * APART + APART)):
                    unit = b"unit-%06d" % n
                    keys.append(unit)
                    numbers = (20 + n % 7, reading, n % 97, 90 + (n + reading) % 5)
                    values.append(
                        b'{"unit":"%s","at":%d,"temperature":%d.%d,"vibration":0.%d,"pressure":%d}' % (unit, START + first * 50, *numbers)
                    )
            sender.send(events_topic(feed), keys, values)
            sent += len(keys)
        sender.flush()
    return sent


def _folded(feed: Feed, servers: Servers, count: int) -> None:
    deadline = time.monotonic() + 600.0
    while True:
        status = asyncio.run(feed_status(feed, servers))
        if status["totals"]["read"] >= count:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not folded: {status['totals']}")
        time.sleep(0.5)


class _Watch:
    """The most that a process held."""

    def __init__(self, process: Process) -> None:
        self.process, self.worst = process, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            try:
                self.worst = max(self.worst, self.process.resident)
            except OSError:
                return


if __name__ == "__main__":
    main()
