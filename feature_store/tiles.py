"""Tiles: what is kept of the readings of one stretch of event time, mergeable into windows.

    tile:    | 41 | 42 | 43 | 44 | 45 | 46 |         6 tiles of 10 s, aligned to the epoch
    window as of m:  └──────── closed ───────┘└ top ┘  top = ⌊m / s⌋, the only tile that still grows in order

A tile is its number, the readings it has seen, and blocks, one for each *accumulator* of the feed's program. Each window
has a ring of its n tiles and, before them, a *closed* tile: all but the top one, merged oldest first. It is rebuilt when
the window moves or a reading out of order changes one of them, so that a window costs one merge an event and not n.
A tile older than the window is never looked at again, for m only rises; that is why n tiles suffice at any lateness.
"""

from __future__ import annotations

from enum import IntEnum

import numba
import numpy as np
from numpy.typing import NDArray

from feature_store.moments import add_pair, add_value, merge_pairs, merge_values

Floats = NDArray[np.float64]
Words = NDArray[np.int64]


class Accumulator(IntEnum):
    """Kinds of blocks in a tile. The first three all begin with n and are nested, so a field has the largest it needs."""

    COUNT = 0  # n
    MOMENTS = 1  # n, mean, M2
    TREND = 2  # pair block of the value and of seconds since the tile's start
    EXTREMES = 3  # smallest, largest
    HOLD = 4  # Σ previous value · dt, Σ dt in seconds
    INCREASE = 5  # Σ increments of a counter
    PAIR = 6  # pair block of two fields' values
    CATEGORY = 7  # n, changes, then 16 counters of 32 bits, two a word


BLOCK_WORDS = {
    Accumulator.COUNT: 1,
    Accumulator.MOMENTS: 3,
    Accumulator.TREND: 6,
    Accumulator.EXTREMES: 2,
    Accumulator.HOLD: 2,
    Accumulator.INCREASE: 1,
    Accumulator.PAIR: 6,
    Accumulator.CATEGORY: 10,
}
HEADER_WORDS = 2  # number of the tile (int64), readings seen (float64)
NO_TILE = -(1 << 62)  # number of a slot of the ring that holds no tile yet

# Columns of a program, one row an accumulator.
KIND, OFFSET, FIELD, OTHER, MARK = range(5)
# Words of a field's mark: its last value in order. A category's code is an int64, −1 before the first.
LAST, LAST_TIME = 0, 1

MICROSECONDS = 1e6


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def add_reading(
    F: Floats,
    W: Words,
    slot: int,
    program: Words,
    at: int,
    start: int,
    window: int,
    base: int,
    time: int,
    in_order: bool,
    numbers: Floats,
    codes: Words,
) -> None:
    """Adds a reading to the tile at word `at` that starts at `start` (µs); marks, from word `base`, are of the reading before."""
    F[slot, at + 1] += 1.0
    for row in range(program.shape[0]):
        kind = program[row, KIND]
        block = at + program[row, OFFSET]
        if kind == Accumulator.CATEGORY:
            code = codes[program[row, FIELD]]
            if code >= 0:
                F[slot, block] += 1.0
                last = W[slot, base + program[row, MARK]]
                if in_order and last >= 0 and code != last:
                    F[slot, block + 1] += 1.0
                W[slot, block + 2 + (code >> 1)] += 1 << (32 * (code & 1))
            continue
        x = numbers[program[row, FIELD]]
        if x != x:
            continue
        if kind == Accumulator.MOMENTS:
            add_value(F, slot, block, x)
        elif kind == Accumulator.EXTREMES:
            if x < F[slot, block]:
                F[slot, block] = x
            if x > F[slot, block + 1]:
                F[slot, block + 1] = x
        elif kind == Accumulator.TREND:
            add_pair(F, slot, block, x, (time - start) / MICROSECONDS)
        elif kind == Accumulator.COUNT:
            F[slot, block] += 1.0
        elif kind == Accumulator.PAIR:
            y = numbers[program[row, OTHER]]
            if y == y:
                add_pair(F, slot, block, x, y)
        elif in_order:
            mark = base + program[row, MARK]
            last_value = F[slot, mark + LAST]
            if last_value == last_value:
                if kind == Accumulator.HOLD:
                    # A pair may span a gap; it weighs no more than the window it is counted in.
                    seconds = min(time - W[slot, mark + LAST_TIME], window) / MICROSECONDS
                    F[slot, block] += last_value * seconds
                    F[slot, block + 1] += seconds
                else:
                    F[slot, block] += x - last_value if x >= last_value else max(x, 0.0)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def merge_tile(F: Floats, W: Words, slot: int, program: Words, into: int, at: int, shift: float) -> None:
    """Merges the tile at word `at` into the one at `into`; `shift` is the former's start less the latter's, in seconds."""
    F[slot, into + 1] += F[slot, at + 1]
    for row in range(program.shape[0]):
        kind = program[row, KIND]
        a = into + program[row, OFFSET]
        b = at + program[row, OFFSET]
        if kind == Accumulator.MOMENTS:
            merge_values(F, slot, a, b)
        elif kind == Accumulator.TREND:
            merge_pairs(F, slot, a, b, shift)
        elif kind == Accumulator.PAIR:
            merge_pairs(F, slot, a, b, 0.0)
        elif kind == Accumulator.EXTREMES:
            if F[slot, b] < F[slot, a]:
                F[slot, a] = F[slot, b]
            if F[slot, b + 1] > F[slot, a + 1]:
                F[slot, a + 1] = F[slot, b + 1]
        else:
            F[slot, a] += F[slot, b]
            if kind == Accumulator.HOLD or kind == Accumulator.CATEGORY:
                F[slot, a + 1] += F[slot, b + 1]
            if kind == Accumulator.CATEGORY:
                for word in range(2, 10):
                    W[slot, a + word] += W[slot, b + word]


@numba.njit(cache=True, nogil=True)
def blank_tile(W: Words, slot: int, blank: Words, at: int, number: int) -> None:
    """Makes the tile at word `at` the empty tile `number`; `blank` is int64[words of a tile]."""
    for word in range(blank.shape[0]):
        W[slot, at + word] = blank[word]
    W[slot, at] = number


@numba.njit(cache=True, nogil=True, error_model="numpy")
def close_tiles(F: Floats, W: Words, slot: int, program: Words, blank: Words, ring: int, tiles: int, length: int, top: int) -> None:
    """Rebuilds the closed tile at word `ring`: tiles top − n + 1 … top − 1, merged oldest first, on the top tile's origin."""
    words = blank.shape[0]
    blank_tile(W, slot, blank, ring, top)
    for number in range(top - tiles + 1, top):
        at = ring + words * (1 + number % tiles)
        if W[slot, at] == number:
            merge_tile(F, W, slot, program, ring, at, (number - top) * length / MICROSECONDS)
