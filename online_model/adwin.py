"""ADWIN, compiled, with the alarm times of river's `drift.ADWIN`: a part for each entity and numeric field.

Source: Bifet & Gavaldà (2007), "Learning from time-changing data with adaptive windowing", SIAM SDM, section 4: the
window is kept as rows of buckets; a bucket of row i sums 2**i values, the variance by Babcock et al. (2003). A cut into an
old and a new part, whose means differ by more than ε, is a change. As in river, the window begins anew with the value
after an alarm.

As in river, a spike widens ε for as long as the window holds it: values should come held within some deviations.

river's rows grow without bound. Here there are LEVELS; a window that would need more loses its oldest bucket, so up to
5·(2**LEVELS − 1) values nothing differs.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from contracts.elementary import log
from contracts.errors import ModelError

DELTA = 0.002  # river's default
CLOCK = 32  # values between two looks for a cut, river's default; a look costs as much as thirty values
GRACE_PERIOD = 10  # values before the first look, river's default
MIN_WINDOW = 5.0  # values that either part must hold, river's default
BUCKETS = 5  # of each row before two are merged, river's default
LEVELS = 14  # 81,915 values, two months of one a minute; each more doubles the window and costs 104 bytes a cell
HUGE = 1e100  # a value is held within: the square of 1e155 is inf, and the window would be blind for ever

_PLACES = BUCKETS + 1  # a row holds one more for the moment before it is merged
# Words of a cell: numbers, then for each row its count of buckets, its totals, its variances.
WIDTH, TOTAL, VARIANCE, TICK, ROWS, CHANGED = 0, 1, 2, 3, 4, 5
_HEAD = 6
_ROW = 1 + 2 * _PLACES


class AdwinPlan(NamedTuple):
    """`cells` windows of `cell_words` words each."""

    base: int
    words: int
    cells: int
    cell_words: int
    levels: int
    delta: float


def plan_adwin(base: int, cells: int, levels: int = LEVELS, delta: float = DELTA) -> AdwinPlan:
    """6 + 13·levels words a cell. Raises ModelError where a number is out of its bounds."""
    if cells < 1 or not 1 <= levels <= 40 or not 0.0 < delta < 1.0:
        raise ModelError(f"ADWIN of {cells} cells, {levels} levels, delta {delta}; write 1 or more, 1 to 40, above 0 and below 1")
    cell_words = _HEAD + _ROW * levels
    return AdwinPlan(base, cells * cell_words, cells, cell_words, levels, delta)


@numba.njit(cache=True, nogil=True)
def reset_adwin(F, W, slot, plan):  # type: ignore[no-untyped-def]
    """Empty windows."""
    W[slot, plan.base : plan.base + plan.words] = 0


@numba.njit(cache=True, nogil=True)
def adwin_width(F, W, slot, plan, cell):  # type: ignore[no-untyped-def]
    """Values in the window; after an alarm those of its new part."""
    return W[slot, plan.base + cell * plan.cell_words + WIDTH]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def adwin_mean(F, W, slot, plan, cell):  # type: ignore[no-untyped-def]
    """Mean of the window, NaN of an empty one; after an alarm that of its new part."""
    at = plan.base + cell * plan.cell_words
    return F[slot, at + TOTAL] / W[slot, at + WIDTH]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def update_adwin(F, W, slot, plan, cell, value):  # type: ignore[no-untyped-def]
    """Takes a value in and returns whether the window shows a change; NaN is passed over."""
    if value != value:
        return False
    at = plan.base + cell * plan.cell_words
    if W[slot, at + CHANGED]:
        W[slot, at : at + plan.cell_words] = 0
    _insert(F, W, slot, plan, at, min(max(value, -HUGE), HUGE))
    W[slot, at + TICK] += 1
    if W[slot, at + TICK] % CLOCK or W[slot, at + WIDTH] <= GRACE_PERIOD:
        return False
    while _has_cut(F, W, slot, plan, at):
        _drop_oldest(F, W, slot, at)
        W[slot, at + CHANGED] = 1
    return W[slot, at + CHANGED] == 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _insert(F, W, slot, plan, at, value):  # type: ignore[no-untyped-def]
    """Puts a bucket of one value into row 0, and merges from row to row what overflows."""
    W[slot, at + ROWS] = max(W[slot, at + ROWS], 1)
    width = W[slot, at + WIDTH] + 1.0
    if width > 1.0:
        distance = value - F[slot, at + TOTAL] / (width - 1.0)
        F[slot, at + VARIANCE] += (width - 1.0) * distance * distance / width
    W[slot, at + WIDTH] += 1
    F[slot, at + TOTAL] += value
    _append(F, W, slot, at + _HEAD, value, 0.0)
    row = 0
    while W[slot, at + _HEAD + row * _ROW] == _PLACES:
        if row + 1 == plan.levels:
            _forget_oldest(F, W, slot, at)
            return
        _merge(F, W, slot, at, row)
        row += 1


@numba.njit(cache=True, nogil=True)
def _append(F, W, slot, row_at, total, variance):  # type: ignore[no-untyped-def]
    place = row_at + 1 + W[slot, row_at]
    F[slot, place] = total
    F[slot, place + _PLACES] = variance
    W[slot, row_at] += 1


@numba.njit(cache=True, nogil=True)
def _remove(F, W, slot, row_at, k):  # type: ignore[no-untyped-def]
    """Takes the k oldest buckets out of a row."""
    count = W[slot, row_at]
    for start in (row_at + 1, row_at + 1 + _PLACES):
        for i in range(count - k):
            F[slot, start + i] = F[slot, start + i + k]
        for i in range(count - k, count):
            F[slot, start + i] = 0.0
    W[slot, row_at] = count - k


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _merge(F, W, slot, at, row):  # type: ignore[no-untyped-def]
    """Makes one bucket of the next row out of the two oldest of this one (Babcock et al. 2003, section 2)."""
    row_at = at + _HEAD + row * _ROW
    size = np.float64(np.int64(1) << row)
    first, second = F[slot, row_at + 1], F[slot, row_at + 2]
    between = first / size - second / size
    variance = F[slot, row_at + 1 + _PLACES] + F[slot, row_at + 2 + _PLACES] + size * 0.5 * between * between
    _append(F, W, slot, row_at + _ROW, first + second, variance)
    W[slot, at + ROWS] = max(W[slot, at + ROWS], row + 2)
    _remove(F, W, slot, row_at, 2)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _drop_oldest(F, W, slot, at):  # type: ignore[no-untyped-def]
    """Takes the oldest bucket out of the window after a cut."""
    row = W[slot, at + ROWS] - 1
    row_at = at + _HEAD + row * _ROW
    size = np.float64(np.int64(1) << row)
    total = F[slot, row_at + 1]
    W[slot, at + WIDTH] -= np.int64(1) << row
    F[slot, at + TOTAL] -= total
    width = np.float64(W[slot, at + WIDTH])
    distance = total / size - F[slot, at + TOTAL] / width
    F[slot, at + VARIANCE] -= F[slot, row_at + 1 + _PLACES] + size * width * distance * distance / (size + width)
    _remove(F, W, slot, row_at, 1)
    while W[slot, at + ROWS] > 1 and W[slot, at + _HEAD + (W[slot, at + ROWS] - 1) * _ROW] == 0:
        W[slot, at + ROWS] -= 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forget_oldest(F, W, slot, at):  # type: ignore[no-untyped-def]
    """Takes the oldest bucket out of a window that is full, and sums what is left anew.

    This goes on for ever, and what is only ever subtracted from keeps the rounding of the largest value it has seen.
    """
    row = W[slot, at + ROWS] - 1
    _remove(F, W, slot, at + _HEAD + row * _ROW, 1)
    W[slot, at + WIDTH] -= np.int64(1) << row
    total, variance, width = 0.0, 0.0, 0.0
    for i in range(W[slot, at + ROWS]):
        row_at = at + _HEAD + i * _ROW
        size = np.float64(np.int64(1) << i)
        for k in range(W[slot, row_at]):
            bucket = F[slot, row_at + 1 + k]
            if width > 0.0:
                distance = bucket / size - total / width
                variance += size * width * distance * distance / (size + width)
            variance += F[slot, row_at + 1 + _PLACES + k]
            total += bucket
            width += size
    F[slot, at + TOTAL] = total
    F[slot, at + VARIANCE] = variance


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _has_cut(F, W, slot, plan, at):  # type: ignore[no-untyped-def]
    """Whether some cut between buckets, oldest first, parts means that differ by more than ε (paper, section 4.1)."""
    width = np.float64(W[slot, at + WIDTH])
    if width <= 1.0:
        return False
    confidence = log(2.0 * log(width) / plan.delta)
    spread = F[slot, at + VARIANCE] / width
    old_n, new_n = 0.0, width
    old_total, new_total = 0.0, F[slot, at + TOTAL]
    for row in range(W[slot, at + ROWS] - 1, -1, -1):
        row_at = at + _HEAD + row * _ROW
        size = np.float64(np.int64(1) << row)
        for k in range(W[slot, row_at]):
            if row == 0 and k == W[slot, row_at] - 1:
                return False
            old_n += size
            new_n -= size
            old_total += F[slot, row_at + 1 + k]
            new_total -= F[slot, row_at + 1 + k]
            if old_n < MIN_WINDOW or new_n < MIN_WINDOW:
                continue
            harmonic = 1.0 / (old_n - MIN_WINDOW + 1.0) + 1.0 / (new_n - MIN_WINDOW + 1.0)
            epsilon = np.sqrt(2.0 * harmonic * spread * confidence) + 2.0 / 3.0 * confidence * harmonic
            if abs(old_total / old_n - new_total / new_n) > epsilon:
                return True
    return False
