"""The job in Quix Streams: a hopping window reduced by a function, river, the Redis sink.

In its favour: vectors are packed and go to Redis at checkpoints (every 5 s), as the sink that comes with it does; of the six windows
that an event updates only the fullest is turned into features; no drift statistics.
"""

from __future__ import annotations

from typing import Any

from anomaly_score import AnomalyScore
from quixstreams import Application
from quixstreams.models import TopicConfig
from quixstreams.sinks.community.redis import RedisSink
from setting import DIRECTORY, EVENTS, GRACE_SECONDS, KAFKA, PARTITIONS, REDIS_PORT, RUN, SCORES, STEP_SECONDS, WINDOW_SECONDS
from window_statistics import State, add, inputs, packed, vector

OLDEST_MS = (WINDOW_SECONDS - STEP_SECONDS) * 1000  # the fullest window that an event falls into began at least so long ago


def first(event: dict[str, Any]) -> list[Any]:
    """A window with its first event: the event's time, the statistics."""
    return [event["ts"], add([], event["temperature"], event["vibration"], event["pressure"])]


def more(window: list[Any], event: dict[str, Any]) -> list[Any]:
    """A window with one more event."""
    return [event["ts"], add(window[1], event["temperature"], event["vibration"], event["pressure"])]


score = AnomalyScore()


def scored(window: dict[str, Any], key: str, *_: object) -> dict[str, Any]:
    """Features and score of a window."""
    ts, state = window["value"]
    features = vector(state)
    return {"id": key, "ts": ts, "vector": features, "score": score(inputs(features))}


def entity_key(key: Any, _: object) -> str:
    """As stored in Redis."""
    return f"{RUN}:{key}"


def packed_value(value: dict[str, Any]) -> bytes:
    """As stored in Redis."""
    features: State = value["vector"]
    return packed(features)


app = Application(
    KAFKA,
    consumer_group=RUN,
    auto_offset_reset="earliest",
    state_dir=DIRECTORY,
    producer_extra_config={"linger.ms": 50},  # at librdkafka's 5 ms a slow engine sends one record a request
    loglevel="WARNING",
)
events = app.topic(
    EVENTS,
    key_deserializer="str",
    value_deserializer="json",
    timestamp_extractor=lambda value, *_: value["ts"],
)
scores = app.topic(
    SCORES,
    key_serializer="str",
    value_serializer="json",
    config=TopicConfig(num_partitions=PARTITIONS, replication_factor=1),
)
sdf = app.dataframe(events)
sdf = sdf.hopping_window(WINDOW_SECONDS * 1000, STEP_SECONDS * 1000, grace_ms=GRACE_SECONDS * 1000).reduce(more, first).current()
sdf = sdf.filter(lambda window: window["value"][0] - window["start"] >= OLDEST_MS)
sdf = sdf.apply(scored, metadata=True)
sdf.sink(RedisSink(host="127.0.0.1", port=REDIS_PORT, db=0, value_serializer=packed_value, key_serializer=entity_key))
sdf = sdf.apply(lambda value: {"id": value["id"], "ts": value["ts"], "score": value["score"]}).to_topic(scores)

if __name__ == "__main__":
    app.run()
