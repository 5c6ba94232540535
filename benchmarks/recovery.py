"""How long a killed worker's partitions stand still, and how long a million records take to be folded again; on Apache Kafka.

Two workers, four partitions, 1,000 events a second. *Takeover*: SIGKILL to one worker, until every partition serves a value
that is newer than what stood on the log at the kill. *Fold again*: a million records are folded, then both workers are killed and
Redis is emptied; from the start of two new workers until all that stood on the log is served.

    python -m benchmarks.recovery --json FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import versions
from contracts.definition import Feed
from contracts.plant import load_plant
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.readers import AsyncFeatureReader
from feature_store.redis_connection import async_client
from producers.sender import Sender
from stream_processors.runner.clients import SESSION_MS
from stream_processors.topics import ensure_topics
from tests.storm.fleet import Fleet
from tests.storm.oracle import ends
from tests.storm.servers import StormServers
from tests.storm.settings import Setting

ENTITIES = tuple(f"unit-{n:03d}" for n in range(200))
START = 1_767_225_600_000  # ms
PLANT = """
from streamgauge import Feed, Number

feed = Feed(
    "recovery",
    entity="unit",
    time="at",
    fields=[Number("temperature"), Number("vibration"), Number("pressure")],
    windows=["1m"],
    lateness="30s",
    season=None,
    partitions=4,
    false_alarms_per_week=1,
)
"""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, StormServers(Setting()) as servers:
        found = _measure(Path(name), servers, options.kills, options.records)
    found |= {"session_s": SESSION_MS / 1000, "versions": versions()}
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def _measure(directory: Path, servers: StormServers, kills: int, records: int) -> dict[str, Any]:
    plant = directory / "plant.py"
    plant.write_text(PLANT)
    (feed,) = load_plant(plant)
    ensure_topics(feed, servers.servers.kafka)
    fleet = Fleet(plant, servers.servers, directory, None)
    for _ in range(2):
        fleet.start_worker()
    trickle = _Trickle(feed, servers.servers)
    try:
        _until(lambda: _served(feed, servers.servers, dict.fromkeys(range(feed.partitions), 1)))
        takeovers = []
        for _ in range(kills):
            time.sleep(8.0)
            due, began = ends(feed, servers.servers), time.monotonic()
            fleet.lose(fleet.workers[0])
            fleet.start_worker()
            _until(lambda due=due: _served(feed, servers.servers, due))  # type: ignore[misc]
            takeovers.append(round(time.monotonic() - began, 2))
        trickle.burst(records)
        due = {partition: end - 500 for partition, end in ends(feed, servers.servers).items()}
        _until(lambda: _served(feed, servers.servers, due))
        for worker in list(fleet.workers):
            fleet.lose(worker)
        servers.flush()
        time.sleep(SESSION_MS / 1000)
        began = time.monotonic()
        for _ in range(2):
            fleet.start_worker()
        _until(lambda: _served(feed, servers.servers, due))
        again = round(time.monotonic() - began, 2)
    finally:
        trickle.stop()
        fleet.stop()
    figures = {"p50": statistics.median(takeovers), "max": max(takeovers), "all": takeovers}
    return {"takeover_s": figures, "fold_again_s": again, "records": sum(due.values())}


class _Trickle:
    """A thousand events a second, and bursts."""

    def __init__(self, feed: Feed, servers: Servers) -> None:
        self._topic, self._sender, self._n = events_topic(feed), Sender(servers.kafka), 0
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def burst(self, records: int) -> None:
        """As fast as the broker takes them."""
        for _ in range(records // len(ENTITIES)):
            self._send()
        self._sender.flush()

    def stop(self) -> None:
        """Ends."""
        self._ended.set()
        self._thread.join()
        self._sender.close(discard=True)

    def _run(self) -> None:
        while not self._ended.wait(len(ENTITIES) / 1000):
            self._send()

    def _send(self) -> None:
        with self._lock:
            self._n += 1
            at = START + self._n * 1000
            values = [
                b'{"unit":"%s","at":%d,"temperature":%d.%d,"vibration":0.%d,"pressure":%d}'
                % (unit.encode(), at, 20 + self._n % 7, i % 10, (i * self._n) % 97, 90 + (i + self._n) % 5)
                for i, unit in enumerate(ENTITIES)
            ]
            self._sender.send(self._topic, [unit.encode() for unit in ENTITIES], values)


def _until(done: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not served within {seconds:.0f} s")
        time.sleep(0.05)


def _served(feed: Feed, servers: Servers, due: dict[int, int]) -> bool:
    return asyncio.run(_serves(feed, servers, due))


async def _serves(feed: Feed, servers: Servers, due: dict[int, int]) -> bool:
    redis = await async_client(servers.redis, holds_state=False)
    try:
        table = await AsyncFeatureReader(redis, feed).read(ENTITIES)
    finally:
        await redis.aclose()
    newest = table.newest_offsets()
    return all(newest.get(partition, -1) >= end for partition, end in due.items())


if __name__ == "__main__":
    main()
