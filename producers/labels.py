"""The truth that a plant tells of its readings: labels of some of them, a label delay of event time after each."""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np

from contracts.definition import Classification, Feed
from contracts.event_time import format_event_time
from producers.batch import Batch

EVERY = 10  # readings to a label: a plant measures its target less often than it reads its sensors; with 1, labels are half the load


class Labels:
    """Labels on their way: `take` what was sent, `due` what is to be said by now. `said` counts what was handed out.

    Args:
        feed: its target says what a value looks like, its label delay when a label falls due.
        every: readings to a label, counted over all entities.
    """

    def __init__(self, feed: Feed, every: int = EVERY) -> None:
        self._delay, self._every = feed.label_delay_us, every
        self._classes = feed.target.classes if isinstance(feed.target, Classification) else None
        self._waiting: deque[tuple[int, bytes, bytes]] = deque()  # (due, key, value)
        self._count = 0
        self.said = 0

    def take(self, batch: Batch) -> None:
        """Readings that were sent; those without a truth, repeats and damaged ones, are never labelled."""
        if batch.truth is None:
            return
        for at in np.flatnonzero(~np.isnan(batch.truth)).tolist():
            self._count += 1
            if self._count % self._every == 0:
                key, time = batch.keys[at], format_event_time(int(batch.event_time[at]))  # a number would be read in the feed's own unit
                label = {"entity": key.decode(), "event_time": time, "value": self._value(float(batch.truth[at]))}
                self._waiting.append((int(batch.due[at]) + self._delay, key, msgspec.json.encode(label)))

    def _value(self, truth: float) -> float | str:
        return round(truth, 4) if self._classes is None else self._classes[int(truth)]

    def due(self, until: int) -> tuple[list[bytes], list[bytes]]:
        """Keys and values of the labels due before `until`, µs of event time."""
        keys, values = [], []
        while self._waiting and self._waiting[0][0] < until:
            _, key, value = self._waiting.popleft()
            keys.append(key)
            values.append(value)
        self.said += len(keys)
        return keys, values

    def left(self) -> tuple[list[bytes], list[bytes]]:
        """All that is still on its way."""
        return self.due(2**63 - 1)
