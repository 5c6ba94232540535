"""The score of NAB on made-up rows."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.nab_scoring import PROFILES, Labelled, best_threshold, corpus_score, file_score, window_rows

FILES = [Labelled(400, [(100, 140), (300, 340)]), Labelled(1000, []), Labelled(6000, [(2000, 2100)])]
NOTHING = np.zeros(0, np.int64)


def only(rows: list[int]) -> list[np.ndarray]:
    """Detections in the first file alone."""
    return [np.array(rows, np.int64), NOTHING, NOTHING]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_perfect_is_100_and_nothing_is_0(profile) -> None:
    """A detection at every window's left edge and nowhere else scores 100; no detection scores 0; in every profile."""
    perfect = [np.array([100, 300]), NOTHING, np.array([2000])]
    assert corpus_score(FILES, perfect, profile) == pytest.approx(100.0, abs=1e-3)
    assert corpus_score(FILES, [NOTHING] * 3, profile) == 0.0


def test_earlier_is_worth_more_and_repeats_in_a_window_nothing() -> None:
    """Within a window only the earliest detection counts, and its worth falls to nothing at the right edge."""
    standard = PROFILES["standard"]
    at = [file_score(FILES[0], np.array([row]), standard) for row in (100, 110, 125, 140)]
    assert at == sorted(at, reverse=True)
    assert at[0] == pytest.approx(0.0, abs=1e-4)  # one hit, one miss
    assert at[3] == pytest.approx(-1.0)
    assert file_score(FILES[0], np.array([110, 111, 130]), standard) == at[1]


def test_false_detections_cost_by_distance() -> None:
    """Just past a window little, in full before the first and beyond three widths; twice as much with low FP."""
    empty = file_score(FILES[0], NOTHING, PROFILES["standard"])
    cost = [empty - file_score(FILES[0], np.array([row]), PROFILES["standard"]) for row in (141, 160, 290, 90)]
    assert cost[0] < cost[1] < 0.11
    assert cost[2] == pytest.approx(0.11)
    assert cost[3] == pytest.approx(0.11)
    assert empty - file_score(FILES[0], np.array([90]), PROFILES["low_fp"]) == pytest.approx(0.22)


def test_a_miss_costs_double_with_low_fn() -> None:
    """The three profiles differ in what a miss and a false detection cost."""
    assert [file_score(FILES[0], NOTHING, profile) for profile in PROFILES.values()] == [-2.0, -2.0, -4.0]


def test_probation_is_ignored() -> None:
    """Detections in the first 15 % of the rows, 750 at the most, count nothing."""
    assert [item.probation for item in FILES] == [60, 150, 750]
    assert corpus_score(FILES, only([0, 10, 59]), PROFILES["standard"]) == 0.0
    assert corpus_score(FILES, only([60]), PROFILES["standard"]) < 0.0


def test_windows_become_the_rows_that_they_hold() -> None:
    """Both ends of a window belong to it; a window without rows is none."""
    times = np.array([10, 20, 20, 30, 40])
    assert window_rows(times, [(35, 38), (20, 30)]) == [(1, 3)]


def test_the_best_threshold_is_found() -> None:
    """Scores that are high exactly at the windows' left edges have a threshold that scores 100; NaN is no detection."""
    scores = [np.zeros(item.rows) for item in FILES]
    for values, item in zip(scores, FILES, strict=True):
        values[[first for first, _ in item.windows]] = 0.9
        values[: item.probation] = np.nan
    score, level = best_threshold(FILES, scores, PROFILES["standard"])
    assert score == pytest.approx(100.0, abs=1e-3)
    assert 0.0 < level <= 0.9
