"""What was planted beside what was found, read from the alerts as any consumer would."""

from __future__ import annotations

from typing import NamedTuple

from contracts.records import Alert
from producers.plan import Expected, Planted


class Found(NamedTuple):
    """A planted fault and the incident that told it; of those judged by counters, whether the counters agree.

    `late` is the first incident that would have told it, had it opened in the fault's time; it counts as false.
    """

    planted: Planted
    alert: Alert | None
    counters_agree: bool | None = None
    late: Alert | None = None

    @property
    def found(self) -> bool:
        """Whether the demo calls it found."""
        return bool(self.counters_agree) if self.planted.judged_by == "counters" else self.alert is not None


def match(planted: list[Planted], alerts: list[Alert], counters_agree: bool) -> list[Found]:
    """Each fault with the first incident of its kind on its entity (or the feed) and field, opened in its time."""
    opened = [alert for alert in alerts if alert.status == "opened"]
    out = []
    for item in planted:
        if item.judged_by == "counters":
            out.append(Found(item, None, counters_agree))
        else:
            after = [alert for alert in opened if _is_of(alert, item) and alert.event_time >= item.start]
            told = next((alert for alert in after if alert.event_time <= item.found_by), None)
            out.append(Found(item, told, late=after[0] if after and told is None else None))
    return out


def false_incidents(planted: list[Planted], alerts: list[Alert]) -> list[Alert]:
    """Incidents that tell no planted fault, judged by counters or not, and were not merged into a feed-wide one."""
    merged = {alert.incident for alert in alerts if alert.merged_into}
    opened = [alert for alert in alerts if alert.status == "opened" and alert.incident not in merged]
    return [alert for alert in opened if not any(_tells(alert, item) for item in planted)]


def counters_agree(expected: Expected, totals: dict[str, int]) -> bool:
    """Whether the four outcomes came to exactly what the plan says."""
    names = ("read", "folded", "duplicate", "late", "dead_lettered")
    return all(totals[name] == getattr(expected, name) for name in names)


def _tells(alert: Alert, item: Planted) -> bool:
    return _is_of(alert, item) and item.start <= alert.event_time <= item.found_by


def _is_of(alert: Alert, item: Planted) -> bool:
    same_place = alert.scope == "feed" if item.entity is None else alert.entity == item.entity
    same_field = item.field is None or alert.field == item.field
    return alert.kind == item.incident and same_place and same_field
