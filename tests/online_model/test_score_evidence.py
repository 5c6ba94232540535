"""E-values of conformal ranks, and the e-detector that bets on an entity's anomaly scores block by block."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.definition import Feed, Number
from contracts.durations import DAY, MINUTE
from feature_store.rows import new_rows
from online_model.evidence_buffer import CONTRIBUTION, CONTRIBUTOR, CURRENT_MEAN, LOG10_E, REFERENCE_MEAN, SINCE, new_evidence_buffer
from online_model.score_evidence import RING, YOUNG, M, ScoreEvidencePlan, e_value, plan_score_evidence, reset_score_evidence, take_score

START = 1_767_225_600_000_000
FEED = Feed("f", entity="e", time="t", fields=[Number("x")], windows=["1m", "10m"], season="1d")
BLOCK = 15  # minutes: a hundredth of a day, longer than the longest window


def run(scores: np.ndarray, inputs: np.ndarray | None = None, feed: Feed = FEED, step: int = MINUTE) -> tuple[np.ndarray, list[np.ndarray]]:
    """M after each score of one entity, one every `step`, and the numbers of the evidence."""
    plan = plan_score_evidence(feed, 0, 3)
    F, W = new_rows(1, plan.words)
    reset_score_evidence(F, 0, plan)
    buffer = new_evidence_buffer(4_000)
    usual = np.full((len(scores), 3), 0.5) if inputs is None else inputs
    m = np.empty(len(scores))
    for i, score in enumerate(scores.tolist()):
        take_score(F, W, 0, plan, score, usual[i], START + i * step, i, i, buffer, i)
        m[i] = F[0, plan.base + M]
    return m, [buffer.numbers[i].copy() for i in range(buffer.used[0])]


def score_noise(kind: str, minutes: int, seed: int) -> np.ndarray:
    """Scores of no fault: independent, or following the minute before, or the day."""
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal(minutes)
    if kind == "autoregressive":
        for i in range(1, minutes):
            drawn[i] = 0.98 * drawn[i - 1] + 0.2 * drawn[i]
    elif kind == "daily":
        drawn += 2.0 * np.sin(2.0 * np.pi * np.arange(minutes) * MINUTE / DAY)
    elif kind == "coarse":
        drawn = np.round(drawn)
    return 0.4 + 0.05 * drawn


@pytest.mark.parametrize("n", [YOUNG, 150, RING])
def test_e_values_of_all_ranks_have_the_mean_one(n: int) -> None:
    """So a rank that is uniform gives an e-value, which wastes nothing; they fall with the rank, so ties only lower them."""
    values = np.array([e_value(k, n) for k in range(1, n + 2)])
    assert values.mean() == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(values) < 0.0).all()
    assert values[0] > 20.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["independent", "autoregressive", "daily", "coarse"])
def test_scores_without_a_fault_stay_low(kind: str) -> None:
    """A hundred entity-weeks of each kind: M passes A less often than once in A bets, for every A from 100 on."""
    passed = np.zeros(4)
    bets = 0
    for seed in range(25):
        m, _ = run(score_noise(kind, 4 * 7 * 1440, seed))
        blocks = m[2 * 1440 :: BLOCK]
        bets += len(blocks)
        for i, threshold in enumerate((1e2, 1e3, 1e4, 1e5)):
            above = blocks >= threshold
            passed[i] += (above[1:] & ~above[:-1]).sum()
    assert (passed <= bets / np.array([1e2, 1e3, 1e4, 1e5]) + 2.0).all(), (passed, bets)


def test_a_score_that_stays_higher_is_evidence_within_hours() -> None:
    """Higher by one standard deviation of a reading's noise: 10⁶ within five hours; it says since when and in what."""
    scores = score_noise("independent", 6 * 1440, 1)
    at = 4 * 1440
    scores[at:] += 0.05
    inputs = np.full((len(scores), 3), 0.5)
    inputs[at:, 1], inputs[at:, 2] = 0.75, 0.4
    m, told = run(scores, inputs)
    assert m[at - 1] < 1e2
    assert m[at + 300] > 1e6
    first = next(numbers for numbers in told if numbers[SINCE] >= START + at * MINUTE - BLOCK * MINUTE)
    assert first[LOG10_E] >= 2.0
    assert first[CURRENT_MEAN] - first[REFERENCE_MEAN] == pytest.approx(0.05, abs=0.02)
    assert first[CONTRIBUTOR : CONTRIBUTOR + 2].tolist() == [1.0, 2.0]
    assert first[CONTRIBUTION] == pytest.approx(0.25 / 0.35)
    assert np.isnan(first[CONTRIBUTOR + 2])


def test_no_bets_while_young_nor_across_gaps() -> None:
    """Two seasons pass before anything is said; a block after a gap, or with few readings, is passed over."""
    scores = score_noise("independent", 3 * 1440, 2)
    scores[1440:1500] = 1.0
    m, _ = run(scores[: 2 * 1440])
    assert m.max() == 1.0
    plan: ScoreEvidencePlan = plan_score_evidence(FEED, 0, 3)
    F, W = new_rows(1, plan.words)
    reset_score_evidence(F, 0, plan)
    buffer = new_evidence_buffer(100)
    quiet = np.full(3, 0.5)
    for i in range(4 * 1440):
        if i < 3 * 1440 or i % 200 == 0:  # then one reading in 200 minutes, of the highest score
            score = 1.0 if i >= 3 * 1440 else score_noise("independent", 1, i)[0]
            take_score(F, W, 0, plan, score, quiet, START + i * MINUTE, i, i, buffer, i)
    assert F[0, M] < 1e2
