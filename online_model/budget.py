"""The false-alarm budget: from "so many false alarms a week" to the e-value that each statistic must reach.

A CUSUM e-detector compared with A has an average run length of at least A of its own readings where nothing has changed
(Shin, Ramdas & Rinaldo 2022, "E-detectors", theorem 2.4). So a source whose statistics take R readings a week together
raises at most R / A false alarms a week in expectation, whatever depends on what. `A = R / (budget × share)` spends the
source's share and no more; the shares sum to one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from typing import NamedTuple

import msgspec

from contracts.definition import Feed
from contracts.durations import DAY, HOUR, WEEK
from online_model.skew import block_us


class Share(NamedTuple):
    """A source's part of the budget, and why it gets that much."""

    percent: int
    reason: str


SHARES: dict[str, Share] = {
    "drift": Share(35, "runs on every field of every entity, and each decade of threshold delays it most"),
    "anomaly": Share(20, "runs on every field too, but a burst passes a high threshold in a few readings"),
    "stuck": Share(10, "a stuck value gains evidence with every reading, so a high threshold costs minutes"),
    "missing": Share(10, "dropout is rarely total; some share is needed to see one reading in three missing"),
    "range": Share(5, "impossible values do not happen by chance in a healthy feed"),
    "silence": Share(10, "cadences are irregular, and each missed tick is little evidence"),
    "delay": Share(5, "transport is shared, so its trouble shows on many records at once"),
    "consistency": Share(5, "keys and categories do not change by chance"),
}
LEARNING_SHARES: dict[str, Share] = {
    "concept": Share(20, "one statistic, on labels that come late: what is lost by its threshold, users lose in wrong predictions"),
    "prediction": Share(10, "runs on every entity, and what moves it is mostly seen in a field as well"),
    "skew": Share(10, "one statistic that moves once a season: each decade costs days"),
}  # of a feed with a target; the others then have three fifths of what they have without
ENTITY_PERCENT = 80  # of a share goes to single entities, the rest to common causes, which have far fewer statistics
DEFAULT_READINGS_A_WEEK = 1_000_000_000  # of each source's statistics, before a rate is known: 1,650 a second
LOWEST_LOG10 = 2.0  # evidence below 10² is not sent, so a lower threshold could not be kept
MIN_RATE_SPAN = HOUR  # a rate from a shorter span is a burst, not a rate
RATE_SPAN = DAY  # a rate is measured over one to two of these: long enough for a daily cycle of traffic


class Thresholds(NamedTuple):
    """log10 of the e-value at which an incident opens, by source."""

    entity: dict[str, float]
    feed_wide: dict[str, float]  # for the mean e-value over all entities


def shares(feed: Feed) -> dict[str, Share]:
    """The parts that the budget of this feed is split into; they add up to 100 %."""
    if feed.target is None:
        return SHARES
    rest = 100 - sum(share.percent for share in LEARNING_SHARES.values())
    return {source: share._replace(percent=share.percent * rest // 100) for source, share in SHARES.items()} | LEARNING_SHARES


def thresholds(feed: Feed, readings_per_week: float | None, cells: Mapping[str, float]) -> dict[str, float]:
    """log10 of the threshold of one entity's statistics, by source; `streamgauge check` prints these.

    Args:
        feed: its `false_alarms_per_week` is the budget.
        readings_per_week: folded records of the whole feed in a week of event time; None: not known yet.
        cells: source -> statistics that one record moves (for drift the number of numeric fields); 1 where it is left out.
    """
    return {
        source: _log10_threshold(_statistic_readings(feed, readings_per_week, cells, source), feed, share.percent * ENTITY_PERCENT)
        for source, share in shares(feed).items()
    }


def feed_wide_thresholds(feed: Feed, readings_per_week: float | None, cells: Mapping[str, float], entities: int) -> dict[str, float]:
    """log10 of the threshold of the mean e-value over `entities`, by source.

    A mean of e-detectors is an e-detector under any dependence (Vovk & Wang 2021, "E-values", section 3). It takes one
    step when every entity has taken one, so a fleet of n has 1/n of the readings and its common causes are seen sooner.
    """
    rounds = None if readings_per_week is None else readings_per_week / max(entities, 1)
    return {
        source: _log10_threshold(_statistic_readings(feed, rounds, cells, source), feed, share.percent * (100 - ENTITY_PERCENT))
        for source, share in shares(feed).items()
    }


def _statistic_readings(feed: Feed, readings_per_week: float | None, cells: Mapping[str, float], source: str) -> float:
    if source == "skew":  # moves once a block, whatever the feed's rate
        return WEEK / block_us(feed)
    if readings_per_week is None:
        return float(DEFAULT_READINGS_A_WEEK)
    return readings_per_week * (cells.get(source, 0.0) or 1.0)


def _log10_threshold(readings: float, feed: Feed, share: int) -> float:
    """Rounded up to 0.01, so that a rate that trembles does not move it. A look into a table, as every summary asks 16 times."""
    wanted = max(readings, 1.0) * 10_000.0 / (feed.false_alarms_per_week * share)
    return max(bisect_left(_POWERS, wanted) / 100.0, LOWEST_LOG10)


def _powers() -> list[float]:
    """10^(k / 100) for k = 0, 1, …, up to 10^30, which no rate reaches; each the double nearest to it."""
    with localcontext() as context:
        context.prec = 60
        root, powers = Decimal(10) ** (Decimal(1) / 100), [Decimal(1)]
        for k in range(1, 3_001):
            powers.append(powers[-1] * root if k % 100 else Decimal(10) ** (k // 100))
        return [float(power) for power in powers]


_POWERS = _powers()


class PartitionRate(msgspec.Struct, array_like=True):
    """How fast one partition is read in event time, learnt from its summaries: (clock µs, folded) at three moments."""

    entities: int = 0
    cells: dict[str, int] = {}
    older: tuple[int, int] | None = None
    newer: tuple[int, int] | None = None
    latest: tuple[int, int] | None = None

    def learn(self, clock: int, folded: int, entities: int, cells: dict[str, int], began: int | None) -> None:
        """Takes a summary in; `began` is the event time at which the generation's first record stood, if told."""
        self.entities, self.cells, self.latest = entities, dict(sorted(cells.items())), (clock, folded)
        if self.newer is None:
            self.newer = (began, 0) if began is not None and began < clock else self.latest
            self.older = self.newer
        elif clock - self.newer[0] >= RATE_SPAN:
            self.older, self.newer = self.newer, self.latest

    def readings_per_week(self) -> float | None:
        """The higher of the rates since the two anchors, so that a feed that speeds up is believed at once."""
        rates = [self._rate_since(anchor) for anchor in (self.older, self.newer)]
        known = [rate for rate in rates if rate is not None]
        return max(known) if known else None

    def _rate_since(self, anchor: tuple[int, int] | None) -> float | None:
        if anchor is None or self.latest is None or self.latest[0] - anchor[0] < MIN_RATE_SPAN:
            return None
        return (self.latest[1] - anchor[1]) * WEEK / (self.latest[0] - anchor[0])


class FeedRate(NamedTuple):
    """What the summaries say of the whole feed."""

    entities: int
    readings_per_week: float | None
    cells: dict[str, float]  # source -> statistics that one record moves

    @property
    def spacing(self) -> int:
        """µs of event time between two readings of an entity, on average; 0 while not known."""
        if not self.readings_per_week:
            return 0
        return int(WEEK * self.entities / self.readings_per_week)


def feed_rate(partitions: Iterable[PartitionRate]) -> FeedRate:
    """Adds up the partitions. One whose rate is not known yet is taken to be as fast, per entity, as the others."""
    entities = known_entities = 0
    rate, counts = 0.0, dict.fromkeys([*SHARES, "prediction"], 0)
    for partition in partitions:
        entities += partition.entities
        for source, count in partition.cells.items():
            if source in counts:
                counts[source] += count
        own = partition.readings_per_week()
        if own is not None:
            rate += own
            known_entities += partition.entities
    readings = rate * entities / known_entities if known_entities and rate > 0.0 else None
    return FeedRate(entities, readings, {source: count / max(entities, 1) for source, count in counts.items()})


def feed_thresholds(feed: Feed, rate: FeedRate) -> Thresholds:
    """Both tables at the rate that the feed has."""
    return Thresholds(
        thresholds(feed, rate.readings_per_week, rate.cells),
        feed_wide_thresholds(feed, rate.readings_per_week, rate.cells, rate.entities),
    )
