"""Point-wise scores on made-up rows."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.point_scoring import best_point_threshold, point_score

TRUTH = [np.array([False, True, True, False]), np.array([False, False, False, True])]


def test_scores_pool_the_rows_of_all_files() -> None:
    """One hit, two misses and one false alarm of five: F1, FAR and MAR are of all files' rows together."""
    found = point_score(TRUTH, [np.array([True, True, False, False]), np.zeros(4, bool)])
    assert found == pytest.approx((0.4, 20.0, 200 / 3))


def test_extremes() -> None:
    """All right is 1, 0, 0; always alarmed misses nothing and alarms every row; never alarmed has F1 0."""
    assert point_score(TRUTH, TRUTH) == (1.0, 0.0, 0.0)
    assert point_score(TRUTH, [np.ones(4, bool)] * 2) == pytest.approx((6 / 11, 100.0, 0.0))
    assert point_score(TRUTH, [np.zeros(4, bool)] * 2) == (0.0, 0.0, 100.0)


def test_the_best_threshold_is_found() -> None:
    """Where scores tell the rows apart, the threshold found scores 1; NaN never alarms."""
    best, level = best_point_threshold(TRUTH, [np.array([np.nan, 3.0, 4.0, 1.0]), np.array([0.0, 1.0, np.nan, 2.5])])
    assert best == (1.0, 0.0, 0.0)
    assert 1.0 < level <= 2.5
