"""A share of things that were looked at, with an interval."""

from __future__ import annotations

from typing import NamedTuple

CONFIDENCE = 0.95


class Share(NamedTuple):
    """`yes` of `of` things; `share` is None of nothing, and low ≤ share ≤ high is its interval."""

    yes: int
    of: int
    share: float | None
    low: float
    high: float


def share_of(yes: int, of: int, confidence: float = CONFIDENCE) -> Share:
    """The share with its exact interval: whatever the true share is, the interval holds it at least so often.

    Clopper & Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial, Biometrika 26
    (1934): the limits are quantiles of the beta distribution, and (0, 1) of nothing.

    >>> share_of(0, 10).high.__round__(4)
    0.3085
    """
    from scipy.stats import beta

    tail = (1.0 - confidence) / 2.0
    low = float(beta.ppf(tail, yes, of - yes + 1)) if yes > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, yes + 1, of - yes)) if yes < of else 1.0
    return Share(yes, of, yes / of if of else None, low, high)
