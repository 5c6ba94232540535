"""The gate: no promotion without a reason, one with a reason, the same bytes however losses are cut, hostile losses harmless."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.paired_losses import GatePlan, Models, bias_for, mean_absolute_error, run_gate
from contracts.errors import ModelError, StateError
from online_model import held_losses
from online_model import paired_test as gate

MEAN = mean_absolute_error(1.0, 0.0, 0.0)
OWN = Models(1.0, 0.0, 1.0, 0.0, 0.0, 0.0)
STEADY = Models(0.5, bias_for(MEAN, 0.5), 1.0, 0.0, 0.0, 0.0)  # champion of half the spread, the same mean loss
SHARED = Models(1.0, 0.0, 1.0, 0.0, 1.0, 0.0)
NEVER = 1 << 40


def decisions(models: Models, pairs: int, plan: GatePlan) -> tuple[np.ndarray, np.ndarray]:
    """(label of each pair's decision or −1, whether the confidence sequence missed)."""
    taken, missed = np.empty(pairs, np.int64), np.empty(pairs, np.bool_)
    run_gate(models, 70_000, plan, taken, missed)
    return taken, missed


def autoregressive_losses(n: int, factor: float = 1.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Losses of two models with errors of autocorrelation .8 and t(3) innovations; the challenger's times `factor`."""
    rng = np.random.default_rng(seed)
    errors = rng.standard_t(3, (n, 2))
    for t in range(1, n):
        errors[t] += 0.8 * errors[t - 1]
    return np.abs(errors[:, 0]), np.abs(errors[:, 1]) * factor


@pytest.mark.parametrize("models", [OWN, STEADY, SHARED], ids=["own", "steady", "shared"])
def test_equal_models_are_hardly_ever_promoted(models: Models) -> None:
    """A against A over 20,000 labels, looked at after each: of 500 pairs at most 6, which has a chance of 1 % where one in 200 is."""
    taken, missed = decisions(models, 500, GatePlan(20_000, gate.LEVEL, False, 1.0, NEVER, 1.0, 0.0))
    assert (taken > 0).sum() <= 6
    assert missed.mean() <= 0.07


@pytest.mark.parametrize("models", [OWN, STEADY, SHARED], ids=["own", "steady", "shared"])
def test_a_tenth_less_loss_is_promoted_and_a_tenth_more_never(models: Models) -> None:
    """Every one of 60 challengers within 60,000 labels, half of them within 13,000; made worse on purpose, none."""
    mean = mean_absolute_error(1.0, models.shared, 0.0)
    taken, _ = decisions(models, 60, GatePlan(60_000, gate.LEVEL, False, 0.9, NEVER, 0.9, 0.1 * mean))
    assert taken.min() > 0
    assert np.median(taken) < 13_000
    worse, _ = decisions(models, 60, GatePlan(60_000, gate.LEVEL, False, 1.1, NEVER, 1.1, -0.1 * mean))
    assert worse.max() == -1


@pytest.mark.parametrize("phase", range(8))
def test_an_advantage_that_swings_with_the_day_but_is_never_in_doubt_is_shown_at_once(phase: int) -> None:
    """A champion that is five to ten times as bad, more or less so by the hour of a day of 20,000 labels, is told in 1,500 labels."""
    rng = np.random.default_rng(phase)
    hours = 2.0 * np.pi * (np.arange(20_000) / 20_000 + phase / 8)
    champion, challenger = (
        0.6 + 0.2 * np.sin(hours) + 0.05 * np.abs(rng.standard_normal(20_000)),
        0.08 * np.abs(rng.standard_normal(20_000)),
    )
    assert 0 < gate.update_many(gate.new_paired_test(), champion, challenger, gate.LEVEL) < 1_500


def test_a_champion_that_goes_bad_after_a_long_good_time_is_rolled_back() -> None:
    """40,960 good labels, then a quarter worse than the old champion: found within 20,000 labels, none before."""
    taken, _ = decisions(SHARED, 40, GatePlan(80_000, gate.LEVEL, True, 1.0 / 0.9, 40_960, 0.8, 0.0))
    assert taken.min() > 40_960
    assert np.median(taken) - 40_960 < 8_000
    plain, _ = decisions(SHARED, 40, GatePlan(50_000, gate.LEVEL, False, 1.0 / 0.9, 40_960, 0.8, 0.0))
    assert plain.max() == -1  # without the wealth that is kept back the good time would have used up all


def test_losses_may_be_cut_anywhere() -> None:
    """One by one, in uneven batches and over a state that went through bytes: the same bytes, the same decision."""
    champion, challenger = autoregressive_losses(20_000, 0.7)
    whole = gate.new_paired_test()
    first = gate.update_many(whole, champion, challenger, gate.LEVEL)
    assert first > 0
    cut, found = gate.new_paired_test(), -1
    edges = [0, 1, 15, 16, 17, 300, first, first + 1, 5_000, 20_000]
    for begin, end in pairwise(edges):
        at = gate.update_many(cut, champion[begin:end], challenger[begin:end], gate.LEVEL)
        if found < 0 <= at:
            found = begin + at
        cut = gate.paired_test_from_bytes(gate.paired_test_to_bytes(cut))
    assert found == first
    assert gate.paired_test_to_bytes(cut) == gate.paired_test_to_bytes(whole)
    assert gate.decided(whole, gate.LEVEL)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan, 1e300, -1e300, -5.0])
def test_nonsense_never_makes_a_challenger_look_good(bad: float) -> None:
    """A challenger whose losses are nonsense from the start, from some time on or now and then; the state stays finite."""
    champion, _ = autoregressive_losses(6_000)
    for spoiled in (slice(0, None), slice(2_000, None), slice(0, None, 7)):
        challenger = champion.copy()
        challenger[spoiled] = bad
        state = gate.new_paired_test()
        gate.update_many(state, champion, challenger, gate.LEVEL)
        assert not gate.decided(state, gate.LEVEL)
        assert np.isfinite(state).all()


@pytest.mark.parametrize("wild", [math.inf, math.nan, 1e300, 1e99])
def test_one_wild_event_of_the_champion_decides_nothing(wild: float) -> None:
    """Wherever it stands, one event on which the champion alone is wildly wrong moves the evidence by less than a factor of 3."""
    champion, challenger = autoregressive_losses(8_000)
    for at in (0, 20, 1_000, 7_000):
        plain, hit = gate.new_paired_test(), gate.new_paired_test()
        spoiled = champion.copy()
        spoiled[at] = wild
        gate.update_many(plain, champion, challenger, gate.LEVEL)
        gate.update_many(hit, spoiled, challenger, gate.LEVEL)
        assert not gate.decided(hit, gate.LEVEL)
        assert hit[gate.PEAK] < 3.0 * plain[gate.PEAK]


@pytest.mark.parametrize("at", [0, 5, 100, 600])
def test_wild_events_do_not_blind_the_gate(at: int) -> None:
    """With two of them, on one side or both, a halved loss takes at most twice as many labels."""
    champion, challenger = autoregressive_losses(20_000, 0.5)
    plain = gate.update_many(gate.new_paired_test(), champion, challenger, gate.LEVEL)
    champion[[at, at + 15]] = 1e99
    assert 0 < gate.update_many(gate.new_paired_test(), champion, challenger, gate.LEVEL) < 2 * plain
    challenger[[at, at + 15]] = 1e99
    assert 0 < gate.update_many(gate.new_paired_test(), champion, challenger, gate.LEVEL) < 2 * plain


def test_rare_errors_of_classifiers_are_compared() -> None:
    """Losses of 0 or 1: a challenger wrong on 2 % in the place of 4 % is promoted, the other way round it is not."""
    rng = np.random.default_rng(6)
    often, seldom = (rng.random(40_000) < 0.04).astype(float), (rng.random(40_000) < 0.02).astype(float)
    assert gate.update_many(gate.new_paired_test(), often, seldom, gate.LEVEL) > 0
    assert gate.update_many(gate.new_paired_test(), seldom, often, gate.LEVEL) == -1


@pytest.mark.parametrize("loss", [0.0, 1e-300, 1.0, 1e99])
def test_models_that_never_differ_leave_the_wealth_as_it_is(loss: float) -> None:
    """Constant differences of zero: e is 1 after 10,000 labels, also where nothing is ever wrong."""
    losses = np.full(10_000, loss)
    state = gate.new_paired_test()
    assert gate.update_many(state, losses, losses, gate.LEVEL) == -1
    assert gate.e_value(state) == 1.0
    assert np.isfinite(state).all()


def test_people_are_told_means_and_their_difference() -> None:
    """Held means, a confidence sequence about their difference, the evidence."""
    champion, challenger = autoregressive_losses(20_000, 0.7)
    state = gate.new_paired_test()
    assert math.isnan(gate.compare(state).difference)
    gate.update_many(state, champion, challenger, gate.LEVEL)
    told = gate.compare(state)
    assert told.labels == 20_000 - held_losses.FIRST
    assert told.champion_loss == pytest.approx(champion.mean(), rel=0.02)
    assert told.challenger_loss == pytest.approx(challenger.mean(), rel=0.02)
    assert told.low < told.difference < told.high
    assert told.low > 0.0
    assert told.log10_e > -math.log10(gate.LEVEL)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (gate.LENGTH, 9.0),
        (gate.LENGTH, 0.5),
        (gate.BLOCKS, -1.0),
        (gate.WEALTH, -1.0),
        (gate.RESTARTING, 2.0),
        (gate.FIRSTS, 16.0),
        (0, math.nan),
    ],
)
def test_bytes_that_can_be_no_state_are_refused(word: int, value: float) -> None:
    """One word that no test can have, or a byte too few."""
    state = gate.new_paired_test()
    state[word] = value
    with pytest.raises(StateError, match="fold the examples anew"):
        gate.paired_test_from_bytes(gate.paired_test_to_bytes(state))
    with pytest.raises(StateError, match="bytes where"):
        gate.paired_test_from_bytes(gate.paired_test_to_bytes(gate.new_paired_test())[:-1])


@pytest.mark.parametrize("level", [0.0, 0.5, -1.0, math.nan])
def test_a_level_is_a_chance_below_one_half(level: float) -> None:
    """Nothing else is taken."""
    with pytest.raises(ModelError, match=r"between 0 and 0\.5"):
        gate.check_level(level)
