"""Compiled: one reading into an entity's features, and its feature vector as of its newest event time m.

Update and write walk the arrays of a FeaturePlan, so one compiled function serves every definition.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.durations import DAY, WEEK
from contracts.elementary import cos_turn, sin_turn
from feature_store.feature_catalogue import Feature
from feature_store.feature_plan import (
    BLOCK,
    END,
    FEATURE,
    FIRST,
    LENGTH,
    MARK,
    MARK_AT,
    MARK_FIELD,
    MARK_RATE,
    MARK_STUCK,
    OTHER,
    PLACE,
    RING,
    WINDOW,
    FeaturePlan,
)
from feature_store.moments import merged_mean, merged_sum
from feature_store.tiles import LAST, LAST_TIME, MICROSECONDS, add_reading, blank_tile, close_tiles

Floats = NDArray[np.float64]
Words = NDArray[np.int64]

_NAN = np.nan
_INFINITY = np.inf
_THURSDAY = 3 * DAY  # the epoch's weekday, counted from Monday


@numba.njit(cache=True, nogil=True)
def reset_features(F: Floats, W: Words, slot: int, plan: FeaturePlan) -> None:
    """Makes the feature words of row `slot` those of an entity just seen."""
    for word in range(plan.words):
        W[slot, plan.base + word] = plan.blank[word]


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def update_features(
    F: Floats, W: Words, slot: int, plan: FeaturePlan, time: int, newest: int, in_order: bool, numbers: Floats, codes: Words
) -> None:
    """Folds one reading of the entity in row `slot`.

    Args:
        F, W: (slots, width) the two views of the rows.
        time: event time, µs.
        newest: the entity's newest event time with this reading counted, µs.
        in_order: time is not older than the newest before.
        numbers: (number fields,) NaN where missing or impossible.
        codes: (category fields,) −1 where missing, 0 … 14, 15 for any other value.
    """
    program, tile, windows, base, tiles = plan.program, plan.tile, plan.windows, plan.base, plan.tiles
    if program.shape[0] > 0:
        for index in range(windows.shape[0]):
            length = windows[index, LENGTH]
            number = time // length
            top = newest // length
            if number <= top - tiles:
                continue
            ring = base + windows[index, RING]
            at = ring + tile.shape[0] * (1 + number % tiles)
            if W[slot, at] != number:
                blank_tile(W, slot, tile, at, number)
            add_reading(F, W, slot, program, at, number * length, windows[index, WINDOW], base, time, in_order, numbers, codes)
            if number < top or W[slot, ring] != top:
                close_tiles(F, W, slot, program, tile, ring, tiles, length, top)
    if in_order:
        _mark_numbers(F, W, slot, plan.marks, base, time, numbers)
        _mark_codes(W, slot, plan.changes, base, time, codes)


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _mark_numbers(F: Floats, W: Words, slot: int, marks: Words, base: int, time: int, numbers: Floats) -> None:
    """Keeps the present values of a reading in order as their fields' last ones."""
    for row in range(marks.shape[0]):
        x = numbers[marks[row, MARK_FIELD]]
        if x != x:
            continue
        mark = base + marks[row, MARK_AT]
        last = F[slot, mark + LAST]
        if marks[row, MARK_RATE] >= 0:
            F[slot, base + marks[row, MARK_RATE]] = (x - last) / ((time - W[slot, mark + LAST_TIME]) / MICROSECONDS)
        if marks[row, MARK_STUCK] >= 0 and x != last:
            W[slot, base + marks[row, MARK_STUCK]] = time
        F[slot, mark + LAST] = x
        W[slot, mark + LAST_TIME] = time


@numba.njit(cache=True, nogil=True, forceinline=True)
def _mark_codes(W: Words, slot: int, changes: Words, base: int, time: int, codes: Words) -> None:
    """Keeps the categories of a reading in order, and when they changed."""
    for row in range(changes.shape[0]):
        code = codes[changes[row, MARK_FIELD]]
        mark = base + changes[row, MARK_AT]
        if code >= 0 and code != W[slot, mark + LAST]:
            W[slot, mark + LAST] = code
            W[slot, mark + LAST_TIME] = time


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def write_vector(F: Floats, W: Words, slot: int, plan: FeaturePlan, newest: int, first_time: int, vector: Floats) -> int:
    """Writes the features of row `slot` as of `newest` = m and returns which windows are partial.

    Args:
        newest: the entity's newest event time, µs; update_features has folded that reading.
        first_time: event time at which the entity was first seen, µs.
        vector: (dimension,) written; NaN means no value, and no value is infinite.

    Returns:
        Bit w is set where window w begins before `first_time`.
    """
    base, tiles, words = plan.base, plan.tiles, plan.tile.shape[0]
    windows, features = plan.windows, plan.features
    partial = 0
    rows = 0
    for index in range(windows.shape[0]):
        length = windows[index, LENGTH]
        top = newest // length
        if (top - tiles + 1) * length < first_time:
            partial |= 1 << index
        closed = base + windows[index, RING]
        last = closed + words * (1 + top % tiles)
        for row in range(windows[index, FIRST], windows[index, END]):
            value = _window_value(
                F, W, slot, features[row, FEATURE], closed, last, features[row, BLOCK], features[row, OTHER], base + features[row, MARK]
            )
            vector[features[row, PLACE]] = value if abs(value) < _INFINITY else _NAN
            rows += 1
    for row in range(rows, features.shape[0]):
        feature = features[row, FEATURE]
        if feature == Feature.ZSCORE:
            value = _zscore(F, slot, windows, base + features[row, BLOCK], words, tiles, newest)
        elif feature >= Feature.TIME_OF_DAY_SIN:
            value = _time_value(feature, newest)
        else:
            value = _last_value(F, W, slot, feature, base + features[row, MARK], base + features[row, OTHER], newest)
        vector[features[row, PLACE]] = value if abs(value) < _INFINITY else _NAN
    return partial


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _both(F: Floats, slot: int, a: int, b: int, side_x: int, side_y: int, word: int) -> float:
    """M2 or C of a window: `side_x`, `side_y` are the words of the two means in the block, `word` that of the sum."""
    x_gap = F[slot, b + side_x] - F[slot, a + side_x]
    y_gap = F[slot, b + side_y] - F[slot, a + side_y]
    return merged_sum(F[slot, a], F[slot, a + word], F[slot, b], F[slot, b + word], x_gap, y_gap)


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _mean(F: Floats, slot: int, a: int, b: int) -> float:
    """Mean of a window out of the moments blocks of its two tiles."""
    if F[slot, a] + F[slot, b] == 0.0:
        return _NAN
    return merged_mean(F[slot, a], F[slot, a + 1], F[slot, b], F[slot, b + 1])


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _std(F: Floats, slot: int, a: int, b: int) -> float:
    """Sample standard deviation of a window out of the moments blocks of its two tiles."""
    n = F[slot, a] + F[slot, b]
    if n < 2.0:
        return _NAN
    value = math.sqrt(_both(F, slot, a, b, 1, 1, 2) / (n - 1.0))
    return value if value < _INFINITY else _NAN


# Inlined: called once a feature, and the call with its two arrays costs as much as the work.
@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _window_value(F: Floats, W: Words, slot: int, feature: int, closed: int, top: int, block: int, other: int, code_at: int) -> float:
    """A feature of the window that the tiles at words `closed` and `top` make up; its formula is in the catalogue."""
    a = closed + block
    b = top + block
    if feature == Feature.COUNT:
        return F[slot, a] + F[slot, b]
    if feature == Feature.MEAN:
        return _mean(F, slot, a, b)
    if feature == Feature.STD:
        return _std(F, slot, a, b)
    if feature == Feature.MIN:
        return min(F[slot, a], F[slot, b])
    if feature == Feature.MAX:
        return max(F[slot, a + 1], F[slot, b + 1])
    if feature == Feature.SLOPE:
        return _both(F, slot, a, b, 1, 3, 5) / _both(F, slot, a, b, 3, 3, 4)
    if feature == Feature.TIME_WEIGHTED_MEAN:
        return (F[slot, a] + F[slot, b]) / (F[slot, a + 1] + F[slot, b + 1])
    if feature == Feature.SHARE_MISSING:
        readings = F[slot, closed + 1] + F[slot, top + 1]
        return (readings - F[slot, a] - F[slot, b]) / readings
    if feature == Feature.CORRELATION:
        spread = math.sqrt(_both(F, slot, a, b, 1, 1, 2)) * math.sqrt(_both(F, slot, a, b, 3, 3, 4))
        value = _both(F, slot, a, b, 1, 3, 5) / spread
        return max(-1.0, min(1.0, value)) if 0.0 < spread < _INFINITY else _NAN
    if feature == Feature.INCREASE:
        return F[slot, a] + F[slot, b] if F[slot, closed + other] + F[slot, top + other] > 0.0 else _NAN
    n = F[slot, a] + F[slot, b]  # readings with a category
    if feature == Feature.CHANGES:
        return F[slot, a + 1] + F[slot, b + 1] if n > 0.0 else _NAN
    code = W[slot, code_at]
    if code < 0:
        return _NAN
    pair = W[slot, a + 2 + (code >> 1)] + W[slot, b + 2 + (code >> 1)]
    return ((pair >> (32 * (code & 1))) & 0xFFFFFFFF) / n


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _last_value(F: Floats, W: Words, slot: int, feature: int, mark: int, other: int, newest: int) -> float:
    """A feature of what came last in order; its formula is in the catalogue."""
    if feature == Feature.SINCE_CHANGE:
        return (newest - W[slot, mark + LAST_TIME]) / MICROSECONDS if W[slot, mark + LAST] >= 0 else _NAN
    if feature == Feature.CODE:
        return float(W[slot, mark + LAST]) if W[slot, mark + LAST] >= 0 else _NAN
    last = F[slot, mark + LAST]
    if last != last or feature == Feature.LAST:
        return last
    if feature == Feature.RATE:
        return F[slot, other]
    if feature == Feature.SINCE:
        return (newest - W[slot, mark + LAST_TIME]) / MICROSECONDS
    if feature == Feature.STUCK:
        return (W[slot, mark + LAST_TIME] - W[slot, other]) / MICROSECONDS
    second = F[slot, other + LAST]
    return last - second if feature == Feature.DIFFERENCE else last / second


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _time_value(feature: int, newest: int) -> float:
    """Where m lies in its day or week, as a sine or cosine."""
    if feature == Feature.TIME_OF_DAY_SIN:
        return sin_turn((newest % DAY) / DAY)
    if feature == Feature.TIME_OF_DAY_COS:
        return cos_turn((newest % DAY) / DAY)
    turn = ((newest + _THURSDAY) % WEEK) / WEEK
    return sin_turn(turn) if feature == Feature.TIME_OF_WEEK_SIN else cos_turn(turn)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _zscore(F: Floats, slot: int, windows: Words, block: int, words: int, tiles: int, newest: int) -> float:
    """How many standard deviations of the longest window the shortest one's mean lies off the longest one's."""
    longest = windows.shape[0] - 1
    short_closed = windows[0, RING] + block
    short_top = short_closed + words * (1 + newest // windows[0, LENGTH] % tiles)
    long_closed = windows[longest, RING] + block
    long_top = long_closed + words * (1 + newest // windows[longest, LENGTH] % tiles)
    long_mean = _mean(F, slot, long_closed, long_top)
    return (_mean(F, slot, short_closed, short_top) - long_mean) / _std(F, slot, long_closed, long_top)
