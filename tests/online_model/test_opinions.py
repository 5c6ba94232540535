"""Several people about the same thing, and shares with their intervals."""

from __future__ import annotations

import pytest
from scipy.stats import binom, binomtest

from online_model.opinions import Opinion, Opinions
from streamgauge.people.share import share_of


def opinions(*given: tuple[str, str, bool]) -> Opinions[str]:
    return Opinions(Opinion(*one) for one in given)


def test_a_third_verdict_settles() -> None:
    """One opinion settles; two that disagree are both kept and settle nothing; the third one does."""
    first, second, third = ("x", "ana", True), ("x", "ben", False), ("x", "cem", False)
    assert opinions(first).settled == {"x": True}
    assert opinions(first, second).settled == {}
    assert opinions(first, second).disputed == {"x"}
    assert opinions(first, second).heard("x") == {"ana": True, "ben": False}
    assert opinions(first, second, third).settled == {"x": False}
    assert opinions(first, second, third).disputed == set()


def test_one_person_has_one_opinion() -> None:
    """What somebody says later replaces what they said; nobody outvotes others by saying it twice."""
    found = opinions(("x", "ana", True), ("x", "ana", True), ("x", "ben", False), ("y", "", True), ("y", "", False))
    assert found.disputed == {"x"}
    assert found.settled == {"y": False}


def test_agreement_is_counted_in_pairs() -> None:
    """Three people of whom two agree are one agreeing pair of three; who is alone is in no pair."""
    found = opinions(("x", "a", True), ("x", "b", True), ("x", "c", False), ("y", "a", False), ("y", "b", False), ("z", "a", True))
    assert found.agreement == (2, 4)


@pytest.mark.parametrize(("yes", "of"), [(0, 1), (0, 20), (3, 7), (20, 20), (150, 400)])
def test_the_interval_is_the_exact_one(yes: int, of: int) -> None:
    """As scipy's binomial test computes it."""
    found, expected = share_of(yes, of), binomtest(yes, of).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.share == yes / of


@pytest.mark.parametrize("true", [0.02, 0.3, 0.5, 0.9])
def test_the_interval_holds_the_true_share(true: float) -> None:
    """At least 95 % of all outcomes of 25 draws, whatever the true share; of no draw it holds everything."""
    held = sum(binom.pmf(yes, 25, true) for yes in range(26) if share_of(yes, 25).low <= true <= share_of(yes, 25).high)
    assert held >= 0.95
    assert share_of(0, 0) == (0, 0, None, 0.0, 1.0)
