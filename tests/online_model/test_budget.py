"""The budget: shares, thresholds, rates learnt from summaries, and the rate of false incidents it leads to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from contracts.definition import Feed, Number, Regression
from contracts.durations import DAY, HOUR, MINUTE, WEEK
from contracts.records import Alert, Evidence
from online_model.budget import SHARES, PartitionRate, feed_rate, feed_wide_thresholds, shares, thresholds
from online_model.judge import Judge
from tests.online_model.evidence_log import START, pumps

CELLS = {"drift": 5.0, "anomaly": 5.0, "stuck": 5.0, "missing": 5.0, "range": 2.0, "silence": 1.0}


def test_the_shares_spend_no_more_than_the_budget() -> None:
    """They sum to one, and every source has one and a reason."""
    assert sum(share.percent for share in SHARES.values()) == 100
    learning = shares(Feed("f", entity="e", time="t", fields=[Number("x")], target=Regression("y")))
    assert sum(share.percent for share in learning.values()) == 100
    assert set(learning) == {*SHARES, "concept", "prediction", "skew"}
    assert all(share.percent > 0 and share.reason for share in SHARES.values())


def test_the_thresholds_keep_the_bound() -> None:
    """Readings divided by thresholds, summed over all sources, entities and common causes, stay within the budget."""
    feed, entities, readings = pumps(2.0), 48, 3e6
    spent = sum(readings * CELLS.get(s, 1.0) / 10.0**level for s, level in thresholds(feed, readings, CELLS).items())
    spent += sum(
        readings / entities * CELLS.get(s, 1.0) / 10.0**level for s, level in feed_wide_thresholds(feed, readings, CELLS, entities).items()
    )
    assert 0.9 * 2.0 < spent <= 2.0


def test_thresholds_follow_readings_and_budget() -> None:
    """Ten times the readings, or a tenth of the budget, is a decade more; before a rate is known a high one is assumed."""
    base = thresholds(pumps(), 1e6, CELLS)["drift"]
    assert thresholds(pumps(), 1e7, CELLS)["drift"] == pytest.approx(base + 1.0)
    assert thresholds(pumps(0.1), 1e6, CELLS)["drift"] == pytest.approx(base + 1.0)
    assert thresholds(pumps(), None, CELLS)["drift"] > base + 1.0
    assert thresholds(pumps(10_000.0), 1.0, CELLS)["drift"] == 2.0


def test_the_rate_is_learnt_from_summaries() -> None:
    """None before an hour is covered; then readings a week, over one to two days, believing a feed that speeds up."""
    rate = PartitionRate()
    rate.learn(0, 100, 10, {"drift": 20}, None)
    assert rate.readings_per_week() is None
    rate.learn(HOUR, 700, 10, {"drift": 20}, None)
    assert rate.readings_per_week() == 600 * WEEK / HOUR
    for hour in range(2, 60):
        rate.learn(hour * HOUR, 100 + 600 * hour, 10, {"drift": 20}, None)
    assert rate.readings_per_week() == 600 * WEEK / HOUR
    for hour in range(60, 64):
        rate.learn(hour * HOUR, 100 + 600 * 60 + 6_000 * (hour - 60), 10, {"drift": 20}, None)
    assert rate.readings_per_week() > 600 * WEEK / HOUR  # type: ignore[operator]
    began = PartitionRate()
    began.learn(2 * DAY, 4_800, 10, {}, 0)
    assert began.readings_per_week() == 2_400 * 7


def test_a_partition_without_a_rate_is_taken_to_be_as_fast_as_the_others() -> None:
    """Per entity; so the threshold is not too low while partitions are still being met."""
    known, new = PartitionRate(), PartitionRate()
    known.learn(DAY, 1_000, 10, {"drift": 20}, 0)
    new.learn(DAY, 50, 30, {"drift": 60}, None)
    found = feed_rate([known, new])
    assert (found.entities, found.readings_per_week, found.cells["drift"]) == (40, 28_000.0, 2.0)
    assert found.spacing == WEEK * 40 // 28_000


def null_evidence(entities: int, readings: int, seed: int) -> list[tuple[int, Evidence]]:
    """Evidence of a fleet where nothing changes, a reading a minute: e = √10 with probability 1/√10, else 0.

    No e-process wastes less: its average run length is A but for a factor of 1.46, so the bound is nearly met.
    """
    rng = np.random.default_rng(seed)
    sources = ["drift", "anomaly", "stuck", "missing", "range", "delay", "consistency"]
    log: list[tuple[int, Evidence]] = []
    runs = np.zeros((entities, len(sources)), np.int64)

    def put(kind: str, minute: int, n: int, **values: object) -> None:
        name = f"pumps/1/0/{minute}/evidence/{n}"
        log.append((len(log), Evidence(id=name, kind=kind, partition=0, event_time=START + minute * MINUTE, **values)))  # type: ignore[arg-type]

    for minute in range(readings):
        wins = rng.random(runs.shape) < 10.0**-0.5
        told = np.argwhere((wins & (runs >= 3)) | (~wins & (runs >= 4)))
        runs = np.where(wins, runs + 1, 0)
        for n, (entity, source) in enumerate(told.tolist()):
            level = float(runs[entity, source]) / 2.0
            put("level", minute, n, entity=f"pump-{entity}", field="vibration", source=sources[source], log10_e=level, direction=1)
        if minute % 60 == 0:
            put(
                "summary",
                minute,
                len(told),
                entities=entities,
                counters={"folded": (minute + 1) * entities},
                cells=dict.fromkeys(sources, entities),
            )
    return log


def test_false_incidents_stay_within_the_budget() -> None:
    """A fleet without change under the least wasteful e-processes: the exact upper 95 % bound of the rate is in the budget."""
    budget, readings = 400.0, 2_880
    judge = Judge(pumps(budget), 1)
    out = judge.fold(judge.new_state(), null_evidence(40, readings, seed=5))
    opened = [record for _, record in out if isinstance(record, Alert) and record.status == "opened"]
    weeks = readings * MINUTE / WEEK
    assert len(opened) > 10
    assert poisson.cdf(len(opened), budget * weeks) <= 0.05
    assert sum(alert.scope == "feed" for alert in opened) <= 2
