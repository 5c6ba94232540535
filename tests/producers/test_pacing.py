"""Records are held back until they are due, by an injected clock."""

from __future__ import annotations

import numpy as np

from producers.batch import Batch
from producers.pacing import paced

SECOND = 1_000_000


class Clock:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def batch(*due: float) -> Batch:
    times = np.array([int(d * SECOND) for d in due])
    return Batch([b"k"] * len(due), [str(d).encode() for d in due], times, times)


def arrivals(batches, **settings):
    clock = Clock()
    out = []
    for piece in paced(batches, clock=clock.read, sleep=clock.sleep, **settings):
        out += [(value.decode(), round(clock.now - 100.0, 2)) for value in piece.values]
    return out


def test_event_time_runs_at_the_speed():
    """At speed 10, records 10 s apart come 1 s apart; the first at once."""
    assert arrivals([batch(50, 60), batch(70)], speed=10.0) == [("50", 0.0), ("60", 1.0), ("70", 2.0)]


def test_what_was_due_before_the_origin_comes_at_once():
    """History before the origin is not waited for, and the origin comes at the moment named."""
    assert arrivals([batch(1, 2, 100)], speed=1.0, origin=99 * SECOND, begin=105.0) == [("1", 0.0), ("2", 0.0), ("100", 6.0)]


def test_a_reader_who_is_behind_gets_all_that_is_due():
    """After a pause of the reader, everything due by then comes in one piece."""
    clock = Clock()
    pieces = paced([batch(0, 1, 2, 3, 50)], speed=1.0, clock=clock.read, sleep=clock.sleep)
    assert len(next(pieces).keys) == 1
    clock.now += 10.0
    assert len(next(pieces).keys) == 3
