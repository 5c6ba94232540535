"""Same seed, same bytes, however the records are taken; and the counters in the plan are what a fold counts."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

import producers.simulator as simulator
from contracts.definition import Category, Feed, Number
from contracts.durations import HOUR, SECOND
from contracts.errors import InputError
from producers.any_feed import FAULTS, any_feed
from producers.faults import Stuck
from producers.scenario import Scenario
from producers.signals import Modes, Noise, Signal
from producers.simulator import Simulation
from producers.transport_faults import Transport
from stream_processors.decoding.batches import raw_batch
from stream_processors.stream_fold.fold import StreamFold

START = 1_767_225_600_000_000
END = START + HOUR
FEED = Feed("f", entity="e", time="t", fields=[Number("x", low=0, high=100), Category("mode")], lateness="30s", windows=["1m", "10m"])


def scenario(faults=(), transport=None, feed=FEED):
    mix = Transport(duplicates=0.05, disorder=0.05, late=0.02, malformed=0.02) if transport is None else transport
    signals = [Signal("x", 50.0, Noise(1.0, 0.5))]
    return Scenario(feed, [f"d{i}" for i in range(7)], 10 * SECOND, signals, [Modes("mode", ["a", "b"])], faults, mix)


def taken(simulation, cuts=()):
    batches = [batch for cut in (*cuts, None) for batch in simulation.run(cut)]
    return (
        [key for batch in batches for key in batch.keys],
        [value for batch in batches for value in batch.values],
        np.concatenate([batch.event_time for batch in batches]).tolist(),
        np.concatenate([batch.due for batch in batches]).tolist(),
    )


def test_the_bytes_are_those_of_the_seed():
    """One seed gives these bytes on every machine, another gives others."""
    keys, values, *_ = taken(Simulation(scenario(), 1, START, END))
    digest = hashlib.sha256(b"\n".join(keys) + b"\n".join(values)).hexdigest()
    assert digest[:16] == "e9d421595ab4fce0"
    assert taken(Simulation(scenario(), 2, START, END))[1] != values


@pytest.mark.parametrize("block", [1, 50, 10**6])
def test_the_size_of_blocks_changes_nothing(monkeypatch, block):
    """Records, order and expected counters are the same whether made a step at a time or all at once."""
    usual = Simulation(scenario([Stuck("x", "d1", START + HOUR // 4, END)]), 3, START, END)
    expected = taken(usual)
    monkeypatch.setattr(simulator, "BLOCK_READINGS", block)
    other = Simulation(scenario([Stuck("x", "d1", START + HOUR // 4, END)]), 3, START, END)
    assert taken(other) == expected
    assert other.plan == usual.plan


def test_records_can_be_taken_in_parts():
    """run(until) yields what is due before, and the next call goes on: together the same records."""
    cuts = [START + 5 * SECOND, START + HOUR // 3, START + HOUR // 2]
    simulation = Simulation(scenario(), 1, START, END)
    first = list(simulation.run(cuts[1]))
    assert max(int(batch.due.max()) for batch in first) < cuts[1]
    assert taken(Simulation(scenario(), 1, START, END), cuts) == taken(Simulation(scenario(), 1, START, END))


def test_a_fault_leaves_all_other_records_alone():
    """With a stuck sensor planted, only values of its device differ; times, order, repeats and damage stay."""
    keys, values, times, due = taken(Simulation(scenario(), 1, START, END))
    keys2, values2, times2, due2 = taken(Simulation(scenario([Stuck("x", "d1", START + HOUR // 4, END)]), 1, START, END))
    assert (keys, times, due) == (keys2, times2, due2)
    differing = {key for key, a, b in zip(keys, values, values2, strict=True) if a != b}
    assert differing <= {b"d1", b"d1?"}
    assert b"d1" in differing


def test_records_come_in_the_order_they_are_due():
    """Due times never fall, and disorder shows as event times that do, within one device."""
    keys, _, times, due = taken(Simulation(scenario(transport=Transport(disorder=0.1)), 1, START, END))
    assert due == sorted(due)
    mine = [t for key, t in zip(keys, times, strict=True) if key == b"d3"]
    assert any(b < a for a, b in itertools.pairwise(mine))


def test_the_plan_counts_what_the_fold_counts():
    """Folded, duplicate, late, dead letters and each reason equal those of the worker's own fold, for every transport fault."""
    source = any_feed(FEED, 5, 10 * SECOND, 4, START, START + 4 * HOUR, [kind for kind in FAULTS if kind not in ("relation", "concept")])
    simulation = Simulation(source, 4, START, START + 4 * HOUR)
    fold, offset = StreamFold(FEED, 0, 1), 0
    for batch in simulation.run():
        count = len(batch.keys)
        fold.fold(raw_batch(np.arange(offset, offset + count), batch.due, list(batch.keys), list(batch.values)))
        offset += count
    counters, expected = fold.counters(), simulation.plan.expected
    assert {name: counters[name] for name in ("folded", "duplicate", "late", "dead_lettered")} == {
        "folded": expected.folded,
        "duplicate": expected.duplicate,
        "late": expected.late,
        "dead_lettered": expected.dead_lettered,
    }
    assert {name: counters[name] for name in expected.reasons} == expected.reasons
    assert expected.read == offset
    assert min(expected.folded, expected.duplicate, expected.late, expected.dead_lettered) > 0


def test_values_keep_to_the_stated_range():
    """A signal far outside its field's range reads the range's edge, so the simulator plants no impossible values."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x", low=0, high=49)])
    source = Scenario(feed, ["d"], SECOND, [Signal("x", 50.0, Noise(0.1))])
    _, values, *_ = taken(Simulation(source, 1, START, START + 10 * SECOND))
    assert all(b'"x":49.00}' in value for value in values)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Simulation(scenario(), -1, START, END), "seed -1"),
        (lambda: Simulation(scenario(), 1, END, START), "ends before"),
        (lambda: Scenario(FEED, [], SECOND, []), "one or more entities"),
        (lambda: Scenario(FEED, ["a"], 1500, []), "whole milliseconds"),
        (lambda: Scenario(FEED, ["a"], 60 * SECOND, [], transport=Transport(disorder=0.1)), "lateness"),
        (lambda: Transport(duplicates=0.6, late=0.6), "sum"),
        (lambda: any_feed(FEED, 1, SECOND, 1, START, END, ["stukc"]), "no fault 'stukc'"),
        (lambda: any_feed(FEED, 1, SECOND, 1, START, END, ["relation"]), "two Numbers"),
        (lambda: any_feed(FEED, 1, SECOND, 1, START, END, ["concept"]), "'f' has none; give it a target"),
    ],
)
def test_what_cannot_be_simulated_is_refused(make, words):
    """A wrong seed, span, cadence, mix or fault is refused with its name."""
    with pytest.raises(InputError, match=words):
        make()
