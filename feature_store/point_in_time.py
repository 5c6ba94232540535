"""Joins labels to the features that were known at their moment, and to nothing later."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.columns import I64
from contracts.errors import InputError
from feature_store.history_rows import HEAD_NAMES

RENAMED = {"as_of": "vector_time", "offset": "vector_offset", "generation": "vector_generation", "partition": "vector_partition"}
RENAMED |= {"revision": "vector_revision"}
_DROPPED = ("entity", "event_time", "logged")


def point_in_time_join(labels: pd.DataFrame, history: pd.DataFrame, tolerance: pd.Timedelta | str | None = None) -> pd.DataFrame:
    """Each label with the newest vector of its entity that was known *before* the label's event time.

    A row of the history is known to a label at t when its `as_of` < t: at equal times it is not, since which came first
    cannot be told. `as_of` is the entity's newest event time when the row was folded: a reading that came out of order has
    a vector in which a newer reading already stands, so it is known only after that one. Of the known rows the greatest
    (as_of, generation, offset) is taken. Rows without a vector (thinned by ``log_vectors=``) are passed over.

    Args:
        labels: columns `entity` and `event_time` (times without a zone are UTC), and any others.
        history: of `read_history`.
        tolerance: the oldest that a vector may be: t − as_of ≤ tolerance.

    Returns:
        The labels, in their order and with their index, and for each the row found: vector_time, vector_offset,
        vector_generation, vector_partition, vector_revision, score, p_value, model, flags and the features; missing
        values where there is none.

    Raises:
        InputError: a column is missing, stands on both sides, or holds no times.
    """
    found = _known_rows(labels, history, tolerance)
    kept = [name for name in history.columns if name not in _DROPPED]
    taken = history[kept].rename(columns=RENAMED).reset_index(drop=True)
    both = [name for name in taken.columns if name in labels.columns]
    if both:
        raise InputError(f"labels have a column '{both[0]}', which the history has too; rename it")
    taken = taken.reindex(found)
    taken.index = labels.index
    return pd.concat([labels, taken], axis=1)


def _known_rows(labels: pd.DataFrame, history: pd.DataFrame, tolerance: pd.Timedelta | str | None) -> I64:
    """(labels,) row number of the history for each label, −1 where none is known."""
    _need(labels, ("entity", "event_time"), "labels")
    _need(history, HEAD_NAMES, "the history")
    rows = np.flatnonzero(history["logged"].to_numpy(bool))
    moments, known = _microseconds(labels["event_time"], "labels"), _microseconds(history["as_of"], "the history")[rows]
    codes, names = pd.factorize(history["entity"].iloc[rows])
    wanted = pd.Index(names).get_indexer(pd.Index(labels["entity"]))
    # time as its rank: entity and time then fit one integer, whose order is the order of (entity, time)
    times, rank = np.unique(known, return_inverse=True)
    width = len(times) + 1
    generation, offset = history["generation"].to_numpy()[rows], history["offset"].to_numpy()[rows]
    key = codes.astype(np.int64) * width + rank
    order = np.lexsort((offset, generation, key))
    key = key[order]
    before = np.searchsorted(key, wanted * width + np.searchsorted(times, moments, "left"), "left") - 1
    place = np.maximum(before, 0)
    good = (wanted >= 0) & (before >= 0)
    if len(key):
        good &= key[place] // width == wanted
        if tolerance is not None:
            good &= moments - times[key[place] % width] <= pd.Timedelta(tolerance) // pd.Timedelta(1, "us")
        return np.where(good, rows[order[place]], -1)
    return np.full(len(labels), -1, np.int64)


def _need(frame: pd.DataFrame, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in frame.columns:
            raise InputError(f"{what} have no column '{name}'" if what == "labels" else f"{what} has no column '{name}'; use read_history")


def _microseconds(column: pd.Series, what: str) -> NDArray[np.int64]:
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise InputError(f"column 'event_time' of {what} holds no times but {column.dtype}; use pandas.to_datetime(…, utc=True)")
    if column.isna().any():
        raise InputError(f"column 'event_time' of {what} has rows without a time; fill or drop them")
    utc = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
    out: NDArray[np.int64] = _whole_microseconds(utc)
    return out


def _whole_microseconds(column: pd.Series) -> NDArray[np.int64]:
    """Whole µs; nanoseconds are rounded up, so that the row in whose microsecond a label falls is still before it."""
    values = column.to_numpy()
    if values.dtype == np.dtype("M8[ns]"):
        return -(-values.view(np.int64) // 1000)
    return values.astype("M8[us]").view(np.int64)
