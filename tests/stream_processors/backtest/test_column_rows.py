"""Rows taken out of columns and columns laid end to end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contracts.columns import Columns
from contracts.definition import Category, Feed, Number
from stream_processors.backtest.column_rows import join_columns, slice_rows, take_rows
from stream_processors.decoding.frames import columns_from_frame

FEED = Feed("f", entity="e", time="t", fields=[Number("x"), Category("c"), Category("d")])


def frame(rows: int) -> pd.DataFrame:
    """Names and texts of different lengths, some missing."""
    number = np.arange(rows)
    names = [None if i % 7 == 3 else "é" * (i % 4 + 1) for i in number]
    return pd.DataFrame({"e": names, "t": number + 1_767_225_600, "x": number / 3, "c": ["on" * (i % 3) for i in number], "d": "zz"})


def same(a: Columns, b: Columns) -> None:
    """All but offsets."""
    for name, left, right in zip(Columns._fields[1:], a[1:], b[1:], strict=True):
        np.testing.assert_array_equal(left, right, err_msg=name)
        assert left.dtype == right.dtype, name


def test_rows_taken_equal_columns_of_the_same_rows() -> None:
    """Any rows in any order, repeated too, are what decoding those rows alone gives; offsets count from the first."""
    rows = np.array([5, 0, 0, 29, 3, 4, 17])
    taken = take_rows(columns_from_frame(FEED, frame(30)), rows, 100)
    same(taken, columns_from_frame(FEED, frame(30).iloc[rows].reset_index(drop=True)))
    assert taken.offset.tolist() == list(range(100, 107))


def test_no_rows() -> None:
    """Taking nothing gives empty columns of the same shapes."""
    taken = take_rows(columns_from_frame(FEED, frame(5)), np.zeros(0, np.int64), 0)
    assert taken.n == 0
    assert taken.number.shape == (0, 1)
    assert taken.category_end.shape == (0, 2)


def test_joined_columns_equal_columns_of_the_whole() -> None:
    """Pieces laid end to end are the columns of the whole frame."""
    whole = frame(40)
    parts = [columns_from_frame(FEED, whole.iloc[a:b].reset_index(drop=True)) for a, b in ((0, 13), (13, 13), (13, 40))]
    same(join_columns(parts), columns_from_frame(FEED, whole))


def test_a_slice_equals_the_same_rows_taken() -> None:
    """Consecutive rows cut out without a copy are those that taking them gives, at both ends and where there are none."""
    whole = columns_from_frame(FEED, frame(30))
    for first, last in ((0, 30), (0, 7), (11, 30), (5, 5), (30, 30)):
        same(slice_rows(whole, first, last, 100), take_rows(whole, np.arange(first, last), 0))
        assert slice_rows(whole, first, last, 100).offset.tolist() == list(range(100, 100 + last - first))
