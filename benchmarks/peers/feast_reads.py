"""Reads through Feast's Python SDK over Redis: 100 entities × 50 features and 1 × 10, from one process; prints JSON.

A local registry whose cache never expires, a feature service for each read, cluster off, usage reports off: the path that Feast's
own documentation gives for low latency in Python.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

os.environ["FEAST_USAGE"] = "False"

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

ENTITIES, FEATURES, WARM_READS = 1_000, 50, 50


def store_at(directory: Path, redis_port: int) -> FeatureStore:
    """A repository with one view of fifty features and a service for each read."""
    config = RepoConfig(
        project="bench",
        provider="local",
        registry={"registry_type": "file", "path": str(directory / "registry.db"), "cache_ttl_seconds": 0},
        online_store={"type": "redis", "connection_string": f"127.0.0.1:{redis_port}"},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    device = Entity(name="device", join_keys=["device"], value_type=ValueType.STRING)
    path = directory / "readings.parquet"
    readings().head(1).to_parquet(path)
    view = FeatureView(
        name="readings",
        entities=[device],
        ttl=timedelta(days=1),
        schema=[Field(name=f"f{n}", dtype=Float64) for n in range(FEATURES)],
        source=FileSource(path=str(path), timestamp_field="event_time"),
        online=True,
    )
    fifty = FeatureService(name="fifty", features=[view])
    ten = FeatureService(name="ten", features=[view[[f"f{n}" for n in range(10)]]])
    store.apply([device, view, fifty, ten])
    return store


def readings() -> pd.DataFrame:
    """One row of an entity each."""
    columns = {f"f{n}": [n + 0.5] * ENTITIES for n in range(FEATURES)}
    return pd.DataFrame({"device": [f"device-{n:05d}" for n in range(ENTITIES)], "event_time": datetime.now(UTC), **columns})


def timed(read: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of each read, one after the other."""
    for _ in range(WARM_READS):
        read()
    out, end = [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        read()
        out.append((time.perf_counter() - begun) * 1000)
    return out


def percentiles(values: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    ordered = sorted(values)
    return {"p50": round(ordered[len(ordered) // 2], 3), "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 3)}


def main() -> None:
    """Arguments: port of Redis on 127.0.0.1, seconds of each read."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        store = store_at(Path(directory), port)
        store.write_to_online_store("readings", readings())
        fifty, ten = store.get_feature_service("fifty"), store.get_feature_service("ten")
        rng, names = random.Random(2), [f"device-{n:05d}" for n in range(ENTITIES)]
        check = store.get_online_features(fifty, [{"device": names[7]}]).to_dict()
        assert check["f49"] == [49.5], "every value is there"
        large = timed(lambda: store.get_online_features(fifty, {"device": rng.sample(names, 100)}), seconds)
        small = timed(lambda: store.get_online_features(ten, {"device": [rng.choice(names)]}), seconds / 2)
    found = {"read_100x50_ms": percentiles(large), "read_1x10_ms": percentiles(small)}
    print(json.dumps(found | {"reads_100x50_per_s": round(len(large) / sum(large) * 1000, 1)}))


if __name__ == "__main__":
    main()
