"""The corpus that every engine gets."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.job import CHUNK_ROWS, ENTITIES, LATE_SECONDS, PARTITIONS, START_MS, joined, make_events


def test_the_same_seed_gives_the_same_events() -> None:
    """Also when more are made, up to those that a delay carries beyond the end of the shorter corpus."""
    assert joined(make_events(5_000)) == joined(make_events(5_000))
    assert joined(make_events(5_000, seed=2)) != joined(make_events(5_000))


def test_chunks_are_cut_out_of_one_corpus() -> None:
    """No event is lost or repeated at a cut."""
    chunks = list(make_events(CHUNK_ROWS + 10))
    assert [len(chunk.values) for chunk in chunks] == [CHUNK_ROWS, 10]
    assert len(set(joined(iter(chunks)).values)) == CHUNK_ROWS + 10


def test_events_are_as_stated() -> None:
    """Some 105 bytes, 1,000 entities once a second each, one partition an entity, three numbers near their means."""
    events = joined(make_events(50_000))
    rows = [json.loads(value) for value in events.values]
    assert 103 <= np.mean([len(value) for value in events.values]) <= 107
    assert len(set(events.keys)) == ENTITIES
    assert len(set(zip(events.keys, events.partitions, strict=True))) == ENTITIES
    assert set(events.partitions) == set(range(PARTITIONS))
    assert [row["id"].encode() for row in rows] == events.keys
    stamps = np.sort([row["ts"] for row in rows if row["id"] == "device-00007"])
    assert stamps[0] == START_MS + 7 and set(np.diff(stamps)) == {1000}
    numbers = np.array([[row["temperature"], row["vibration"], row["pressure"]] for row in rows])
    assert np.allclose(numbers.mean(axis=0), [60, 2, 4], rtol=0.01)
    assert np.allclose(numbers.std(axis=0), [1, 0.1, 0.05], rtol=0.05)


def test_two_records_in_a_hundred_come_late_and_within_the_grace() -> None:
    """Later than a newer reading of their own entity, by at most ten readings."""
    events = joined(make_events(200_000))
    newest: dict[bytes, int] = {}
    late = []
    for key, value in zip(events.keys, events.values, strict=True):
        stamp = json.loads(value)["ts"]
        if stamp < newest.get(key, 0):
            late.append(newest[key] - stamp)
        newest[key] = max(stamp, newest.get(key, 0))
    # those delayed by less than a second are overtaken by no reading of their own: a tenth
    assert 0.016 <= len(late) / len(events.values) <= 0.02
    assert max(late) <= LATE_SECONDS * 1000
