"""History out of CSV and Parquet: the same columns from a data frame that decoding makes of a partition's records."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contracts.columns import U64, Columns
from contracts.definition import Feed, Number
from contracts.errors import InputError
from contracts.outcomes import MAX_CATEGORY_BYTES, MAX_ENTITY_BYTES, Reason
from stream_processors.decoding.frame_texts import MISSING, TOO_LONG, UNREADABLE, TextColumn, constant_column, lay_texts, text_column
from stream_processors.decoding.frame_values import MISSING as NO_TIME
from stream_processors.decoding.frame_values import number_column, time_column


def columns_from_frame(feed: Feed, frame: pd.DataFrame, *, entity: str | None = None, offset0: int = 0) -> Columns:
    """Columns of the frame's n rows, whose offsets are offset0, offset0 + 1, …; there is no Kafka timestamp (-1).

    Each row ends as an event of the same content would, KEY aside, which a row has not. `entity` is the name that all
    rows bear; where it is None, the column `feed.entity` says it. A field that has no column is missing in every row.
    Where pandas loses what JSON keeps, docs/records.md ("History") says what is read instead.

    Raises:
        InputError: no column for the time or the entity, two columns of one name, or an entity name that is empty or
            too long.
    """
    _check_columns(feed, frame, entity)
    n = len(frame)
    refused = _Refused(n)
    names = _entities(feed, frame, entity, refused)
    time = time_column(frame[feed.time], feed.time_unit)
    refused.put(time == NO_TIME, Reason.TIME_MISSING)
    refused.put(time < 0, Reason.TIME_UNREADABLE)
    refused.put(names.code == UNREADABLE, Reason.TYPE)
    identity = None if feed.id is None else text_column(_cells(feed.id, frame), None, booleans=False)
    if identity is not None:
        identity = _without_empty(identity)
        refused.put(identity.code == UNREADABLE, Reason.TYPE)
    number, categories = _fields(feed, frame, refused)
    if identity is not None:
        refused.put(identity.code < 0, Reason.REQUIRED_MISSING)
    _require(feed, number, categories, refused)

    hashes = np.zeros(n, np.uint64) if identity is None else _hash(identity)
    unknown = np.full(n, _unknown_columns(feed, frame))
    good = refused.reason == 0
    if not good.all():
        names = names._replace(code=np.where(good, names.code, MISSING))
        categories = [column._replace(code=np.where(good, column.code, MISSING)) for column in categories]
        for array, blank in ((time, 0), (number, np.nan), (hashes, 0), (unknown, 0)):
            array[~good] = blank
    entity_buffer, entity_end = lay_texts([names], n)
    text, text_end = lay_texts(categories, n)
    return Columns(
        np.arange(offset0, offset0 + n, dtype=np.int64),
        np.full(n, -1, np.int64),
        refused.reason,
        refused.field,
        entity_buffer,
        np.ascontiguousarray(entity_end[:, 0]),
        _hash(names),
        time,
        number,
        np.stack([_hash(column) for column in categories], axis=1) if categories else np.zeros((n, 0), np.uint64),
        text,
        text_end,
        hashes,
        unknown,
    )


class _Refused:
    """Why rows are dead letters; of several reasons the one put first holds, so they are put in the enum's order."""

    def __init__(self, rows: int) -> None:
        self.reason = np.zeros(rows, np.int64)
        self.field = np.full(rows, -1, np.int64)

    def put(self, which: np.typing.NDArray[np.bool_], reason: Reason, field: int = -1) -> None:
        if not which.any():
            return
        new = which & (self.reason == 0)
        self.reason[new] = reason
        self.field[new] = field


def _entities(feed: Feed, frame: pd.DataFrame, constant: str | None, refused: _Refused) -> TextColumn:
    if constant is not None:
        return constant_column(constant, len(frame))
    names = _without_empty(text_column(frame[feed.entity], MAX_ENTITY_BYTES, booleans=False))
    refused.put(names.code == MISSING, Reason.ENTITY_MISSING)
    refused.put(names.code == TOO_LONG, Reason.ENTITY_TOO_LONG)
    return names


def _fields(feed: Feed, frame: pd.DataFrame, refused: _Refused) -> tuple[np.typing.NDArray[np.float64], list[TextColumn]]:
    """(n, k) numbers and the c categories; cells of another type are refused."""
    numbers: list[np.typing.NDArray[np.float64]] = []
    categories: list[TextColumn] = []
    for index, item in enumerate(feed.fields):
        if isinstance(item, Number):
            values, wrong = number_column(_cells(item.name, frame))
            numbers.append(values)
        else:
            categories.append(text_column(_cells(item.name, frame), MAX_CATEGORY_BYTES, booleans=True))
            wrong = categories[-1].code < MISSING
        refused.put(wrong, Reason.TYPE, index)
    return np.stack(numbers, axis=1), categories


def _require(feed: Feed, number: np.typing.NDArray[np.float64], categories: list[TextColumn], refused: _Refused) -> None:
    numbers = texts = 0
    for index, item in enumerate(feed.fields):
        if isinstance(item, Number):
            if item.required:
                refused.put(np.isnan(number[:, numbers]), Reason.REQUIRED_MISSING, index)
            numbers += 1
        else:
            if item.required:
                refused.put(categories[texts].code == MISSING, Reason.REQUIRED_MISSING, index)
            texts += 1


def _cells(name: str, frame: pd.DataFrame) -> pd.Series:
    return frame[name] if name in frame.columns else pd.Series(np.full(len(frame), np.nan))


def _without_empty(column: TextColumn) -> TextColumn:
    """An empty text names nothing: as missing."""
    if b"" not in column.texts:
        return column
    return column._replace(code=np.where(column.code == column.texts.index(b""), MISSING, column.code))


def _hash(column: TextColumn) -> U64:
    """(n,) hash of each row's text, 0 where there is none."""
    return np.append(column.hash, np.uint64(0))[np.maximum(column.code, MISSING)]


def _unknown_columns(feed: Feed, frame: pd.DataFrame) -> int:
    known = _declared(feed)
    return sum(name not in known for name in frame.columns)


def _declared(feed: Feed) -> list[str]:
    return [feed.entity, feed.time, *([feed.id] if feed.id else []), *(item.name for item in feed.fields)]


def _check_columns(feed: Feed, frame: pd.DataFrame, entity: str | None) -> None:
    there = ", ".join(str(name) for name in frame.columns) or "none"
    needed = (("time", feed.time),) if entity is not None else (("time", feed.time), ("entity", feed.entity))
    for what, name in needed:
        if name not in frame.columns:
            raise InputError(f"no {what} column '{name}'; there are {there}: name one of them as {what}= in the definition")
    for name in _declared(feed):
        if list(frame.columns).count(name) > 1:
            raise InputError(f"two columns are named '{name}'; rename one")
    if entity is not None and not 0 < len(entity.encode(errors="replace")) <= MAX_ENTITY_BYTES:
        raise InputError(f"the entity name is empty or longer than {MAX_ENTITY_BYTES} bytes: {entity[:40]!r}; shorten it")
