"""Made-up fleets as columns: one number field, every entity read once a minute, noise of marginal standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.signal import lfilter

from contracts.columns import F64, I64, Columns
from contracts.definition import Feed, Number
from contracts.durations import DAY, MINUTE
from contracts.hashing import hash_text

START = 1_767_225_600_000_000  # a midnight, UTC
NOISES = ("independent", "autoregressive 0.9", "daily season 2σ")
CHUNK_ROWS = 131_072  # some megabytes at a time


def fleet_feed(budget: float) -> Feed:
    """One number field, one short window, one feature; the detectors and the anomaly model are the defaults."""
    field = Number("x", features=["mean"])
    return Feed(
        "fleet", entity="e", time="t", fields=[field], windows=["1h"], lateness="2m", time_features=False, false_alarms_per_week=budget
    )


class Fleet:
    """A fleet's readings, minute by minute.

    Args:
        noise: one of NOISES; the season has amplitude 2 and independent noise around it.
        entities: how many devices, each with noise of its own.
        minutes: how long.
        seed: same seed, same readings.
        shift: (first minute, size) of a lasting shift of the first entity; None without a fault.
    """

    def __init__(self, noise: str, entities: int, minutes: int, seed: int, shift: tuple[int, float] | None = None) -> None:
        self.noise, self.entities, self.minutes, self.shift = noise, entities, minutes, shift
        self.names = [f"e{i:02d}".encode() for i in range(entities)]
        self._rng = np.random.default_rng(seed)
        self._hash = np.array([hash_text(name.decode()) for name in self.names], np.uint64)
        self._state = self._rng.standard_normal((1, entities)) * 0.9  # of the autoregression, as if it had run for ever

    def chunks(self) -> Iterator[tuple[Columns, I64]]:
        """Columns in order of event time, and (n,) the index of each row's entity."""
        steps = max(1, CHUNK_ROWS // self.entities)
        for first in range(0, self.minutes, steps):
            count = min(steps, self.minutes - first)
            yield self._columns(first, self._values(first, count)), np.tile(np.arange(self.entities), count)

    def _values(self, first: int, count: int) -> F64:
        """(count, entities) readings."""
        drawn = self._rng.standard_normal((count, self.entities))
        if self.noise.startswith("auto"):
            drawn, self._state = lfilter([np.sqrt(1.0 - 0.9**2)], [1.0, -0.9], drawn, axis=0, zi=self._state)
        elif self.noise.startswith("daily"):
            drawn = drawn + 2.0 * np.sin(2.0 * np.pi * (first + np.arange(count)) * MINUTE / DAY)[:, None]
        if self.shift is not None:
            drawn[max(self.shift[0] - first, 0) :, 0] += self.shift[1]
        values: F64 = drawn
        return values

    def _columns(self, first: int, values: F64) -> Columns:
        n = values.size
        steps = len(values)
        name = np.frombuffer(b"".join(self.names), np.uint8)
        return Columns(
            np.zeros(n, np.int64),
            np.full(n, -1, np.int64),
            np.zeros(n, np.int64),
            np.full(n, -1, np.int64),
            np.tile(name, steps),
            np.arange(1, n + 1, dtype=np.int64) * (len(name) // self.entities),
            np.tile(self._hash, steps),
            np.repeat(START + (first + np.arange(steps, dtype=np.int64)) * MINUTE, self.entities),
            values.reshape(n, 1),
            np.zeros((n, 0), np.uint64),
            np.empty(0, np.uint8),
            np.zeros((n, 0), np.int64),
            np.zeros(n, np.uint64),
            np.zeros(n, np.int64),
        )
