"""The job in Bytewax: a sliding window folded by a function, river, sinks for Kafka and Redis.

Its windows speak when they close, so one vector and one score come out for each window, a tenth as many as events: in its favour.
With BENCH_STATE=by-hand the windows are kept by hand in a stateful map, tile by tile, and every event is scored: what a user
who needs that would write. In its favour either way: no drift statistics; recovery (SQLite snapshots) is off, as by default.
"""

from __future__ import annotations

import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
from anomaly_score import AnomalyScore
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, SlidingWindower, fold_window
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from redis import Redis
from setting import DIRECTORY, EVENTS, GRACE_SECONDS, KAFKA, REDIS_PORT, RUN, SCORES, STEP_SECONDS, WINDOW_SECONDS
from window_statistics import State, add, inputs, merge, packed, vector

BATCH = 5_000  # records a poll; the default of 1,000 is meant for lower latency
STEP_MS = STEP_SECONDS * 1000
TILES = WINDOW_SECONDS // STEP_SECONDS
KEPT = TILES + GRACE_SECONDS // STEP_SECONDS


class Reading(msgspec.Struct, gc=False):
    """An event."""

    id: str
    ts: int
    temperature: float
    vibration: float
    pressure: float


class VectorSink(DynamicSink[tuple[str, State]]):
    """Puts the newest vector of each entity of a batch into Redis, in one command."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[tuple[str, State]]:
        """One connection a worker."""
        return _VectorPartition()


class _VectorPartition(StatelessSinkPartition[tuple[str, State]]):
    def __init__(self) -> None:
        self._redis = Redis(port=REDIS_PORT)

    def write_batch(self, items: list[tuple[str, State]]) -> None:
        newest = dict(items)
        self._redis.mset({f"{RUN}:{entity}": packed(features) for entity, features in newest.items()})


decode = msgspec.json.Decoder(Reading).decode
encode = msgspec.json.Encoder().encode
score = AnomalyScore()
progress = os.open(Path(DIRECTORY) / "progress", os.O_CREAT | os.O_RDWR)  # events read: closed windows do not tell
read = 0


def keyed(message: KafkaSourceMessage[bytes, bytes]) -> tuple[str, Reading]:
    """The event under its entity."""
    global read
    read += 1
    if read % 100 == 0:
        os.pwrite(progress, struct.pack("<q", read), 0)
    reading = decode(message.value)
    return reading.id, reading


def folded(state: State, reading: Reading) -> State:
    """One more event in a window."""
    return add(state, reading.temperature, reading.vibration, reading.pressure)


def by_hand(tiles: dict[int, State] | None, reading: Reading) -> tuple[dict[int, State], State]:
    """One more event in its tile, and the features of the window that it ends."""
    tiles = tiles or {}
    tile = reading.ts // STEP_MS
    tiles[tile] = folded(tiles.get(tile, []), reading)
    window: State = []
    for at in range(tile - TILES + 1, tile + 1):
        if at in tiles:
            window = merge(window, tiles[at])
    if len(tiles) > KEPT:
        del tiles[min(tiles)]
    return tiles, vector(window)


def scored(item: tuple[str, State]) -> KafkaSinkMessage[bytes, bytes]:
    """The score record of an entity's features."""
    entity, features = item
    return KafkaSinkMessage(entity.encode(), encode({"id": entity, "score": score(inputs(features))}))


flow = Dataflow("gauge")
source = kop.input("events", flow, brokers=[KAFKA], topics=[EVENTS], batch_size=BATCH)
entities: Any = op.map("keyed", source.oks, keyed)
vectors: Any
if os.environ.get("BENCH_STATE") == "by-hand":
    vectors = op.stateful_map("tiles", entities, by_hand)
else:
    clock = EventClock(
        ts_getter=lambda reading: datetime.fromtimestamp(reading.ts / 1000, UTC),
        wait_for_system_duration=timedelta(seconds=GRACE_SECONDS),
    )
    windower = SlidingWindower(
        length=timedelta(seconds=WINDOW_SECONDS),
        offset=timedelta(seconds=STEP_SECONDS),
        align_to=datetime(2020, 1, 1, tzinfo=UTC),
    )
    windows = fold_window("windows", entities, clock, windower, list, folded, merge, ordered=False)
    vectors = op.map("features", windows.down, lambda item: (item[0], vector(item[1][1])))
op.output("redis", vectors, VectorSink())
kop.output("scores", op.map("scored", vectors, scored), brokers=[KAFKA], topic=SCORES)

if __name__ == "__main__":
    cli_main(flow)
