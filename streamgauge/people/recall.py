"""How much of what is wrong is raised, from the answers about spans with and without an alarm."""

from __future__ import annotations

from typing import NamedTuple

from streamgauge.people.share import CONFIDENCE, share_of
from streamgauge.people.spans import Counted


class Recall(NamedTuple):
    """The share of faulty spans in which something was raised; None where nothing faulty is known."""

    recall: float | None
    low: float
    high: float


def recall_of(spans: Counted, confirmed: tuple[int, int], missed: tuple[int, int], confidence: float = CONFIDENCE) -> Recall:
    """Recall from two strata: spans with an alarm and spans without.

    ::

        recall = R p / (R p + Q m)

    R, Q: spans with and without an alarm. p: share of confirmed incidents, taken for the share of R that is faulty, which holds
    where false incidents last as long as true ones. m: share of Q in which something was missed, from the spans that were drawn
    and answered.

    The interval is [recall at the low end of p and the high end of m, recall at the high end of p and the low end of m], of
    Clopper-Pearson intervals whose errors are half as probable each: by Bonferroni it holds the true recall at least as often as
    `confidence` says, whatever depends on what between the two. It is wide, and tells so, where few have answered. Estimating
    recall from separate samples of what was retrieved and what was not: Webber, Approximate Recall Confidence Intervals, ACM
    Transactions on Information Systems 31(1), 2013.

    Args:
        spans: of the period.
        confirmed: (confirmed, settled) incidents.
        missed: (missed, settled) spans that were drawn.
    """
    half = 1.0 - (1.0 - confidence) / 2.0
    p, m = share_of(*confirmed, half), share_of(*missed, half)
    point = None if p.share is None or m.share is None else _recall(spans, p.share, m.share)
    low, high = _recall(spans, p.low, m.high), _recall(spans, p.high, m.low)
    return Recall(point, 0.0 if low is None else low, 1.0 if high is None else high)


def _recall(spans: Counted, precision: float, missed: float) -> float | None:
    found, lost = spans.raised * precision, spans.quiet * missed
    return found / (found + lost) if found + lost > 0.0 else None
