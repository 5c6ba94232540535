"""ADWIN, compiled, with the alarm times of river's `drift.ADWIN`: a window of one detection cell's values, and the last change in it.

Source: Bifet & Gavaldà (2007), "Learning from time-changing data with adaptive windowing", SIAM SDM, section 4: the
window is kept as rows of buckets; a bucket of row i sums 2**i values, the variance by Babcock et al. (2003). A cut into an
old and a new part, whose means differ by more than ε, is a change. As in river, the window begins anew with the value
after an alarm.

The bound ε is made for values from 0 to 1; cells put in ranks. As in river, a value far outside widens ε for as long as
the window holds it.

river's rows grow without bound. Here there are LEVELS; a window that would need more loses its oldest bucket, so up to
5·(2**LEVELS − 1) values nothing differs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.elementary import log
from contracts.kernel import kernel

F64 = NDArray[np.float64]

DELTA = 0.002  # river's default
CLOCK = 32.0  # values between two looks for a cut, river's default; a look costs as much as thirty values
GRACE_PERIOD = 10.0  # values before the first look, river's default
MIN_WINDOW = 5.0  # values that either part must hold, river's default
BUCKETS = 5  # of each row before two are merged, river's default
LEVELS = 11  # 10,235 values: no less than the 8,192 by which a cell's reference follows, as older ranks were against another one
HUGE = 1e100  # a value is held within: the square of 1e155 is inf, and the window would be blind for ever

_PLACES = BUCKETS + 1  # a row holds one more for the moment before it is merged
# Words of the state: of the window, of the last change, then for each row its count of buckets, its totals, its variances.
WIDTH, TOTAL, VARIANCE, TICK, ROWS, CHANGED = range(6)
CHANGE_TIME, OLD_N, OLD_MEAN = range(6, 9)
ROWS_AT = 9
ROW_WORDS = 1 + 2 * _PLACES
WORDS = ROWS_AT + ROW_WORDS * LEVELS


@kernel()
def reset_adwin(state: F64) -> None:
    """An empty window, and no change."""
    state[:] = 0.0


@kernel("numpy")
def update_adwin(state: F64, value: float, time: int, delta: float = DELTA) -> bool:
    """Takes a value of event time `time` in and returns whether the window shows a change; NaN is passed over.

    A change leaves its time in `state`, and how many values of what mean were dropped. The window is then what was kept, which
    may reach back before the change, as no more buckets are dropped than it takes; from the next value on it is what came after.
    """
    if value != value:
        return False
    if state[CHANGED] != 0.0:
        state[:CHANGE_TIME] = 0.0
        state[ROWS_AT:] = 0.0
    _insert(state, min(max(value, -HUGE), HUGE))
    state[TICK] += 1.0
    if state[TICK] % CLOCK != 0.0 or state[WIDTH] <= GRACE_PERIOD:
        return False
    width, total = state[WIDTH], state[TOTAL]
    while _has_cut(state, delta):
        _drop_oldest(state)
        state[CHANGED] = 1.0
    if state[CHANGED] == 0.0:
        return False
    state[CHANGE_TIME], state[OLD_N] = float(time), width - state[WIDTH]
    state[OLD_MEAN] = (total - state[TOTAL]) / state[OLD_N]
    return True


@kernel()
def _size(row: int) -> float:
    """Values that a bucket of a row sums."""
    return float(np.int64(1) << row)


@kernel("numpy")
def _insert(state: F64, value: float) -> None:
    """Puts a bucket of one value into row 0, and merges from row to row what overflows."""
    state[ROWS] = max(state[ROWS], 1.0)
    width = state[WIDTH] + 1.0
    if width > 1.0:
        distance = value - state[TOTAL] / (width - 1.0)
        state[VARIANCE] += (width - 1.0) * distance * distance / width
    state[WIDTH] = width
    state[TOTAL] += value
    _append(state, ROWS_AT, value, 0.0)
    levels, row = (len(state) - ROWS_AT) // ROW_WORDS, 0
    while state[ROWS_AT + row * ROW_WORDS] == _PLACES:
        if row + 1 == levels:
            _forget_oldest(state)
            return
        _merge(state, row)
        row += 1


@kernel()
def _append(state: F64, row_at: int, total: float, variance: float) -> None:
    place = row_at + 1 + int(state[row_at])
    state[place] = total
    state[place + _PLACES] = variance
    state[row_at] += 1.0


@kernel()
def _remove(state: F64, row_at: int, k: int) -> None:
    """Takes the k oldest buckets out of a row."""
    count = int(state[row_at])
    for start in (row_at + 1, row_at + 1 + _PLACES):
        for i in range(count - k):
            state[start + i] = state[start + i + k]
        for i in range(count - k, count):
            state[start + i] = 0.0
    state[row_at] = float(count - k)


@kernel("numpy")
def _merge(state: F64, row: int) -> None:
    """Makes one bucket of the next row out of the two oldest of this one (Babcock et al. 2003, section 2)."""
    row_at, size = ROWS_AT + row * ROW_WORDS, _size(row)
    first, second = state[row_at + 1], state[row_at + 2]
    between = first / size - second / size
    variance = state[row_at + 1 + _PLACES] + state[row_at + 2 + _PLACES] + size * 0.5 * between * between
    _append(state, row_at + ROW_WORDS, first + second, variance)
    state[ROWS] = max(state[ROWS], row + 2.0)
    _remove(state, row_at, 2)


@kernel("numpy")
def _drop_oldest(state: F64) -> None:
    """Takes the oldest bucket out of the window after a cut."""
    row = int(state[ROWS]) - 1
    row_at, size = ROWS_AT + row * ROW_WORDS, _size(row)
    total = state[row_at + 1]
    state[WIDTH] -= size
    state[TOTAL] -= total
    width = state[WIDTH]
    distance = total / size - state[TOTAL] / width
    state[VARIANCE] -= state[row_at + 1 + _PLACES] + size * width * distance * distance / (size + width)
    _remove(state, row_at, 1)
    while state[ROWS] > 1.0 and state[ROWS_AT + (int(state[ROWS]) - 1) * ROW_WORDS] == 0.0:
        state[ROWS] -= 1.0


@kernel("numpy")
def _forget_oldest(state: F64) -> None:
    """Takes the oldest bucket out of a window that is full, and sums what is left anew.

    This goes on for ever, and what is only ever subtracted from keeps the rounding of the largest value it has seen.
    """
    rows = int(state[ROWS])
    _remove(state, ROWS_AT + (rows - 1) * ROW_WORDS, 1)
    state[WIDTH] -= _size(rows - 1)
    total, variance, width = 0.0, 0.0, 0.0
    for i in range(rows):
        row_at, size = ROWS_AT + i * ROW_WORDS, _size(i)
        for k in range(int(state[row_at])):
            bucket = state[row_at + 1 + k]
            if width > 0.0:
                distance = bucket / size - total / width
                variance += size * width * distance * distance / (size + width)
            variance += state[row_at + 1 + _PLACES + k]
            total += bucket
            width += size
    state[TOTAL] = total
    state[VARIANCE] = variance


@kernel("numpy")
def _has_cut(state: F64, delta: float) -> bool:
    """Whether some cut between buckets, oldest first, parts means that differ by more than ε (paper, section 4.1)."""
    width = state[WIDTH]
    if width <= 1.0:
        return False
    confidence = log(2.0 * log(width) / delta)
    spread = state[VARIANCE] / width
    old_n, new_n = 0.0, width
    old_total, new_total = 0.0, state[TOTAL]
    for row in range(int(state[ROWS]) - 1, -1, -1):
        row_at, size = ROWS_AT + row * ROW_WORDS, _size(row)
        count = int(state[row_at])
        for k in range(count):
            if row == 0 and k == count - 1:
                return False
            old_n += size
            new_n -= size
            old_total += state[row_at + 1 + k]
            new_total -= state[row_at + 1 + k]
            if old_n < MIN_WINDOW or new_n < MIN_WINDOW:
                continue
            harmonic = 1.0 / (old_n - MIN_WINDOW + 1.0) + 1.0 / (new_n - MIN_WINDOW + 1.0)
            epsilon = np.sqrt(2.0 * harmonic * spread * confidence) + 2.0 / 3.0 * confidence * harmonic
            if abs(old_total / old_n - new_total / new_n) > epsilon:
                return True
    return False
