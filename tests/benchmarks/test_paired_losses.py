"""The losses that the gate is simulated on are what they are said to be, and the bound on its promotions is exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.gate import CASES, binomial_upper
from benchmarks.paired_losses import COEFFICIENT, Models, begin, losses


def drawn(models: Models, n: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(losses of the champion, of the challenger)."""
    generators, errors = begin(seed)
    champion, challenger = np.empty(n), np.empty(n)
    losses(models, generators, errors, champion, challenger, 1.0)
    return champion, challenger


@pytest.mark.parametrize("case", CASES)
def test_both_models_have_the_stated_mean_loss(case: str) -> None:
    """Within a hundredth, over a million events: the two of a case are equally good."""
    models, mean = CASES[case]
    champion, challenger = drawn(models, 1_000_000)
    assert champion.mean() == pytest.approx(mean, rel=0.01)
    assert challenger.mean() == pytest.approx(mean, rel=0.01)


def test_a_difference_of_losses_is_autoregressive() -> None:
    """Its autocorrelation is .8, and what is left of it is t(3): by the Kolmogorov-Smirnov test, and far out in both tails."""
    champion, challenger = drawn(CASES["difference of losses"][0], 400_000)
    difference = champion - challenger
    left = difference[1:] - COEFFICIENT * difference[:-1]
    assert np.corrcoef(difference[1:], difference[:-1])[0, 1] == pytest.approx(COEFFICIENT, abs=0.02)
    assert stats.kstest(left, stats.t(3).cdf).pvalue > 0.01
    far = (1e-4, 1e-3, 1.0 - 1e-3, 1.0 - 1e-4)
    assert np.quantile(left, far) == pytest.approx(stats.t(3).ppf(far), rel=0.15)


@pytest.mark.parametrize(("events", "trials"), [(0, 2_000), (11, 2_000), (38, 5_000)])
def test_the_bound_is_exact(events: int, trials: int) -> None:
    """At the bound, so few events or fewer have a chance of exactly 5 %."""
    assert stats.binom.cdf(events, trials, binomial_upper(events, trials)) == pytest.approx(0.05)
