"""Which rows fall into an open incident of their entity or of the whole feed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from contracts.columns import I64, U8
from contracts.records import Alert


class OpenTime(NamedTuple):
    """An incident's time of being open, in event time: begin ≤ t < end, µs; no end where it is open still."""

    incident: str
    kind: str  # at the opening
    entity: str | None  # None: the whole feed
    begin: int
    end: int | None


def open_times(alerts: Iterable[Alert]) -> list[OpenTime]:
    """The incidents of a log of alerts, in the order of their openings."""
    found: dict[str, OpenTime] = {}
    for alert in alerts:
        if alert.status == "opened":
            found[alert.incident] = OpenTime(alert.incident, alert.kind, alert.entity, alert.event_time, None)
        elif alert.status == "resolved" and alert.incident in found:
            found[alert.incident] = found[alert.incident]._replace(end=alert.event_time)
    return list(found.values())


def alarm_rows(times: Iterable[OpenTime], event_time: I64, entity: I64, codes: Mapping[str, int]) -> U8:
    """(n,) 1 where an incident is open; `event_time` must rise. `entity` holds the codes that `codes` gives to names."""
    out = np.zeros(len(event_time), np.uint8)
    for item in times:
        first = int(np.searchsorted(event_time, item.begin))
        last = len(out) if item.end is None else int(np.searchsorted(event_time, item.end))
        if item.entity is None:
            out[first:last] = 1
        elif item.entity in codes:
            out[first:last] |= entity[first:last] == codes[item.entity]
    return out
