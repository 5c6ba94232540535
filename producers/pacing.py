"""Holds records back until they are due, with event time running at a chosen speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from producers.batch import Batch

TICK_SECONDS = 0.005  # sends smaller than this apart would spend more on calls than on records


def paced(
    batches: Iterable[Batch],
    speed: float,
    origin: int | None = None,
    begin: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Batch]:
    """The same records in the same order, each not before it is due.

    Args:
        batches: records with their due times in µs of event time.
        speed: µs of event time per µs of the clock.
        origin: the due time that comes at `begin`; the first record's when left out. What is due earlier comes at once.
        begin: reading of `clock`, in seconds; the moment of the first call when left out.
        clock, sleep: injected in tests.
    """
    for batch in batches:
        begin = clock() if begin is None else begin
        origin = int(batch.due[0]) if origin is None else origin
        at, count = 0, len(batch.keys)
        while at < count:
            now = origin + int((clock() - begin) * speed * 1e6)
            upto = int(np.searchsorted(batch.due, now, "right"))
            if upto > at:
                yield batch.cut(at, upto)
                at = upto
            else:
                sleep(max((int(batch.due[at]) - now) / speed / 1e6, TICK_SECONDS))
