"""A replay sends the rows of all files by event time, as JSON that the worker's decoder takes."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import producers.merge as merge
from contracts.definition import Category, Feed, Number
from contracts.errors import InputError
from contracts.ids import parse_id
from contracts.records import Evidence
from producers.csv_file import RawChunk
from producers.files import Columns, Source
from producers.replay import Replay, planned_stop

FEED = Feed("f", entity="pump", time="ts", fields=[Number("x"), Category("mode")])
START = 1_767_225_600


class ListedFile:
    """Rows of a test in place of a file on disk, in chunks of two."""

    def __init__(self, seconds: list[int]) -> None:
        self.seconds = seconds
        self.header = ["ts", "x"]

    def chunks(self, columns, rows=2):
        for first in range(0, len(self.seconds), 2):
            piece = np.arange(first, min(first + 2, len(self.seconds)))
            texts = {"ts": [str(START + self.seconds[i]) for i in piece], "x": [str(i) for i in piece]}
            yield RawChunk(piece + 2, [texts[name] for name in columns])


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=9), min_size=1, max_size=4))
def test_the_merge_is_a_stable_sort_of_all_rows(files):
    """Over any files, sorted or not and cut into chunks of two, the order is that of (event time, file, row)."""
    listed = {f"{i}": ListedFile(seconds) for i, seconds in enumerate(files)}

    class Listed(Source):
        def open(self):
            return listed[self.name]

    sources = [Listed(None, name) for name in listed]
    columns = [Columns("ts", None, None, ["x"], [])] * len(files)
    profiles = [merge.profile(s, c, None) for s, c in zip(sources, columns, strict=True)]
    out = []
    for piece in merge.merged_rows(sources, columns, profiles, None):
        flat = [(int(t), rows.source, int(x)) for rows in piece for t, x in zip(rows.event_time, rows.numbers[:, 0], strict=True)]
        out += [flat[i] for i in merge.order_of(piece)]
    assert out == sorted(((START + t) * 1_000_000, i, row) for i, seconds in enumerate(files) for row, t in enumerate(seconds))
    assert [p.rows for p in profiles] == [len(seconds) for seconds in files]
    assert [p.is_sorted for p in profiles] == [seconds == sorted(seconds) for seconds in files]


def test_rows_become_json_with_the_declared_fields(tmp_path):
    """Time as ISO 8601, entity, declared fields with null where missing; other columns are dropped; the key is the entity."""
    path = tmp_path / "é.csv"
    path.write_text('ts,x,mode,extra\n2026-01-01 00:00:00,1.25,"say ""hi""",9\n2026-01-01 00:00:01.5,,,9\n2026-01-01 00:00:02,inf,run,9\n')
    replay = Replay(FEED, [path])
    (batch,) = replay.batches()
    assert batch.keys == ["é".encode()] * 3
    first, second, third = (json.loads(value) for value in batch.values)
    assert first == {"ts": "2026-01-01T00:00:00.000000Z", "pump": "é", "x": 1.25, "mode": 'say "hi"'}
    assert second == {"ts": "2026-01-01T00:00:01.500000Z", "pump": "é", "x": None, "mode": None}
    assert third["x"] == float("inf")
    assert b"1e999" in batch.values[2]
    assert (replay.rows, replay.files, replay.first, replay.last) == (3, 1, START * 1_000_000, (START + 2) * 1_000_000)
    assert replay.absent_fields == []


def test_a_declared_field_without_a_column_is_told(tmp_path):
    """The field is sent as missing, and its name is there to be said."""
    (tmp_path / "a.csv").write_text("ts,x\n2026-01-01,1\n")
    replay = Replay(FEED, [tmp_path])
    assert replay.absent_fields == ["mode"]
    assert json.loads(next(replay.batches()).values[0])["mode"] is None


def test_files_without_rows_are_no_obstacle_but_none_at_all_is(tmp_path):
    """An empty file among others is passed over; only empty ones are refused."""
    (tmp_path / "a.csv").write_text("ts,x\n")
    with pytest.raises(InputError, match="no rows"):
        Replay(FEED, [tmp_path])
    (tmp_path / "b.csv").write_text("ts,x\n2026-01-01,1\n")
    assert Replay(FEED, [tmp_path]).rows == 1


def test_a_bad_time_is_found_before_anything_is_sent(tmp_path):
    """All times are read first, so the error comes before the first event."""
    (tmp_path / "a.csv").write_text("ts,x\n2026-01-01,1\nnever,1\n")
    with pytest.raises(InputError, match=r"a\.csv:3: column 'ts'"):
        Replay(FEED, [tmp_path])


def test_a_planned_stop_is_evidence():
    """It is read back as Evidence of kind planned_stop, of no partition, with an id that parses and is the stop's own."""
    stop = msgspec.json.decode(planned_stop(FEED, 123, 456, "replay"), type=Evidence)
    assert (stop.kind, stop.partition, stop.event_time, stop.detail) == ("planned_stop", -1, 123, "replay")
    assert parse_id(stop.id) == ("f", 0, "replay", 456, "planned_stop", 0)
