"""Each fault changes what it says, by how much it says, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from contracts.definition import Feed, Number
from contracts.durations import HOUR, MINUTE
from contracts.errors import InputError
from producers.faults import Dropout, NoiseBurst, RelationDrift, Shift, SpikeBurst, Stuck
from producers.plan import INCIDENT_OF
from producers.scenario import Scenario
from producers.signals import Noise, Signal
from producers.simulator import Simulation
from producers.transport_faults import ClockAhead, Silent

START = 1_767_225_600_000_000
END = START + 4 * HOUR
BEGIN, FINISH = START + HOUR, START + 2 * HOUR
FEED = Feed("f", entity="e", time="t", fields=[Number("x"), Number("y")], windows=["6m", "1h"], lateness="5m")
SIGMA = 2.0


def readings(*faults, transport_faults=()):
    """Values of x and y and the times, each (steps, 2 entities), nulls as NaN; whole numbers of 1e-6, no jitter."""
    signals = [Signal("x", 50.0, Noise(SIGMA, 0.5), resolution=1e-6), Signal("y", 20.0, Noise(4.0), resolution=1e-6)]
    scenario = Scenario(FEED, ["a", "b"], MINUTE, signals, faults=faults, transport_faults=transport_faults, jitter=0.0)
    simulation = Simulation(scenario, 1, START, END)
    rows = [json.loads(value) for batch in simulation.run() for value in batch.values]
    return simulation, rows


def column(rows, entity, name):
    return np.array([np.nan if row[name] is None else row[name] for row in rows if row["e"] == entity])


def changes(fault):
    """What the fault adds to x of entity a, and the times."""
    _, with_fault = readings(fault)
    _, without = readings()
    assert [row["y"] for row in with_fault] == [row["y"] for row in without]
    if fault.entity:
        np.testing.assert_array_equal(column(with_fault, "b", "x"), column(without, "b", "x"))
    return column(with_fault, "a", "x") - column(without, "a", "x"), column(without, "a", "t") * 1000, column(with_fault, "a", "x")


def test_stuck_repeats_the_last_reading():
    """While stuck the sensor shows the last value from before the start; before and after it reads as without the fault."""
    added, times, values = changes(Stuck("x", "a", BEGIN, FINISH))
    during = (times >= BEGIN) & (times < FINISH)
    assert np.all(values[during] == values[np.argmax(during) - 1])
    assert np.all(added[~during] == 0.0)


def test_spikes_come_every_other_reading():
    """A burst adds its size in σ to every second reading between start and end."""
    added, times, _ = changes(SpikeBurst("x", "a", BEGIN, FINISH, size=8.0, every=2))
    during = (times >= BEGIN) & (times < FINISH)
    assert set(np.round(added[during], 4)) == {0.0, 8.0 * SIGMA}
    assert np.count_nonzero(np.round(added, 4)) == 30
    assert np.all(np.abs(np.diff(np.round(added[during], 4))) == 8.0 * SIGMA)


@pytest.mark.parametrize(
    ("kind", "quarter", "after"),
    [("bias", 1.0, 0.0), ("sudden", 1.0, 1.0), ("wear", 0.25, 1.0), ("gradual", 0.25, 1.0), ("recurring", 0.0, 0.0)],
)
def test_shifts_have_their_shape(kind, quarter, after):
    """How much of the shift is there a quarter through and after the end, by kind; the recurring one has a period of 10 m."""
    added, times, _ = changes(Shift("x", "a", BEGIN, FINISH, kind=kind, size=3.0, period="10m"))
    share = added / (3.0 * SIGMA)
    assert np.all(share[times < BEGIN] == 0.0)
    near = np.argmax(times >= BEGIN + 15 * MINUTE)
    assert share[near] == pytest.approx(quarter, abs=0.02)
    assert np.allclose(share[times >= FINISH], after, atol=1e-6)
    if kind == "recurring":
        during = (times >= BEGIN) & (times < FINISH)
        assert share[during].mean() == pytest.approx(0.5, abs=0.02)


def test_a_shift_of_the_whole_feed_reaches_every_entity():
    """Without an entity, the shift is the same on all."""
    _, shifted = readings(Shift("x", None, BEGIN, FINISH, kind="sudden", size=1.5))
    _, plain = readings()
    for entity in "ab":
        assert (column(shifted, entity, "x") - column(plain, entity, "x"))[-1] == pytest.approx(1.5 * SIGMA, abs=1e-5)


def test_a_noise_burst_adds_white_noise():
    """The added noise has the stated size and only lies between start and end."""
    added, times, _ = changes(NoiseBurst("x", "a", BEGIN, FINISH, size=3.0))
    during = (times >= BEGIN) & (times < FINISH)
    assert added[during].std() == pytest.approx(3.0 * SIGMA, rel=0.3)
    assert np.all(added[~during] == 0.0)


def test_a_dropout_takes_values_away():
    """About the stated share of readings is null between start and end, none outside."""
    added, times, _ = changes(Dropout("x", "a", BEGIN, FINISH, share=0.8))
    during = (times >= BEGIN) & (times < FINISH)
    assert np.isnan(added[during]).mean() == pytest.approx(0.8, abs=0.15)
    assert not np.isnan(added[~during]).any()


def test_a_relation_drift_changes_the_gain():
    """From the start on, the field follows the other with the changed gain; its size is in the field's own σ."""
    fault = RelationDrift("x", "a", BEGIN, FINISH, on="y", change=0.5)
    added, times, _ = changes(fault)
    simulation, rows = readings(fault)
    other = column(rows, "a", "y") - 20.0
    np.testing.assert_allclose(added, np.where(times >= BEGIN, 0.5 * other, 0.0), atol=2e-6)
    assert simulation.plan.planted[0].size_sigma == pytest.approx(0.5 * 4.0 / SIGMA)


def test_a_silent_device_sends_nothing_and_others_go_on():
    """Between start and end there is no record of the device, and as many of the other as ever."""
    _, rows = readings(transport_faults=[Silent("a", BEGIN, FINISH)])
    heard = [row["t"] * 1000 for row in rows if row["e"] == "a"]
    assert not any(BEGIN <= t < FINISH for t in heard)
    assert len(heard) == 240 - 60
    assert sum(row["e"] == "b" for row in rows) == 240


def test_a_clock_ahead_leaves_every_other_record_right():
    """Every second record between start and end is stamped a year ahead."""
    _, rows = readings(transport_faults=[ClockAhead("a", BEGIN, FINISH)])
    assert sum(row["t"] * 1000 > END for row in rows) == 30


def test_every_fault_is_in_the_plan_with_the_incident_it_maps_to():
    """The plan holds kind, entity, field, size, times and the one incident kind of each fault."""
    simulation, _ = readings(Shift("x", "b", BEGIN, FINISH, kind="wear", size=3.0), transport_faults=[Silent("a", BEGIN, FINISH)])
    wear, silent = simulation.plan.planted
    assert (wear.kind, wear.entity, wear.field, wear.size_sigma, wear.start, wear.end) == ("wear", "b", "x", 3.0, BEGIN, FINISH)
    assert (wear.incident, wear.found_by) == ("drift", FINISH + HOUR)
    assert (silent.incident, silent.judged_by, silent.found_by) == ("silence", "incident", BEGIN + HOUR)
    assert INCIDENT_OF["duplicates"] is None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda: Stuck("z", "a", BEGIN, FINISH), "'z'"),
        (lambda: Stuck("x", "c", BEGIN, FINISH), "'c'"),
        (lambda: Stuck("x", "a", FINISH, BEGIN), "ends before it starts"),
        (lambda: RelationDrift("x", "a", BEGIN, FINISH, on="z"), "'z'"),
    ],
)
def test_wrong_faults_are_refused(fault, words):
    """A fault on an unknown field or entity, or that ends before it starts, is named."""
    with pytest.raises(InputError, match=words):
        readings(fault())
