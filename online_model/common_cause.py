"""One cause across entities: many of them show the same source, field and direction at the same time.

The mean of e-detectors over all entities of the feed is an e-detector under any dependence between them (Vovk & Wang 2021,
"E-values: calibration, combination and applications", section 3), so a fleet under one weather cannot fool it. That is of the
statistics as they are at one moment; the judge has them as they were last told, the highest since they left their ground. So
the bound is no theorem here where entities peak one after the other; what it comes to is simulated (tests/online_model/test_budget.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext
from typing import NamedTuple

from contracts.records import Sample
from online_model.incidents import EXPLAINED, Cell, CellKey, GroupKey, Incident, Spans

FEWEST = 3  # with two entities a coincidence looks like a common cause
SHARE = 5  # one entity in five must show it
TOLD = 2.0  # log10 of the e-value from which an entity counts
HIGHEST_TENTHS = 300  # an e-value above 10^30 counts as 10^30, so that sums stay small integers


def _tenths() -> tuple[int, ...]:
    with localcontext() as context:
        context.prec = 40
        return tuple(int(Decimal(10) ** (Decimal(tenth) / 10)) for tenth in range(HIGHEST_TENTHS + 1))


_POWERS = _tenths()  # 10^(i/10) as whole numbers: their sums are exact, hence the same in any order


def tenths_of(level: float) -> int:
    """A level in whole tenths of a decade, rounded down."""
    return max(0, min(int(level * 10.0), HIGHEST_TENTHS))


def needed(entities: int) -> int:
    """How many entities must show a change before it may be a common cause."""
    return max(FEWEST, -(-entities // SHARE))


class Groups:
    """Told statistics by (source, field, direction); an index over the cells, not stored."""

    def __init__(self) -> None:
        self._keys: dict[GroupKey, dict[CellKey, None]] = {}
        self._counts: dict[GroupKey, dict[int, int]] = {}

    def add(self, cell: Cell) -> None:
        """Counts a statistic in; statistics of no entity, or not told yet, are left out."""
        if cell.entity is None or cell.level < TOLD:
            return
        counts = self._counts.setdefault(cell.group, {})
        self._keys.setdefault(cell.group, {})[cell.key] = None
        tenths = tenths_of(cell.level)
        counts[tenths] = counts.get(tenths, 0) + 1

    def remove(self, cell: Cell) -> None:
        """Takes a statistic out again, as it was when it was added."""
        keys = self._keys.get(cell.group, {})
        if cell.key not in keys:
            return
        del keys[cell.key]
        counts, tenths = self._counts[cell.group], tenths_of(cell.level)
        counts[tenths] -= 1
        if not counts[tenths]:
            del counts[tenths]
        if not keys:
            del self._keys[cell.group], self._counts[cell.group]

    def keys(self, group: GroupKey) -> list[CellKey]:
        """The statistics of a group, sorted."""
        return sorted(self._keys.get(group, {}))

    def size(self, group: GroupKey) -> int:
        """How many statistics a group has."""
        return len(self._keys.get(group, {}))

    def large(self, fewest: int) -> list[GroupKey]:
        """The groups of at least so many statistics, in a fixed order."""
        return sorted(group for group, keys in self._keys.items() if len(keys) >= fewest)

    def may_pass(self, group: GroupKey, bar: Bar) -> bool:
        """Whether the group passes if all of it counts; spares a look at each statistic."""
        return self.size(group) >= bar.fewest and bar.reached(self._counts.get(group, {}).items())


class Bar(NamedTuple):
    """What a common cause must reach: so many entities, and a mean e-value.

    No entity counts for more than `cap`, so that one with a fault of its own, and others that tremble, are not a fleet:
    at least half of the needed entities must carry the mean. A cap only lowers the mean.
    """

    fewest: int
    total: int  # the mean's threshold × number of entities
    cap: int

    def reached(self, tenths: Iterable[tuple[int, int]]) -> bool:
        """Whether e-values, as (tenths of a decade, how many), have the mean."""
        return sum(min(_POWERS[tenth], self.cap) * count for tenth, count in tenths) >= self.total


def bar_for(entities: int, threshold: float) -> Bar:
    """The bar for a feed of so many entities, from the log10 threshold of the mean."""
    with localcontext() as context:
        context.prec = 40
        e_value = int(Decimal(10) ** Decimal(threshold))
    fewest = needed(entities)
    total = e_value * entities
    return Bar(fewest, total, max(total // max(fewest // 2, 2), 1))


def mean_log10(cells: Iterable[Cell], entities: int) -> float:
    """log10 of the mean e-value over all entities, those without a told statistic counting 0; to 0.01."""
    total = sum(_POWERS[tenths_of(cell.level)] for cell in cells)
    with localcontext() as context:
        context.prec = 28
        return float(round((Decimal(max(total, 1)) / max(entities, 1)).log10(), 2))


def common_cells(cells: list[Cell], incident_of: Callable[[Cell], Incident | None], now: int, spans: Spans) -> list[Cell]:
    """Of a group's statistics those that changed together, oldest causes of their own left out.

    Those that rose to a new decade around now date the change (the median of when they left their ground). What has not
    risen since then, or belongs to an incident opened well before, or is explained by a fault of its entity's own (a stuck
    field drifts), is not part of it.
    """
    free = [cell for cell in cells if not _explained_otherwise(cell, incident_of(cell))]
    fresh = [cell.since for cell in free if cell.rose - spans.common <= now <= cell.told + spans.common]
    if not fresh:
        return []
    began = sorted(fresh)[len(fresh) // 2]
    span = max(spans.common, now - began)
    out = []
    for cell in free:
        incident = incident_of(cell)
        if cell.told >= began - span and cell.rose <= now + span and (incident is None or incident.opened_at >= began - span):
            out.append(cell)
    return out


def _explained_otherwise(cell: Cell, incident: Incident | None) -> bool:
    if incident is None or incident.groups:
        return False
    specific = incident.kind not in ("drift", "anomaly")
    return specific and incident.field in (cell.field, None) and cell.source in EXPLAINED[incident.kind]


def absorbs(incident: Incident, cell: Cell, is_member: bool) -> bool:
    """Whether a common cause explains a statistic: its own groups, their consequences, and its members as wholes."""
    for source, field, direction in incident.groups:
        agrees = direction == 0 or cell.direction in (0, direction)
        if field == (cell.field or "") and agrees and (cell.source == source or cell.source in EXPLAINED[source]):
            return True
    return cell.field is None and cell.source == "anomaly" and is_member


def began_at(cells: list[Cell]) -> int:
    """When a common change began: the median of when its statistics left their ground, which one early excursion cannot move."""
    return sorted(cell.since for cell in cells)[len(cells) // 2]


def pooled(samples: Iterable[Sample | None]) -> Sample | None:
    """One sample out of those of many entities: means weighted by n, spread within entities."""
    n, total, square = 0, 0.0, 0.0
    for sample in samples:
        if sample is not None and sample.n > 0:
            n += sample.n
            total += sample.n * sample.mean
            square += sample.n * sample.std * sample.std if sample.std == sample.std else 0.0
    return Sample(n=n, mean=total / n, std=math.sqrt(square / n)) if n else None
