"""What a latency is made of, and the readings that are sent for it."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.job import ENTITIES
from benchmarks.latency import CADENCE_MS, FAULTS, HISTORY, SHIFT, Readings
from benchmarks.latency_probes import latencies, percentiles

LIVE = 1_790_000_000_000  # ms


def test_a_latency_is_from_hand_over_to_sight() -> None:
    """Lines of events that were not handed over here, `ready`, half lines: none of them counts."""
    lines = ["ready", "a 1000 5000000", "a 2000 9000000", "b 1000 1", "a 1000", ""]
    assert latencies(lines, {("a", 1000): 3_000_000, ("a", 2000): 4_000_000}) == [2.0, 5.0]


def test_percentiles_of_nothing_are_nothing() -> None:
    """And no zero, which would meet every goal."""
    assert percentiles([]) == {"p50": None, "p99": None}
    assert percentiles([1.0, 2.0, 3.0]) == {"p50": 2.0, "p99": 2.98}


def test_live_readings_go_on_where_history_ends() -> None:
    """Each entity reads at its cadence; the last round of history is one cadence before the first live one."""
    readings = Readings(LIVE, 20)
    before, first = readings.round(-1)[0], readings.round(0)[0]
    assert len(first) == ENTITIES and first[0] == LIVE
    assert set(np.subtract(first, before)) == {CADENCE_MS}
    assert len(set(zip(range(ENTITIES), first, strict=True))) == ENTITIES
    assert sum(len(events.values) for events in readings.history()) == HISTORY * ENTITIES


def test_faults_are_planted_one_after_the_other() -> None:
    """In a hundred entities, none in history, each for good from its round on; far outside of the noise."""
    readings = Readings(LIVE, 20)
    begins = list(readings.faulty.values())
    assert len(readings.faulty) == FAULTS and begins == sorted(begins) and begins[0] > 0 and begins[-1] < 200
    entity, begin = list(readings.faulty.items())[50]
    seen = [json.loads(readings.round(number)[1][entity])["temperature"] for number in range(begin - 5, begin + 5)]
    assert max(seen[:5]) < 60 + SHIFT / 2 < min(seen[5:])
