"""The truth that labels tell: a target that follows the signals, and a concept that changes while the signals do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from contracts.errors import InputError
from producers.plan import INCIDENT_OF, Planted
from producers.signals import F64, I64


@dataclass(frozen=True)
class Truth:
    """A numeric target: level + Σ gain × signal + noise. Faults of sensors do not touch it: the machine is what it is.

    Args:
        name: the target's.
        level: in the target's unit, at signals of 0.
        gains: signal -> gain.
        noise: standard deviation of what no signal explains.
        changes_at: event time in µs from which `changed` holds; None: never.
        changed: signal -> gain from then on, around `around`, so that the target's mean stays: those left out keep theirs.
        around: signal -> the value at which the old gain and the changed one agree.
    """

    name: str
    level: float
    gains: Mapping[str, float]
    noise: float = 0.0
    changes_at: int | None = None
    changed: Mapping[str, float] = field(default_factory=dict)
    around: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.changed:
            if name not in self.gains or name not in self.around:
                raise InputError(f"truth '{self.name}': '{name}' changes its gain, so it needs a gain and a value in `around`")

    def of(self, values: Mapping[str, F64], times: I64, chance: np.random.Generator) -> F64:
        """The target at each reading; `values` signal -> (steps, entities) without faults, `times` (steps, entities) µs."""
        out = self.level + self.noise * chance.standard_normal(times.shape)
        for name, gain in self.gains.items():
            out += gain * values[name]
        if self.changes_at is not None:
            after = times >= self.changes_at
            for name, gain in self.changed.items():
                out += np.where(after, (gain - self.gains[name]) * (values[name] - self.around[name]), 0.0)
        return out

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
