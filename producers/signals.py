"""What sensors read: level, seasons, autoregressive noise, dependence between fields, machine modes, counters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.durations import parse_duration
from contracts.elementary import sin_turn
from contracts.errors import InputError
from producers.seeds import part_generator

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Season:
    """A sine over event time: `amplitude` in the field's unit, `phase` as a fraction of the period."""

    period: str
    amplitude: float
    phase: float = 0.0


@dataclass(frozen=True)
class Noise:
    """Gaussian AR(1) noise of standard deviation `std`; `phi` is the correlation of a reading with the one before."""

    std: float
    phi: float = 0.0


@dataclass(frozen=True)
class Dependence:
    """Adds gain × (another signal − that signal's level)."""

    on: str
    gain: float


@dataclass(frozen=True)
class Signal:
    """A numeric field. One whose name is no field of the feed is not sent; others depend on it to share its noise.

    Args:
        name: the field.
        level: the mean, in the field's unit; each entity's own differs from it by a normal draw of std `spread`.
        noise: the signal's own noise.
        seasons, depends: what is added.
        modes: mode -> what is added while the machine is in it.
        resolution: readings are whole multiples of this.
    """

    name: str
    level: float
    noise: Noise
    spread: float = 0.0
    seasons: Sequence[Season] = ()
    depends: Sequence[Dependence] = ()
    modes: Mapping[str, float] = field(default_factory=dict)
    resolution: float = 0.01


@dataclass(frozen=True)
class Counter:
    """A numeric field that grows by about `per_reading` at each reading and starts again from 0 above `wraps_at`."""

    name: str
    per_reading: float
    wraps_at: float = 1e9
    resolution: float = 1.0


@dataclass(frozen=True)
class Modes:
    """A category field: a Markov chain that stays `mean_stay` in a mode, then moves to any of the others."""

    name: str
    names: Sequence[str]
    mean_stay: str = "6h"


class SignalSource:
    """The values of all signals of n entities, block by block; every block continues where the one before ended.

    Raises:
        InputError: a signal depends on one that there is not, or on itself in a circle.
    """

    def __init__(self, signals: Sequence[Signal | Counter], modes: Sequence[Modes], entities: int, cadence_us: int, seed: int) -> None:
        self._signals = _in_order_of_dependence(signals)
        self._modes = tuple(modes)
        self._n = entities
        self._cadence = cadence_us
        self._generators = {part.name: part_generator(seed, f"signal/{part.name}") for part in (*signals, *modes)}
        levels = {s.name: part_generator(seed, f"level/{s.name}").standard_normal(entities) for s in self._signals}
        self.level: dict[str, F64] = {s.name: s.level + s.spread * levels[s.name] for s in self._signals if isinstance(s, Signal)}
        self.noise_std = _noise_stds(self._signals)
        self._last: dict[str, F64] = {}
        self._mode: dict[str, I64] = {}

    def values(self, times: I64) -> tuple[dict[str, F64], dict[str, I64]]:
        """Numbers by field and codes of modes by category field, each of the shape (steps, entities) of `times` (µs)."""
        codes = {modes.name: self._mode_codes(modes, len(times)) for modes in self._modes}
        out: dict[str, F64] = {}
        for signal in self._signals:
            out[signal.name] = self._count(signal, len(times)) if isinstance(signal, Counter) else self._signal(signal, times, out, codes)
        return out, codes

    def _signal(self, signal: Signal, times: I64, done: dict[str, F64], codes: dict[str, I64]) -> F64:
        white = self._generators[signal.name].standard_normal(times.shape)
        before = self._last.get(signal.name)
        noise = _autoregress(white, np.zeros(self._n) if before is None else before, signal.noise.phi, before is None)
        self._last[signal.name] = noise[-1].copy()
        out = self.level[signal.name] + signal.noise.std * noise
        for season in signal.seasons:
            _add_season(out, times, parse_duration(season.period, "season"), season.amplitude, season.phase)
        for dependence in signal.depends:
            out += dependence.gain * (done[dependence.on] - self.level[dependence.on])
        if signal.modes:
            for modes in self._modes:
                out += np.array([signal.modes.get(name, 0.0) for name in modes.names])[codes[modes.name]]
        return out

    def _count(self, counter: Counter, steps: int) -> F64:
        generator = self._generators[counter.name]
        if counter.name not in self._last:
            self._last[counter.name] = np.floor(generator.random(self._n) * 1000.0 * counter.per_reading)
        grown = counter.per_reading * (0.5 + generator.random((steps, self._n)))
        total = _running_sum(grown, self._last[counter.name], counter.wraps_at)
        self._last[counter.name] = total[-1].copy()
        return total

    def _mode_codes(self, modes: Modes, steps: int) -> I64:
        generator = self._generators[modes.name]
        if modes.name not in self._mode:
            self._mode[modes.name] = generator.integers(0, len(modes.names), self._n)
        draws = generator.random((steps, self._n, 2))
        leave = min(self._cadence / parse_duration(modes.mean_stay, "mean_stay"), 1.0)
        codes = _markov(draws, self._mode[modes.name], leave, len(modes.names))
        self._mode[modes.name] = codes[-1].copy()
        return codes


def _in_order_of_dependence(signals: Sequence[Signal | Counter]) -> list[Signal | Counter]:
    waiting = list(signals)
    done: list[Signal | Counter] = []
    while waiting:
        ready = [s for s in waiting if isinstance(s, Counter) or all(d.on in {r.name for r in done} for d in s.depends)]
        if not ready:
            raise InputError(
                f"signal '{waiting[0].name}' depends on a signal that is not there, or on itself in a circle; see its Dependence"
            )
        done += ready
        waiting = [s for s in waiting if s not in ready]
    return done


def _noise_stds(signals: Sequence[Signal | Counter]) -> dict[str, float]:
    """Standard deviation of all noise in a field, its own and what it takes over from others, their sources independent."""
    shares: dict[str, dict[str, float]] = {}
    for signal in signals:
        if isinstance(signal, Signal):
            own = {signal.name: signal.noise.std}
            for dependence in signal.depends:
                for source, std in shares[dependence.on].items():
                    own[source] = own.get(source, 0.0) + dependence.gain * std
            shares[signal.name] = own
    return {name: math.sqrt(sum(s * s for s in sources.values())) for name, sources in shares.items()}


@numba.njit(cache=True, nogil=True)
def _autoregress(white: F64, before: F64, phi: float, first: bool) -> F64:
    """AR(1) of unit variance: x = φ·x₋₁ + √(1 − φ²)·white, begun in its stationary state."""
    steps, n = white.shape
    out = np.empty((steps, n))
    scale = np.sqrt(1.0 - phi * phi)
    for i in range(steps):
        for j in range(n):
            if i == 0 and first:
                out[i, j] = white[i, j]
            else:
                out[i, j] = phi * (before[j] if i == 0 else out[i - 1, j]) + scale * white[i, j]
    return out


@numba.njit(cache=True, nogil=True)
def _add_season(out: F64, times: I64, period: int, amplitude: float, phase: float) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            turn = (times[i, j] % period) / period + phase
            out[i, j] += amplitude * sin_turn(turn - np.floor(turn))


@numba.njit(cache=True, nogil=True)
def _running_sum(grown: F64, before: F64, wraps_at: float) -> F64:
    steps, n = grown.shape
    out = np.empty((steps, n))
    for i in range(steps):
        for j in range(n):
            total = (before[j] if i == 0 else out[i - 1, j]) + grown[i, j]
            out[i, j] = total if total <= wraps_at else 0.0
    return out


@numba.njit(cache=True, nogil=True)
def _markov(draws: F64, before: I64, leave: float, count: int) -> I64:
    steps, n, _ = draws.shape
    out = np.empty((steps, n), np.int64)
    for i in range(steps):
        for j in range(n):
            now = before[j] if i == 0 else out[i - 1, j]
            if count > 1 and draws[i, j, 0] < leave:
                now = (now + 1 + int(draws[i, j, 1] * (count - 1))) % count
            out[i, j] = now
    return out
