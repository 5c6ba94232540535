"""Chosen rows of columns, and columns laid end to end; texts are copied by compiled loops."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from contracts.columns import I64, U8, Columns


def take_rows(columns: Columns, rows: I64, first_offset: int) -> Columns:
    """The m rows named, in that order, as consecutive records of one partition from `first_offset` on.

    `rows` holds row numbers, shape (m,).
    """
    names, name_end = _taken_texts(columns.entity, columns.entity_end.reshape(-1, 1), rows)
    texts, text_end = _taken_texts(columns.category_text, columns.category_end, rows)
    return Columns(
        np.arange(first_offset, first_offset + len(rows), dtype=np.int64),
        columns.kafka_time[rows],
        columns.reason[rows],
        columns.reason_field[rows],
        names,
        np.ascontiguousarray(name_end[:, 0]),
        columns.entity_hash[rows],
        columns.event_time[rows],
        columns.number[rows],
        columns.category_hash[rows],
        texts,
        text_end,
        columns.id_hash[rows],
        columns.unknown_fields[rows],
    )


def slice_rows(columns: Columns, first: int, last: int, first_offset: int) -> Columns:
    """The rows first ≤ row < last as consecutive records of one partition from `first_offset` on; nothing is copied."""
    rows = slice(first, last)
    whole = Columns._make(array[rows] for array in columns)
    names, name_end = _sliced_texts(columns.entity, columns.entity_end.reshape(-1, 1), first, last)
    texts, text_end = _sliced_texts(columns.category_text, columns.category_end, first, last)
    return whole._replace(
        offset=np.arange(first_offset, first_offset + last - first, dtype=np.int64),
        entity=names,
        entity_end=name_end[:, 0],
        category_text=texts,
        category_end=text_end,
    )


def join_columns(parts: Sequence[Columns]) -> Columns:
    """One or more columns laid end to end; offsets stay as they are. Of one alone nothing is copied."""
    if len(parts) == 1:
        return parts[0]
    shifted = []
    names = texts = 0
    for part in parts:
        shifted.append(part._replace(entity_end=part.entity_end + names, category_end=part.category_end + texts))
        names, texts = names + len(part.entity), texts + len(part.category_text)
    return Columns(*(np.concatenate(arrays) for arrays in zip(*shifted, strict=True)))


def _sliced_texts(buffer: U8, ends: I64, first: int, last: int) -> tuple[U8, I64]:
    """Buffer and (m, c) ends of the texts of consecutive rows."""
    if not ends.shape[1]:
        return buffer[:0], ends[first:last]
    begin, end = (int(ends[row - 1, -1]) if row else 0 for row in (first, last))
    return buffer[begin:end], ends[first:last] - begin


def _taken_texts(buffer: U8, ends: I64, rows: I64) -> tuple[U8, I64]:
    """Buffer and (m, c) ends of the chosen rows' texts."""
    out_ends = np.zeros((len(rows), ends.shape[1]), np.int64)
    if not ends.shape[1] or not len(rows):
        return np.empty(0, np.uint8), out_ends
    ends = np.ascontiguousarray(ends)
    size = _place_texts(ends, rows, out_ends)
    out = np.empty(size, np.uint8)
    _copy_texts(buffer, ends, rows, out)
    return out, out_ends


@numba.njit(cache=True, nogil=True)
def _place_texts(ends, rows, out_ends):  # type: ignore[no-untyped-def]
    """Where each text will end; returns the bytes of all."""
    at = 0
    for i in range(len(rows)):
        before = ends[rows[i] - 1, -1] if rows[i] else 0
        for column in range(ends.shape[1]):
            at += ends[rows[i], column] - before
            before = ends[rows[i], column]
            out_ends[i, column] = at
    return at


@numba.njit(cache=True, nogil=True)
def _copy_texts(buffer, ends, rows, out):  # type: ignore[no-untyped-def]
    """Copies each row's texts, which stand together."""
    at = 0
    for row in rows:
        for j in range(ends[row - 1, -1] if row else 0, ends[row, -1]):
            out[at] = buffer[j]
            at += 1
