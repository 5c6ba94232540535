"""What was raised: each incident from its beginning to its end, from the alerts of a feed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from contracts.records import Alert


class Raised(NamedTuple):
    """An incident. Times are event times, µs."""

    id: str
    source: str  # whose evidence opened it, whatever explained it better afterwards: it spent the budget
    entity: str | None  # None: the whole feed
    start: int
    end: int | None  # None while it is open


def raised_incidents(alerts: Iterable[Alert]) -> dict[str, Raised]:
    """Incidents by id, in the order in which they opened; one whose opening is not there counts from what is."""
    found: dict[str, Raised] = {}
    for alert in alerts:
        first = found.get(alert.incident, Raised(alert.incident, alert.kind, alert.entity, alert.first_seen, None))
        end = alert.event_time if alert.status == "resolved" else first.end
        found[alert.incident] = first._replace(start=min(first.start, alert.first_seen), end=end)
    return found
