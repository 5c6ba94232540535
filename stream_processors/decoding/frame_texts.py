"""Text columns of a data frame: entities, ids and categories, each distinct value made to text and hashed once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import pandas as pd

from contracts.columns import I64, U8, U64
from contracts.hashing import hash_bytes

MISSING, UNREADABLE, TOO_LONG = -1, -2, -3  # codes of cells without a text


class TextColumn(NamedTuple):
    """n cells as codes into m distinct texts."""

    code: I64  # (n,) index of the text, or MISSING, UNREADABLE, TOO_LONG
    texts: list[bytes]  # m
    hash: U64  # (m,) hash_bytes


def text_column(cells: pd.Series, limit: int | None, *, booleans: bool) -> TextColumn:
    """The texts of a column: strings, integers by their digits (3.0 too: gaps make pandas turn integers into floats).

    A text of more than `limit` bytes is TOO_LONG; booleans are ``true`` and ``false``, or UNREADABLE.
    """
    place, distinct = _distinct(cells)
    texts: list[bytes] = []
    known: dict[bytes, int] = {}
    code_of = np.full(len(distinct) + 1, MISSING, np.int64)  # the last one is for place -1
    for index, value in enumerate(distinct):
        text = _cell_text(value, booleans)
        if text is None:
            code_of[index] = UNREADABLE
        elif limit is not None and len(text) > limit:
            code_of[index] = TOO_LONG
        else:
            code_of[index] = known.setdefault(text, len(texts))
            if code_of[index] == len(texts):
                texts.append(text)
    return TextColumn(code_of[place], texts, _hashes(texts))


def constant_column(text: str, rows: int) -> TextColumn:
    """The same text in every row."""
    return text_column(pd.Series([text], dtype=object), None, booleans=False)._replace(code=np.zeros(rows, np.int64))


def lay_texts(columns: list[TextColumn], rows: int) -> tuple[U8, I64]:
    """The texts row by row, column by column: (buffer, (n, c) ends). A negative code is an empty text."""
    ends = np.zeros((rows, len(columns)), np.int64)
    if not columns or not rows:
        return np.empty(0, np.uint8), ends
    pool = [text for column in columns for text in column.texts]
    pool_end = np.cumsum([0, *map(len, pool)])
    codes = _joined_codes(columns)
    size = _place_texts(codes, pool_end, ends.reshape(-1))
    buffer = np.empty(size, np.uint8)
    _copy_texts(codes, np.frombuffer(bytearray(b"".join(pool)), np.uint8), pool_end, buffer)
    return buffer, ends


def _joined_codes(columns: list[TextColumn]) -> I64:
    """(n · c,) indices into the texts of all columns laid end to end, row by row; negative where there is no text."""
    if len(columns) == 1:
        return columns[0].code
    codes = np.empty((len(columns[0].code), len(columns)), np.int64)
    first = 0
    for index, column in enumerate(columns):
        codes[:, index] = np.where(column.code >= 0, column.code + first, MISSING)
        first += len(column.texts)
    return codes.reshape(-1)


@numba.njit(cache=True, nogil=True)
def _place_texts(codes: I64, pool_end: I64, ends: I64) -> int:
    """Where each text will end; returns the bytes of all."""
    at = 0
    for i in range(len(codes)):
        if codes[i] >= 0:
            at += pool_end[codes[i] + 1] - pool_end[codes[i]]
        ends[i] = at
    return at


@numba.njit(cache=True, nogil=True)
def _copy_texts(codes: I64, pool: U8, pool_end: I64, buffer: U8) -> None:
    at = 0
    for code in codes:
        if code >= 0:
            for j in range(pool_end[code], pool_end[code + 1]):
                buffer[at] = pool[j]
                at += 1


def _distinct(cells: pd.Series) -> tuple[I64, list[Any]]:
    """(n,) index of each cell's distinct value, -1 where it is missing; the values. True and 1 are two values."""
    if cells.dtype != object or pd.api.types.infer_dtype(cells, skipna=True) == "string":
        place, distinct = pd.factorize(cells)
        return np.asarray(place, np.int64), list(distinct.tolist())
    places: dict[tuple[type, Any], int] = {}
    missing = cells.isna().to_numpy()
    values = [_plain(value) for value in cells]
    place = np.array(
        [-1 if gone else places.setdefault((type(v), v), len(places)) for v, gone in zip(values, missing, strict=True)], np.int64
    )
    return place, [value for _, value in places]


def _plain(value: Any) -> Any:
    """A cell as a plain Python scalar; what is none (a list, say) as None, which has no text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (str, int, float)) else None


def _cell_text(value: Any, booleans: bool) -> bytes | None:
    """UTF-8 of the canonical text; None where the value has none."""
    if isinstance(value, bool):
        return str(value).lower().encode() if booleans else None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if not isinstance(value, (int, str)):
        return None
    try:
        return str(value).encode()
    except ValueError:  # a surrogate, or an integer of more digits than Python writes
        return None


def _hashes(texts: list[bytes]) -> U64:
    return np.array([hash_bytes(np.frombuffer(text, np.uint8), 0, len(text)) for text in texts], np.uint64)
