"""How long an event takes from the producer's hand-over until a separate reader sees its value, or its alert.

Run as a module it is that reader: a process of its own that reads the served features of a few entities again and again
and prints, for each change, entity, event time and the monotonic clock in ns, which all processes of a machine share.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import numpy as np

from contracts.plant import choose_feeds, load_plant
from contracts.records import Alert

PAUSE_SECONDS = 0.001  # between two reads: the resolution of the figures, and a thousand reads a second for Redis
PROBES = 6  # entities watched; more would load the two cores that run everything else
Moments = dict[tuple[str, int], int]  # (entity, event time) -> ns


def watch(plant: str, feed_name: str, redis_url: str, entities: list[str]) -> None:
    """Prints ``entity event_time ns`` whenever a read shows a newer vector; ends with its parent."""
    from feature_store.readers import FeatureReader

    (feed,) = choose_feeds(load_plant(plant), feed_name)
    feature = [f"{feed.numbers[0].name}_last"]
    with FeatureReader(redis_url, feed) as reader:
        newest: dict[str, int] = {}
        while True:
            table = reader.read(entities, features=feature)
            seen = time.monotonic_ns()
            for entity, event_time in zip(entities, table.event_time.tolist(), strict=True):
                if event_time > newest.get(entity, 0):
                    newest[entity] = event_time
                    print(entity, event_time, seen, flush=True)  # noqa: T201
            time.sleep(PAUSE_SECONDS)


def served_latencies(lines: Iterable[str], handed_over: Moments) -> list[float]:
    """Milliseconds from hand-over to sight of every reading that the reader saw."""
    out = []
    for line in lines:
        entity, event_time, seen = line.split()
        begun = handed_over.get((entity, int(event_time)))
        if begun is not None:
            out.append((int(seen) - begun) / 1e6)
    return out


def alert_latencies(alerts: Iterable[tuple[Alert, int]], handed_over: Moments) -> list[float]:
    """Milliseconds from the hand-over of the event that caused an alert to the alert's arrival at a consumer.

    Only alerts on one entity name that event; those of silence are caused by the events of others.
    """
    out = []
    for alert, seen in alerts:
        begun = handed_over.get((alert.entity or "", alert.event_time))
        if begun is not None and alert.kind != "silence":
            out.append((seen - begun) / 1e6)
    return out


def percentiles(values: list[float]) -> dict[str, float | None]:
    """Median and 99th percentile, None where there is no value."""
    if not values:
        return {"p50": None, "p99": None}
    return {"p50": round(float(np.percentile(values, 50)), 2), "p99": round(float(np.percentile(values, 99)), 2)}


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
