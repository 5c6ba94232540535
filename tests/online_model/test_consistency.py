"""The statistic on records that do not fit: its parts hide nothing from each other, and what lasts becomes normal."""

from __future__ import annotations

import numpy as np

from contracts.durations import DAY, HOUR, SECOND
from contracts.outcomes import Reason
from online_model import bernoulli_e_detector as bernoulli
from online_model.consistency import (
    CATEGORIES,
    KEYS,
    NAMES,
    PART_WORDS,
    PARTS,
    UNKNOWN,
    bet_on_consistency,
    new_consistency,
    settle_categories,
)
from online_model.evidence_buffer import CONTRIBUTION, CONTRIBUTOR, LOG10_E, EvidenceBuffer, new_evidence_buffer

STEP = 60 * SECOND


class Watch:
    """One partition with one category field, a record a minute."""

    def __init__(self) -> None:
        self.state, self.settled, self.known = new_consistency(), np.zeros(1, np.int64), np.ones(1, np.int64)
        self.buffer: EvidenceBuffer = new_evidence_buffer(1_000)
        self.clock = 0

    def take(self, reason: int = 0, unknown: bool = False, code: int = 0) -> None:
        """Folds one record."""
        self.clock += STEP
        self.known[0] = max(self.known[0], code + 1)
        settle_categories(self.state, self.settled, self.known, DAY, self.clock, 0)
        new = bool(code >= self.settled[0])
        bet_on_consistency(self.state, self.settled, self.known, reason, unknown, reason == 0, new, DAY, self.clock, 0, 7, self.buffer, 0)

    def m(self, part: int) -> float:
        """One part's statistic."""
        return float(self.state[PARTS + part * PART_WORDS + bernoulli.M])

    def told(self) -> list[tuple[float, str]]:
        """(log10 e, what contributes most) of the evidence so far."""
        out = []
        for i in range(self.buffer.used[0]):
            numbers = self.buffer.numbers[i]
            shares = np.nan_to_num(numbers[CONTRIBUTION : CONTRIBUTION + len(NAMES)])
            out.append((numbers[LOG10_E], NAMES[int(numbers[CONTRIBUTOR + int(shares.argmax())])] if shares.any() else ""))
        return out


def test_nothing_is_said_in_the_first_two_seasons() -> None:
    """However wrong the records are: what a feed is like must be learnt first."""
    watch = Watch()
    for minute in range(2 * 1440 - 1):
        watch.take(int(Reason.KEY) if minute > 1440 else 0)
    assert watch.told() == []


def test_what_always_was_hides_nothing_new() -> None:
    """A feed whose every record has an unknown field is still told when keys go wrong, and what it is."""
    watch = Watch()
    for _ in range(3 * 1440):
        watch.take(unknown=True)
    assert watch.told() == []
    for _ in range(40):
        watch.take(int(Reason.KEY))
    assert watch.m(UNKNOWN) < 10.0 < 1e8 < watch.m(KEYS)
    assert watch.told()[-1][0] >= 8.0
    assert {name for _, name in watch.told()} == {"wrong keys"}


def test_a_single_new_value_is_no_evidence_and_a_run_of_them_is() -> None:
    """A mode seen once is not; one that replaces the others is; the season after, had it stayed low, it would be known."""
    watch = Watch()
    for _ in range(3 * 1440):
        watch.take()
    watch.take(code=1)
    watch.take()
    assert watch.told() == []
    for _ in range(1440):
        watch.take()
    for _ in range(60):
        watch.take(code=1)
    assert watch.told() == [], "known since the day before"
    for _ in range(60):
        watch.take(code=2)
    assert {name for _, name in watch.told()} == {"categories never seen"}


def test_what_stands_for_a_season_is_the_new_normal() -> None:
    """New firmware with another field: told, and after a season and 1,000 records over, once."""
    watch = Watch()
    for _ in range(3 * 1440):
        watch.take()
    for _ in range(3 * 1440):
        watch.take(unknown=True, code=3)
    levels = [level for level, _ in watch.told()]
    assert max(levels) > 15.0
    assert levels[-1] == 0.0
    assert levels.count(0.0) == 1
    assert watch.m(UNKNOWN) < 10.0 and watch.m(CATEGORIES) < 10.0
    assert watch.clock > 4 * DAY + HOUR
