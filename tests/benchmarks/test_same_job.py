"""What the engines' vectors are compared with."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.job import Events
from benchmarks.peers.window_statistics import add, vector
from benchmarks.same_job import same, wanted


def events(readings: list[tuple[str, int, float]]) -> Events:
    """Of (entity, event time in ms, temperature); the other fields follow it."""
    text = '{"id":"%s","ts":%d,"temperature":%f,"vibration":%f,"pressure":%f}'
    values = [(text % (entity, ts, x, x / 2, -x)).encode() for entity, ts, x in readings]
    return Events([entity.encode() for entity, _, _ in readings], values, [0] * len(readings))


def test_the_window_is_the_fullest_of_the_last_event() -> None:
    """From 50 s before the step that the last event of an entity falls into to that step's end, also for one that came late.

    0 s    10     20     30     40     50     60     70
    ├──────┼──────┼──────┼──────┼──────┼──────┼──────┤
    x                            x              x        entity a: its last is at 65 s, so the window is 10 to 70 s
           x                                    o        entity b: its last is the late one at 12 s: −40 to 20 s
    """
    found = wanted(
        events([("a", 5_000, 1.0), ("a", 41_000, 2.0), ("b", 65_000, 9.0), ("a", 65_000, 4.0), ("b", 12_000, 5.0), ("b", 12_001, 7.0)])
    )
    assert found["a"] == pytest.approx(vector(add(add([], 2.0, 1.0, -2.0), 4.0, 2.0, -4.0)))
    assert found["b"] == pytest.approx(vector(add(add([], 5.0, 2.5, -5.0), 7.0, 3.5, -7.0)))


def test_same_is_up_to_the_last_digits() -> None:
    """A missing entity, another count, another number in the seventh digit: not the same."""
    one = {"a": [2.0, 1.0], "b": [3.0, 1.0]}
    assert same(one, {"b": [3.0, np.nextafter(1.0, 2.0)], "a": [2.0, 1.0]})
    assert not same(one, {"a": [2.0, 1.0]})
    assert not same(one, {"a": [3.0, 1.0], "b": [3.0, 1.0]})
    assert not same(one, {"a": [2.0, 1.000001], "b": [3.0, 1.0]})
