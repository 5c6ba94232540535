"""Columns of data frames against the decoding of the same rows as JSON."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contracts.definition import Category, Feed, Number
from contracts.errors import InputError
from contracts.event_time import parse_event_time
from contracts.outcomes import Reason
from stream_processors.decoding.decoder import Decoder
from stream_processors.decoding.frames import columns_from_frame
from tests.stream_processors.decoding.samples import FEED, FULL, assert_same, many


def from_json(feed: Feed, rows: list[dict[str, Any]]) -> Any:
    """The columns of the rows as events, each under the key that its entity asks for."""

    def key(name: Any) -> bytes:
        return str(name).encode("utf-8", "replace")

    return Decoder(feed).decode(many([(key(row.get(feed.entity)), json.dumps(row).encode()) for row in rows]))


def test_a_frame_is_its_events() -> None:
    """Rows of every kind of fault end as the same rows do that come as events, bit for bit."""
    rng = random.Random(10)
    choices: dict[str, list[Any]] = {
        "line": ["L1", "L1", "L2", "größe", 7, "", None, "x" * 129, True, 1.5],
        "at": [1767225600000, 1767225600000.25, "2026-01-01T00:00:00Z", "2026-01-01", None, "soon", -1, True, "5", 2**63, 10**30],
        "reading": ["r1", 17, "", None, True],
        "recipe": ["a", "b", True, 3, None, "x" * 65],
        "speed": [1, 1.5, -0.0, 1e300, None, True, 10**400, 1e-320],
        "shift": ["früh", None, False, ""],
        "load": [0, 2.5, None],
    }
    rows = []
    for _ in range(3_000):
        bad = rng.random()
        rows.append({name: values[0] if rng.random() > bad * 0.5 else rng.choice(values) for name, values in choices.items()})
    frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in choices})
    columns = columns_from_frame(FULL, frame)
    assert_same(columns, from_json(FULL, rows))
    assert set(columns.reason.tolist()) >= {0, 8, 9, 10, 11, 12, 13}


def test_typed_columns() -> None:
    """Columns that pandas has typed (floats, integers, strings, categories, nullable types) give what their JSON gives."""
    n = 500
    rng = np.random.default_rng(11)
    frame = pd.DataFrame(
        {
            "pump": pd.Series([f"p{i % 9}" for i in range(n)], dtype="category"),
            "ts": np.arange(n) + 1767225600000,
            "temperature": rng.normal(size=n),
            "mode": pd.Series(rng.integers(0, 4, n)).astype("Int64").where(rng.random(n) > 0.2),
            "vibration": pd.Series(rng.integers(-5, 5, n), dtype="Int64").where(rng.random(n) > 0.2),
            "more": 1,
        }
    )
    rows = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in frame.astype(object).to_dict("records")]
    assert_same(columns_from_frame(FEED, frame), from_json(FEED, rows))


def test_csv() -> None:
    """A CSV as pandas reads it: integers with gaps are categories 1 and 2, texts in a numeric column are `type`."""
    rows = ["pump,ts,temperature,mode,vibration", "A,2026-01-01 00:00:00,1.5,1,", "A,2026-01-01 00:00:01,oops,2,3", "B,,2,,1"]
    text = "\n".join([*rows, "B,2026-01-01T00:00:02.5+01:00, 7 ,2,4"])
    columns = columns_from_frame(FEED, pd.read_csv(StringIO(text)), offset0=40)
    assert columns.offset.tolist() == [40, 41, 42, 43]
    assert columns.reason.tolist() == [0, Reason.TYPE, Reason.TIME_MISSING, 0]
    assert columns.reason_field.tolist() == [-1, 0, -1, -1]
    assert np.array_equal(columns.number[[0, 3]], [[1.5, math.nan], [7, 4]], equal_nan=True)
    assert columns.category_text.tobytes() == b"12"
    assert columns.event_time.tolist() == [1767225600000000, 0, 0, 1767222002500000]
    assert set(columns.kafka_time.tolist()) == {-1}


@pytest.mark.parametrize(
    "cells",
    [
        pd.to_datetime(["2026-01-01 00:00:00.123456789", None, "1960-01-01"], format="mixed"),
        pd.to_datetime(["2026-01-01T00:00:00.5+05:00", None, "2026-07-01T00:00:00+05:00"], format="mixed"),
        pd.Series(["2026-01-01", None, "2026-01-01T00:00:00.1234567Z"]),
        pd.Series([datetime(2026, 1, 1), None, datetime(2026, 1, 1, tzinfo=UTC)], dtype=object),
        pd.Series([1767225600, np.nan, 1e19]),
        pd.Series([1767225600, 0, 2**64 - 1], dtype=np.uint64),
        pd.Series([1767225600, 0, -1]),
        pd.Series([True, False, True]),
        pd.Series(["\ud800", None, "2026-01-01T00:00:00"], dtype=object),
    ],
    ids=["datetime", "zoned", "text", "objects", "float", "unsigned", "integer", "bool", "surrogate"],
)
def test_times(cells: Any) -> None:
    """Each kind of time column means what contracts/event_time.py makes of its cells."""
    frame = pd.DataFrame({"ts": cells, "temperature": 1.0})
    columns = columns_from_frame(FEED, frame, entity="all")
    for row, cell in enumerate(cells):
        if pd.isna(cell):
            assert columns.reason[row] == Reason.TIME_MISSING
            continue
        if isinstance(cell, datetime):
            cell = (cell if cell.tzinfo else cell.replace(tzinfo=UTC)).isoformat()
        expected = parse_event_time(cell.item() if isinstance(cell, np.generic) else cell)
        assert columns.reason[row] == (0 if expected is not None else Reason.TIME_UNREADABLE)
        assert columns.event_time[row] == (expected or 0)


def test_cells_of_numbers() -> None:
    """Texts of decimal numbers are numbers, other texts and booleans are not; nan and nothing are missing."""
    cells = ["1.5", " 2 ", ".5", "1e3", "nan", "", None, "1_0", "0x1", "inf", "-Infinity", True, "eins", math.nan, 3]
    frame = pd.DataFrame({"ts": 0, "temperature": pd.Series(cells, dtype=object)})
    columns = columns_from_frame(FEED, frame, entity="all")
    wrong = [index for index, reason in enumerate(columns.reason) if reason]
    assert [cells[index] for index in wrong] == ["1_0", "0x1", True, "eins"]
    read = [1.5, 2, 0.5, 1000, math.nan, math.nan, math.nan, math.nan, math.nan, math.inf, -math.inf, math.nan, math.nan, math.nan, 3]
    assert np.array_equal(columns.number[:, 0], read, equal_nan=True)
    flags = pd.DataFrame({"ts": 0, "temperature": [True, False]})
    assert columns_from_frame(FEED, flags, entity="all").reason.tolist() == [Reason.TYPE] * 2


def test_one_entity_and_missing_columns() -> None:
    """A constant entity is in every row; a field without a column is missing; its own column is not unknown."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x", required=True), Number("y"), Category("c")])
    columns = columns_from_frame(feed, pd.DataFrame({"t": [1, 2], "y": [1.0, 2.0], "e": ["a", "b"], "other": 0}), entity="städte")
    assert columns.reason.tolist() == [Reason.REQUIRED_MISSING] * 2
    assert columns.reason_field.tolist() == [0, 0]
    columns = columns_from_frame(feed, pd.DataFrame({"t": [1, 2], "x": [1.0, 2.0], "e": ["a", "b"], "other": 0}), entity="städte")
    assert columns.entity.tobytes().decode() == "städte" * 2
    assert columns.unknown_fields.tolist() == [1, 1]


def test_wrong_frames_are_refused() -> None:
    """A frame without the time or the entity, with a column twice, or a wrong entity name is an error that names it."""
    good = pd.DataFrame({"pump": ["a"], "ts": [1], "temperature": [1.0]})
    with pytest.raises(InputError, match="no time column 'ts'; there are pump, temperature"):
        columns_from_frame(FEED, good.drop(columns="ts"))
    with pytest.raises(InputError, match="no entity column 'pump'"):
        columns_from_frame(FEED, good.drop(columns="pump"))
    with pytest.raises(InputError, match="two columns are named 'ts'"):
        columns_from_frame(FEED, pd.concat([good, good[["ts"]]], axis=1))
    with pytest.raises(InputError, match="entity name is empty"):
        columns_from_frame(FEED, good, entity="")


def test_empty_frame() -> None:
    """No rows, no rows."""
    assert columns_from_frame(FEED, pd.DataFrame({"pump": [], "ts": [], "temperature": []})).n == 0


def test_parts_of_a_frame() -> None:
    """A frame in two parts gives the rows of the whole, also where the parts are slices of another frame."""
    frame = pd.DataFrame({"pump": ["a", "b", "c", "a"], "ts": [f"2026-01-01T00:00:0{i}" for i in range(4)], "temperature": [1.0, 2, 3, 4]})
    whole = columns_from_frame(FEED, frame)
    parts = [columns_from_frame(FEED, frame[:1]), columns_from_frame(FEED, frame[1:], offset0=1)]
    for name in ("offset", "event_time", "number", "entity", "entity_hash"):
        assert getattr(whole, name).tobytes() == b"".join(getattr(part, name).tobytes() for part in parts)
