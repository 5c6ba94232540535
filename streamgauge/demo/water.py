"""The water network's readings, which ship with river: hourly flow of two months with four labelled anomalies."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np

from contracts.event_time import EPOCH, parse_event_time
from producers.batch import Batch

STATION = "tecnojest-1"
# What river's description of the series calls its four anomalous segments, as first and last reading of each.
LABELLED = (
    ("low value moment", "2022-03-24T07:00:00Z", "2022-03-25T00:00:00Z"),
    ("low value moment", "2022-03-29T05:00:00Z", "2022-03-29T18:00:00Z"),
    ("small peak after pumping", "2022-04-03T04:00:00Z", "2022-04-03T04:00:00Z"),
    ("low value moment", "2022-04-27T13:00:00Z", "2022-04-28T04:00:00Z"),
)


def labelled_anomalies() -> list[tuple[str, int, int]]:
    """(what, first, last) in µs."""
    return [(what, parse_event_time(first) or 0, parse_event_time(last) or 0) for what, first, last in LABELLED]


def water_records() -> Batch:
    """Every reading, due at its own event time."""
    from river.datasets import WaterFlow

    times, values = [], []
    for x, flow in WaterFlow():  # type: ignore[no-untyped-call]
        moment = x["Time"].astimezone(UTC)
        delta = moment - EPOCH
        times.append((delta.days * 86_400 + delta.seconds) * 1_000_000)
        values.append(msgspec.json.encode({"station": STATION, "time": _text(moment), "flow": flow}))
    due = np.array(times, np.int64)
    return Batch([STATION.encode()] * len(values), values, due, due)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
