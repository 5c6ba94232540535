"""Times and numbers of a data frame's columns, by the rules of events."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from contracts.columns import F64, I64, U8
from contracts.event_time import parse_event_time
from stream_processors.decoding.plan import UNITS
from stream_processors.decoding.time_kernel import epoch_decimal, epoch_integer, iso_time

MISSING, UNREADABLE = -1, -2  # instead of microseconds
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.ASCII | re.IGNORECASE)
_NOT_READ = np.iinfo(np.int64).min


def time_column(cells: pd.Series, unit: str | None) -> I64:
    """(n,) event times in µs, or MISSING, or UNREADABLE. Datetimes without a zone are UTC."""
    types = pd.api.types
    missing = cells.isna().to_numpy()
    out = np.full(len(cells), UNREADABLE, np.int64)
    if types.is_datetime64_any_dtype(cells.dtype):
        moments = cells.dt.tz_convert(None) if isinstance(cells.dtype, pd.DatetimeTZDtype) else cells
        out = _bounded(moments.to_numpy().astype("datetime64[us]").astype(np.int64))
    elif types.is_integer_dtype(cells.dtype):
        values = (
            cells.to_numpy(np.uint64, na_value=0) if types.is_unsigned_integer_dtype(cells.dtype) else cells.to_numpy(np.int64, na_value=0)
        )
        _epoch_integers(values.view(np.int64), UNITS.index(unit), out)  # 2**63 and more turn negative: as unreadable
    elif types.is_float_dtype(cells.dtype):
        _epoch_decimals(cells.to_numpy(np.float64, na_value=np.nan), UNITS.index(unit), out)
    elif not types.is_bool_dtype(cells.dtype):
        out = _time_cells(cells, missing, unit)
    out[missing] = MISSING
    return out


def number_column(cells: pd.Series) -> tuple[F64, NDArray[np.bool_]]:
    """((n,) values, NaN where missing; (n,) whether the cell is no number). Texts are read where they are decimal numbers."""
    types = pd.api.types
    if types.is_numeric_dtype(cells.dtype) and not types.is_bool_dtype(cells.dtype) and not types.is_complex_dtype(cells.dtype):
        values = cells.to_numpy() if cells.dtype == np.float64 else cells.to_numpy(np.float64, na_value=np.nan)
        return values + 0.0, np.zeros(len(cells), np.bool_)
    missing = cells.isna().to_numpy()
    read = [math.nan if gone else _cell_number(value) for value, gone in zip(cells, missing, strict=True)]
    wrong = np.array([value is None for value in read], np.bool_)
    return np.array([math.nan if value is None else value for value in read], np.float64) + 0.0, wrong


def _cell_number(value: Any) -> float | None:
    """The number in a cell, None where it is none. ``nan`` and nothing are missing in a file, whereas JSON has null for that."""
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return math.nan
        return float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return None


def _time_cells(cells: pd.Series, missing: NDArray[np.bool_], unit: str | None) -> I64:
    """Times of a column of texts, or of mixed objects."""
    out = np.full(len(cells), _NOT_READ, np.int64)
    if cells.dtype != object or pd.api.types.infer_dtype(cells, skipna=True) == "string":
        data, start = _text_buffer(cells)
        if len(data):
            _iso_times(data, start, out)
    rows = np.flatnonzero((out == _NOT_READ) & ~missing)
    for row, value in zip(rows, cells.iloc[rows], strict=True):
        time = _cell_time(value, unit)
        out[row] = UNREADABLE if time is None else time
    return out


def _cell_time(value: Any, unit: str | None) -> int | None:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, datetime):
        value = (value.replace(tzinfo=UTC) if value.tzinfo is None else value).isoformat()
    return parse_event_time(value, unit)


def _text_buffer(cells: pd.Series) -> tuple[U8, I64]:
    """The cells' UTF-8 one after another and the n + 1 places where they start; empty where Arrow does not take them."""
    try:
        texts = pa.array(cells, pa.large_string(), from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError):  # a text that is no UTF-8
        return np.empty(0, np.uint8), np.empty(0, np.int64)
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    _, start, data = texts.buffers()
    if data is None or not len(texts):
        return np.empty(0, np.uint8), np.empty(0, np.int64)
    return np.frombuffer(data, np.uint8), np.frombuffer(start, np.int64)[texts.offset : texts.offset + len(texts) + 1]


def _bounded(microseconds: I64) -> I64:
    out = np.full(len(microseconds), UNREADABLE, np.int64)
    _epoch_integers(microseconds, UNITS.index("us"), out)
    return out


@numba.njit(cache=True, nogil=True)
def _iso_times(data: U8, start: I64, out: I64) -> None:
    for row in range(len(out)):
        time = iso_time(data, start[row], start[row + 1])
        if time >= 0:
            out[row] = time


@numba.njit(cache=True, nogil=True)
def _epoch_integers(values: I64, unit: int, out: I64) -> None:
    for row in range(len(values)):
        time = epoch_integer(values[row] < 0, np.uint64(values[row]), unit)
        out[row] = time if time >= 0 else UNREADABLE


@numba.njit(cache=True, nogil=True)
def _epoch_decimals(values: F64, unit: int, out: I64) -> None:
    for row in range(len(values)):
        time = epoch_decimal(values[row], unit)
        out[row] = time if time >= 0 else UNREADABLE
