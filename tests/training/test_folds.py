from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.folds import known_rows, time_folds


@given(
    gaps=st.lists(st.integers(0, 100), min_size=1, max_size=60),
    gap=st.integers(0, 500),
    count=st.integers(1, 5),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_no_fold_trains_on_a_label_that_was_not_known(gaps: list[int], gap: int, count: int, place: tuple[float, float]) -> None:
    """For any event times, ties included: every row trained on had its label before the first event of the test; tests do not overlap."""
    times = np.cumsum(gaps).astype(np.int64)
    start, end = sorted(int(share * len(times)) for share in place)
    last = (start + end) // 2
    for fold in time_folds(times, start, end, count, gap):
        assert 0 < fold.train_end <= fold.test_start
        assert times[fold.train_end - 1] + gap <= times[fold.test_start]
        assert fold.train_end == fold.test_start or times[fold.train_end] + gap > times[fold.test_start]  # and all that were known
        assert last <= fold.test_start < fold.test_end <= end
        last = fold.test_end


def test_known_rows_counts_labels_that_came_in_time() -> None:
    """A label due at the very moment of the event is known."""
    times = np.array([0, 10, 20, 30], np.int64)
    assert [known_rows(times, 3, gap) for gap in (0, 10, 15, 30, 31)] == [3, 3, 2, 1, 0]
