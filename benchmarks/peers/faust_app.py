"""The job in stock Faust: an agent, a hopping table in memory with its changelog, river, redis-py.

In its favour: vectors go to Redis once a 100 ms in one pipeline, the newest of each entity, not one by one; no drift statistics.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

import faust
from anomaly_score import AnomalyScore
from redis.asyncio import Redis
from setting import DIRECTORY, EVENTS, GRACE_SECONDS, KAFKA, PARTITIONS, REDIS_PORT, RUN, SCORES, STEP_SECONDS, WINDOW_SECONDS
from window_statistics import State, add, inputs, packed, vector


class Reading(faust.Record, serializer="json"):
    """An event."""

    id: str
    ts: int
    temperature: float
    vibration: float
    pressure: float


class Window(faust.Record, serializer="json"):
    """What one window holds; `window += reading` is how a windowed table takes an event into each of its windows."""

    state: list[float]

    def __add__(self, reading: Reading) -> Window:
        return Window(state=add(self.state, reading.temperature, reading.vibration, reading.pressure))


app = faust.App(
    RUN,
    broker=f"kafka://{KAFKA}",
    store="memory://",
    datadir=DIRECTORY,
    topic_partitions=PARTITIONS,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    broker_max_poll_records=1000,
    producer_linger=0.05,  # seconds; at 0 every record is a request
)
events = app.topic(EVENTS, value_type=Reading)
scores = app.topic(SCORES, value_serializer="raw")
expires = timedelta(seconds=WINDOW_SECONDS + GRACE_SECONDS)
windows = app.Table("windows", default=lambda: Window(state=[]), partitions=PARTITIONS).hopping(
    WINDOW_SECONDS, STEP_SECONDS, expires=expires
)
by_event_time = windows.relative_to(lambda event: event.value.ts / 1000)
hopping = windows.table.window
score = AnomalyScore()
newest: dict[str, State] = {}


@app.agent(events)
async def gauge(readings: faust.Stream[Reading]) -> None:
    """Each event: six windows, the fullest one's features, a score."""
    async for reading in readings:
        entity = reading.id
        by_event_time[entity] += reading
        features = vector(by_event_time[entity][hopping.earliest(reading.ts / 1000)].state)
        newest[entity] = features
        text = json.dumps({"id": entity, "ts": reading.ts, "score": score(inputs(features))})
        await scores.send(key=entity, value=text.encode())


@app.task
async def connect() -> None:
    """One connection for all."""
    app.redis = Redis(port=REDIS_PORT)


@app.timer(0.1)
async def serve() -> None:
    """The newest vector of each entity touched since the last time."""
    if newest and hasattr(app, "redis"):
        vectors = {f"{RUN}:{entity}": packed(features) for entity, features in newest.items()}
        newest.clear()
        await app.redis.mset(vectors)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--without-web", "--loglevel", "warn"]
    app.main()
