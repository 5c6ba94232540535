"""From a definition to what the feature kernels walk: which words a row has, what a tile adds up, what a vector holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from feature_store.feature_catalogue import Feature
from feature_store.feature_columns import Column, feature_columns, feature_fields, feature_names, feature_windows
from feature_store.tiles import BLOCK_WORDS, HEADER_WORDS, NO_TILE, Accumulator

__all__ = ["FeaturePlan", "feature_fields", "feature_names", "feature_windows", "plan_features"]

Words = NDArray[np.int64]

# Columns of FeaturePlan.windows, one row a window.
RING, LENGTH, WINDOW, FIRST, END = range(5)
# Columns of FeaturePlan.features, one row a feature, sorted by window; those without one come last.
FEATURE, PLACE, BLOCK, MARK, OTHER = range(5)
# Columns of FeaturePlan.marks: where a number field's last value in order is, and what is kept beside it (−1: not).
MARK_FIELD, MARK_AT, MARK_RATE, MARK_STUCK = range(4)


class FeaturePlan(NamedTuple):
    """The feature part of an entity's row, for compiled kernels. Words count from `base`, those of blocks from their tile."""

    base: int
    words: int
    dimension: int  # of the vector
    tiles: int  # n, tiles a window
    blank: Words  # (words,) the part of an entity just seen
    tile: Words  # (words of a tile,) an empty tile
    program: Words  # (accumulators, 5) columns in tiles.py
    windows: Words  # (windows, 5) RING: word of the closed tile; tile LENGTH and WINDOW in µs; FIRST, END: rows of its features
    features: Words  # (dimension, 5) FEATURE, PLACE in the vector, BLOCK, MARK, OTHER (a second mark, or a second block)
    marks: Words  # (number fields with a mark, 4)
    changes: Words  # (category fields with a mark, 2) MARK_FIELD, MARK_AT: of the code, followed by the time of its change


def plan_features(feed: Feed, base: int) -> FeaturePlan:
    """Lays out the features of a feed from word `base` of an entity's row; only what a chosen feature needs has words.

    Raises:
        DefinitionError: two features would have the same name.
    """
    columns = feature_columns(feed)
    marks, changes, words = _lay_marks(columns)
    blocks, program, tile = _lay_tile(columns, marks, changes)
    order = sorted(range(len(columns)), key=lambda place: columns[place].window % (len(feed.windows) + 1))
    windows = np.zeros((len(feed.windows), 5), np.int64)
    blank: list[Words] = [_blank_marks(marks, changes, words)]
    for index, (length, window) in enumerate(zip(feed.tile_us, feed.window_us, strict=True)):
        rows = [row for row, place in enumerate(order) if columns[place].window == index]
        windows[index] = words, length, window, min(rows, default=0), max(rows, default=-1) + 1
        if len(program):
            blank += [tile] * (1 + feed.tiles)
            words += tile.size * (1 + feed.tiles)
    features = np.array([_feature_row(columns[place], place, blocks, marks, changes) for place in order], np.int64).reshape(-1, 5)
    return FeaturePlan(base, words, len(columns), feed.tiles, np.concatenate(blank), tile, program, windows, features, marks, changes)


_NESTED = (Accumulator.COUNT, Accumulator.MOMENTS, Accumulator.TREND)
_Block = tuple[int, int, int]  # kind (COUNT for all nested ones), field, other field or −1


def _block_of(column: Column, kind: Accumulator) -> _Block:
    return (Accumulator.COUNT if kind in _NESTED else kind, column.field, column.other if kind == Accumulator.PAIR else -1)


def _lay_tile(columns: list[Column], marks: Words, changes: Words) -> tuple[dict[_Block, int], Words, Words]:
    """Word of each block in a tile, the program that fills them, and an empty tile."""
    needed: dict[_Block, Accumulator] = {}
    for column in columns:
        for kind in column.entry.accumulators:
            key = _block_of(column, kind)
            needed[key] = max(kind, needed.get(key, kind))
    blocks, program, at = {}, [], HEADER_WORDS
    for key, kind in needed.items():
        mark = _marks_of(changes if kind == Accumulator.CATEGORY else marks).get(key[1], -1)
        blocks[key] = at
        program.append((kind, at, key[1], key[2], mark))
        at += BLOCK_WORDS[kind]
    tile = np.zeros(at, np.int64)
    tile[0] = NO_TILE
    for key, kind in needed.items():
        if kind == Accumulator.EXTREMES:
            tile.view(np.float64)[blocks[key] : blocks[key] + 2] = np.inf, -np.inf
    return blocks, np.array(program, np.int64).reshape(-1, 5), tile


def _feature_row(column: Column, place: int, blocks: dict[_Block, int], marks: Words, changes: Words) -> tuple[int, int, int, int, int]:
    at = [blocks[_block_of(column, kind)] for kind in column.entry.accumulators]
    of = _marks_of(changes if column.entry.of == "category" else marks)
    mark = of.get(column.field, -1)
    other = of.get(column.other, -1)
    if column.entry.feature in (Feature.RATE, Feature.STUCK):
        kept = MARK_RATE if column.entry.feature == Feature.RATE else MARK_STUCK
        other = int(marks[marks[:, MARK_FIELD] == column.field][0, kept])
    return column.entry.feature, place, at[0] if at else -1, mark, at[1] if len(at) > 1 else other


def _marks_of(marks: Words) -> dict[int, int]:
    return {int(row[MARK_FIELD]): int(row[MARK_AT]) for row in marks}


def _lay_marks(columns: list[Column]) -> tuple[Words, Words, int]:
    """Marks of number fields, of category fields, and the words that they take."""
    marks, changes, at = [], [], 0
    numbers = [column for column in columns if column.entry.marks and column.entry.of != "category"]
    for field in sorted({f for column in numbers for f in (column.field, column.other) if f >= 0}):
        kept = {column.entry.feature for column in numbers if column.field == field}
        row = [field, at, -1, -1]
        at += 2
        for place, feature in ((MARK_RATE, Feature.RATE), (MARK_STUCK, Feature.STUCK)):
            if feature in kept:
                row[place] = at
                at += 1
        marks.append(row)
    for field in sorted({column.field for column in columns if column.entry.of == "category"}):
        changes.append((field, at))
        at += 2
    return np.array(marks, np.int64).reshape(-1, 4), np.array(changes, np.int64).reshape(-1, 2), at


def _blank_marks(marks: Words, changes: Words, words: int) -> Words:
    blank = np.zeros(words, np.float64)
    for _, at, rate, _ in marks:
        blank[at] = np.nan
        if rate >= 0:
            blank[rate] = np.nan
    out = blank.view(np.int64)
    for _, at in changes:
        out[at] = -1
    return out
