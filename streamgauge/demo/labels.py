"""The truth that the demo's plant tells: of every fifth reading, some minutes of event time after it."""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np

from contracts.durations import MINUTE
from producers.batch import Batch

DELAY = 10 * MINUTE  # of event time, after the reading
EVERY = 5  # readings to a label: a plant measures its target less often than it reads its sensors


class Labels:
    """Labels on their way: `take` what was sent, `due` what is to be said by now."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, bytes, bytes]] = deque()  # (due, key, value)
        self._count = 0

    def take(self, batch: Batch) -> None:
        """Readings that were sent; those without a truth, repeats and damaged ones, are never labelled."""
        if batch.truth is None:
            return
        for at in np.flatnonzero(~np.isnan(batch.truth)).tolist():
            self._count += 1
            if self._count % EVERY == 0:
                key, time = batch.keys[at], int(batch.event_time[at])
                label = {"entity": key.decode(), "event_time": time, "value": round(float(batch.truth[at]), 4)}
                self._waiting.append((int(batch.due[at]) + DELAY, key, msgspec.json.encode(label)))

    def due(self, until: int) -> tuple[list[bytes], list[bytes]]:
        """Keys and values of the labels due before `until`, µs of event time."""
        keys, values = [], []
        while self._waiting and self._waiting[0][0] < until:
            _, key, value = self._waiting.popleft()
            keys.append(key)
            values.append(value)
        return keys, values

    def left(self) -> tuple[list[bytes], list[bytes]]:
        """All that is still on its way."""
        return self.due(2**63 - 1)
