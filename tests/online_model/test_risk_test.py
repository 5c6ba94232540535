"""The test of risk: silent while the champion errs as it always did, loud where its errors grow, whatever single losses are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.paired_losses import Models, run_risk
from contracts.errors import StateError
from online_model import held_losses
from online_model import risk_test as risk

OWN = Models(1.0, 0.0, 1.0, 0.0, 0.0, 0.0)
THRESHOLD = 1e4


def alarms(champions: int, labels: int, change: int, factor: float) -> np.ndarray:
    """Label of each champion's first alarm, or −1."""
    found = np.empty(champions, np.int64)
    run_risk(OWN, 90_000, labels, change, factor, THRESHOLD, found)
    return found


def losses(n: int, seed: int = 1) -> np.ndarray:
    """Absolute errors with autocorrelation .8 and t(3) innovations."""
    rng = np.random.default_rng(seed)
    errors = rng.standard_t(3, n)
    for t in range(1, n):
        errors[t] += 0.8 * errors[t - 1]
    return np.abs(errors)


def test_an_unchanged_risk_raises_nothing() -> None:
    """Of 200 champions over 30,000 labels at most four: those whose reference came out too low by chance."""
    assert (alarms(200, 30_000, 1 << 40, 1.0) > 0).sum() <= 4


def test_a_doubled_risk_is_found() -> None:
    """All of 100 champions, half of them within 1,500 labels, none before the change."""
    found = alarms(100, 30_000, 8_192, 2.0)
    assert found.min() > 8_192
    assert np.median(found) - 8_192 < 1_500


def test_a_rise_right_behind_the_reference_is_since_its_end() -> None:
    """Where the first bets win already, nothing was before them that could date the rise."""
    state = risk.new_risk_test()
    values = losses(risk.REFERENCE + 2_000)
    values[risk.REFERENCE :] *= 5.0
    for i in range(len(values)):
        risk.update(state, values[i], 1_000 * i, i)
    assert risk.log10_e(state) > 2.0
    assert risk.REFERENCE - 50 <= state[risk.SINCE_OFFSET] <= risk.REFERENCE + 300


def test_evidence_says_since_when_and_by_how_much() -> None:
    """The time and offset where it began to rise, the losses since and their mean; each decade is told once."""
    state = risk.new_risk_test()
    values = losses(8_000)
    values[5_000:] *= 3.0
    told = [i for i in range(len(values)) if risk.update(state, values[i], 1_000 * i, i)]
    assert told
    assert min(told) > 5_000
    assert risk.is_betting(state)
    assert 4_500 < state[risk.SINCE_OFFSET] <= 5_100
    assert state[risk.SINCE] == 1_000 * state[risk.SINCE_OFFSET]
    count, mean = risk.risk_since(state)
    reference, before = risk.reference_risk(state)
    assert reference == risk.REFERENCE
    assert count > 2_500
    assert 2.0 < mean / before < 4.0
    assert risk.log10_e(state) > 4.0


def test_evidence_is_counted_in_losses_not_in_blocks() -> None:
    """From the lowest decade on, a mean that moves once in a block of L losses counts L times; below, nothing is added."""
    state = risk.new_risk_test()
    values = losses(8_000)
    values[2_000:] *= 3.0
    seen = set()
    for value in values:
        risk.update(state, value, 0, 0)
        mean = state[risk.MEAN]
        counted = mean * risk.block_length(state) if mean >= 100.0 else max(mean, 1.0)
        assert risk.log10_e(state) == pytest.approx(math.log10(counted), abs=1e-12)
        seen.add(mean >= 100.0)
    assert seen == {False, True}
    assert risk.block_length(state) > 1


def test_a_reference_that_swings_does_not_make_the_test_slow() -> None:
    """Where losses swing over 500 labels, blocks correlate at every length; five times the loss is told within 700 labels all the same."""
    values = losses(8_000)
    values[: risk.REFERENCE] *= 1.0 + 0.8 * np.sin(np.arange(risk.REFERENCE) / 80.0)
    values[4_000:] *= 5.0
    state = risk.new_risk_test()
    told = [i for i in range(len(values)) if risk.update(state, values[i], 0, i) and risk.log10_e(state) >= 5.0]
    assert 4_000 < told[0] < 4_700
    assert risk.block_length(state) <= 32


def test_losses_may_be_cut_anywhere() -> None:
    """One run, and one whose state goes through bytes now and then, also within a block: the same words after every loss."""
    values = losses(6_000)
    whole, cut = risk.new_risk_test(), risk.new_risk_test()
    for i in range(len(values)):
        risk.update(whole, values[i], i, i)
        risk.update(cut, values[i], i, i)
        if i in (0, 15, 16, 1_023, 1_024, 1_030, 4_000):
            cut = risk.risk_test_from_bytes(risk.risk_test_to_bytes(cut))
        assert np.array_equal(cut, whole)
    assert risk.is_betting(whole)
    assert risk.risk_test_to_bytes(cut) == risk.risk_test_to_bytes(whole)


@pytest.mark.parametrize("wild", [math.inf, math.nan, 1e300, 1e99, -1.0])
def test_wild_losses_now_and_then_are_no_drift(wild: float) -> None:
    """Some in the reference, which they move by less than a seventh, and one after it: no decade is told, the state stays finite."""
    values = losses(6_000)
    usual = values[held_losses.FIRST : held_losses.FIRST + risk.REFERENCE].mean()
    values[[5, 20, 700, 3_000]] = wild
    state = risk.new_risk_test()
    assert not any(risk.update(state, value, 0, 0) for value in values)
    assert risk.reference_risk(state)[1] == pytest.approx(usual, rel=0.15)
    assert risk.log10_e(state) < 2.0
    assert np.isfinite(state).all()


def test_a_champion_that_is_never_wrong_has_no_reference_yet() -> None:
    """A risk of 0 can't be bet against: the reference goes on until there is a loss."""
    state = risk.new_risk_test()
    risk.update_many(state, np.zeros(5_000), THRESHOLD)
    assert not risk.is_betting(state)
    assert risk.log10_e(state) == 0.0


@pytest.mark.parametrize(
    ("word", "value"), [(risk.LENGTH, 9.0), (risk.OPEN, 0.5), (risk.TOP, 22.0), (risk.M, -1.0), (risk.FIRSTS, 16.0), (0, math.inf)]
)
def test_bytes_that_can_be_no_state_are_refused(word: int, value: float) -> None:
    """One word that no test can have, or a byte too few."""
    state = risk.new_risk_test()
    state[word] = value
    with pytest.raises(StateError, match="fold the examples anew"):
        risk.risk_test_from_bytes(risk.risk_test_to_bytes(state))
    with pytest.raises(StateError, match="bytes where"):
        risk.risk_test_from_bytes(risk.risk_test_to_bytes(risk.new_risk_test())[:-1])
