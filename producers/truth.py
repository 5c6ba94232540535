"""The truth that labels tell: a target that follows the signals, and a concept that changes while the signals do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from contracts.errors import InputError
from producers.plan import INCIDENT_OF, Planted
from producers.signals import F64, I64


@dataclass(frozen=True)
class Truth:
    """A target: level + Σ gain × signal + noise, or the class that this falls into.

    Faults of sensors do not touch it: the machine is what it is.

    Args:
        name: the target's.
        level: in the target's unit, at signals of 0.
        gains: signal -> gain.
        noise: standard deviation of what no signal explains.
        changes_at: event time in µs from which `changed` holds; None: never.
        changed: signal -> gain from then on, around `around`, so that the target's mean stays: those left out keep theirs.
        around: signal -> the value at which the old gain and the changed one agree.
        cuts: where one class ends and the next begins, ascending; none: the target is a number.
    """

    name: str
    level: float
    gains: Mapping[str, float]
    noise: float = 0.0
    changes_at: int | None = None
    changed: Mapping[str, float] = field(default_factory=dict)
    around: Mapping[str, float] = field(default_factory=dict)
    cuts: Sequence[float] = ()

    def __post_init__(self) -> None:
        for name in self.changed:
            if name not in self.gains or name not in self.around:
                raise InputError(f"truth '{self.name}': '{name}' changes its gain, so it needs a gain and a value in `around`")

    def of(self, values: Mapping[str, F64], times: I64, chance: np.random.Generator) -> F64:
        """The target at each reading, a class by its number from 0; `values` signal -> (steps, entities) without faults, `times` in µs."""
        out = self.level + self.noise * chance.standard_normal(times.shape)
        for name, gain in self.gains.items():
            out += gain * values[name]
        if self.changes_at is not None:
            after = times >= self.changes_at
            for name, gain in self.changed.items():
                out += np.where(after, (gain - self.gains[name]) * (values[name] - self.around[name]), 0.0)
        return np.searchsorted(self.cuts, out, "right").astype(np.float64) if self.cuts else out

    def planted(self, end: int) -> list[Planted]:
        """The change's line in the plan of a simulation up to `end`."""
        if self.changes_at is None:
            return []
        kind = "concept"
        return [
            Planted(
                kind=kind,
                entity=None,
                field=None,
                size_sigma=None,
                start=self.changes_at,
                end=end,
                incident=INCIDENT_OF[kind],
                judged_by="incident",
            )
        ]
