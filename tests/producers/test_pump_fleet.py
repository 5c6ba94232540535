"""The demo's fleet holds every fault once, each with room to be found."""

from __future__ import annotations

import pytest

from contracts.definition import Category
from contracts.durations import DAY, HOUR, MINUTE
from contracts.errors import InputError
from producers.plan import RAMPS
from producers.pump_fleet import PUMPS, pump_feed, pump_fleet
from producers.simulator import Simulation

START = 1_767_225_600_000_000


@pytest.mark.parametrize("span", [DAY, 30 * HOUR])
@pytest.mark.parametrize("seed", range(40))
def test_every_fault_fits_with_an_hour_behind_it(seed, span):
    """Whatever the seed: each fault lies in the live part and can be found an hour before its end; pumps and sensors differ."""
    scenario = pump_fleet(seed, START, START + span)
    planted = [item for item in Simulation(scenario, seed, START - DAY, START + span).plan.planted if item.judged_by == "incident"]
    assert sorted(item.kind for item in planted) == ["concept", "silent", "spike", "stuck", "sudden", "wear"]
    for item in planted:
        assert item.start >= START + HOUR // 2
        assert item.found_by <= START + span
        if item.kind not in (*RAMPS, "sudden", "concept"):
            assert item.end + HOUR <= START + span
    pumps = [item.entity for item in planted if item.entity] + [scenario.transport_faults[1].entity]
    assert len(set(pumps)) == len(pumps) == 5
    fields = [item.field for item in planted if item.field]
    assert len(set(fields)) == len(fields) == 4
    drifting = next(item.field for item in planted if item.kind == "sudden")
    assert scenario.truth is not None and drifting not in scenario.truth.gains  # the concept changes, its inputs do not


def test_the_faults_have_the_sizes_of_the_demo():
    """Stuck for 30 minutes, spikes of 8 σ within 10 minutes, wear to 3 σ over 6 h, drift of 1.5 σ late on the whole fleet."""
    plan = {item.kind: item for item in Simulation(pump_fleet(1, START, START + DAY), 1, START, START + DAY).plan.planted}
    assert plan["stuck"].end - plan["stuck"].start == 30 * MINUTE
    assert (plan["spike"].size_sigma, plan["spike"].end - plan["spike"].start) == (8.0, 10 * MINUTE)
    assert (plan["wear"].size_sigma, plan["wear"].end - plan["wear"].start) == (3.0, 6 * HOUR)
    assert (plan["sudden"].size_sigma, plan["sudden"].entity) == (1.5, None)
    assert plan["sudden"].start >= START + 18 * HOUR
    assert {"duplicates", "disorder", "malformed", "clock_ahead"} <= set(plan)


def test_seeds_scatter_the_faults():
    """Two seeds choose other pumps and times."""
    one, two = (Simulation(pump_fleet(seed, START, START + DAY), 1, START, START + DAY).plan.planted for seed in (1, 2))
    assert all(a != b for a, b in zip(one, two, strict=True) if a.judged_by == "incident")


def test_the_feed_has_five_numbers_and_a_mode():
    """The definition is that of 48 pumps with five sensors."""
    feed = pump_feed()
    assert (PUMPS, len(feed.numbers), [type(f) for f in feed.categories]) == (48, 5, [Category])


def test_a_live_part_below_a_day_is_refused():
    """Faults would not fit."""
    with pytest.raises(InputError, match="day"):
        pump_fleet(1, START, START + DAY - 1)
