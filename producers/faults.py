"""Faults of sensors and drift of what they measure: changes to the values of one field. docs/simulator.md lists them.

A fault acts on its field's readings after all signals are made, so a field that depends on it does not follow.
Sizes are in standard deviations of the field's noise, negative ones downward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.durations import parse_duration
from contracts.errors import InputError
from producers.plan import INCIDENT_OF, Planted
from producers.signals import F64, I64


class Block(NamedTuple):
    """Consecutive readings of the entities that a fault touches; m steps, c entities."""

    values: F64  # (m, c) of the fault's field, changed in place
    times: I64  # (m, c) µs
    step: int  # number of the first step since the simulation's start
    previous: F64  # (c,) the values before the first step, faults included; NaN at the start
    sigma: float  # standard deviation of the field's noise
    others: dict[str, F64]  # field -> (m, c) deviation from its level, without faults
    generator: np.random.Generator  # the fault's own


class Fault(Protocol):
    """What the simulator needs of a fault."""

    @property
    def kind(self) -> str:
        """The name in plans and in docs/simulator.md."""
        ...

    @property
    def field(self) -> str:
        """The numeric field that is changed."""
        ...

    @property
    def entity(self) -> str | None:
        """The entity; None for all."""
        ...

    @property
    def start(self) -> int:
        """Event time in µs from which values are changed."""
        ...

    def planted(self, sigmas: dict[str, float]) -> Planted:
        """The fault's line in the plan, given the standard deviations of all fields' noise."""
        ...

    def apply(self, block: Block) -> None:
        """Change the block's values."""
        ...


@dataclass(frozen=True)
class _OneField:
    field: str
    entity: str | None
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise InputError(f"fault on '{self.field}': it ends before it starts; give it an end after its start")

    def _planted(self, kind: str, size: float | None) -> Planted:
        return Planted(
            kind=kind,
            entity=self.entity,
            field=self.field,
            size_sigma=size,
            start=self.start,
            end=self.end,
            incident=INCIDENT_OF[kind],
            judged_by="incident",
        )

    def _during(self, block: Block) -> NDArray[np.bool_]:
        return (block.times >= self.start) & (block.times < self.end)


@dataclass(frozen=True)
class Stuck(_OneField):
    """The sensor repeats its last reading from before the start."""

    kind = "stuck"

    def planted(self, sigmas: dict[str, float]) -> Planted:
        """Its line in the plan."""
        return self._planted(self.kind, None)

    def apply(self, block: Block) -> None:
        """Hold the values."""
        during = self._during(block)
        before = block.previous
        for row, stuck in zip(block.values, during, strict=True):
            hold = stuck & ~np.isnan(before)
            row[hold] = before[hold]
            before = row


@dataclass(frozen=True)
class SpikeBurst(_OneField):
    """Every n-th reading is off by `size` σ."""

    size: float = 8.0
    every: int = 2
    kind = "spike"

    def planted(self, sigmas: dict[str, float]) -> Planted:
        """Its line in the plan."""
        return self._planted(self.kind, self.size)

    def apply(self, block: Block) -> None:
        """Add the spikes."""
        steps = block.step + np.arange(len(block.values))
        block.values[self._during(block) & (steps % self.every == 0)[:, None]] += self.size * block.sigma


@dataclass(frozen=True)
class Shift(_OneField):
    """The readings are off by up to `size` σ.

    kind: ``bias`` (from start to end), ``sudden`` (from the start on), ``wear`` and ``gradual`` (growing from start to
    end, then staying), ``recurring`` (from start to end, on and off for `period` each, first on).
    """

    kind: Literal["bias", "sudden", "wear", "gradual", "recurring"] = "bias"
    size: float = 1.5
    period: str = "1h"

    def planted(self, sigmas: dict[str, float]) -> Planted:
        """Its line in the plan."""
        return self._planted(self.kind, self.size)

    def apply(self, block: Block) -> None:
        """Add the shift."""
        values = block.values
        values += self.size * block.sigma * self._share(block)

    def _share(self, block: Block) -> F64:
        """How much of the shift is there, 0 to 1."""
        if self.kind in ("wear", "gradual"):
            return np.clip((block.times - self.start) / (self.end - self.start), 0.0, 1.0)
        if self.kind == "sudden":
            return (block.times >= self.start).astype(np.float64)
        during = self._during(block)
        if self.kind == "recurring":
            during &= (block.times - self.start) // parse_duration(self.period, "period") % 2 == 0
        return during.astype(np.float64)


@dataclass(frozen=True)
class NoiseBurst(_OneField):
    """White noise of `size` σ comes on top."""

    size: float = 3.0
    kind = "noise"

    def planted(self, sigmas: dict[str, float]) -> Planted:
        """Its line in the plan."""
        return self._planted(self.kind, self.size)

    def apply(self, block: Block) -> None:
        """Add the noise."""
        # drawn for every reading, also outside, so that the draws do not depend on how steps are cut into blocks
        white = block.generator.standard_normal(block.values.shape)
        values = block.values
        values += np.where(self._during(block), self.size * block.sigma * white, 0.0)


@dataclass(frozen=True)
class Dropout(_OneField):
    """A share of the readings lacks the field (null)."""

    share: float = 0.8
    kind = "dropout"

    def planted(self, sigmas: dict[str, float]) -> Planted:
        """Its line in the plan."""
        return self._planted(self.kind, None)

    def apply(self, block: Block) -> None:
        """Take values away."""
        draws = block.generator.random(block.values.shape)
        block.values[self._during(block) & (draws < self.share)] = np.nan


@dataclass(frozen=True)
class RelationDrift(_OneField):
    """From the start on, the field follows another one with `change` more gain than before."""

    on: str = ""
    change: float = 0.5
    kind = "relation"

    def planted(self, sigmas: dict[str, float]) -> Planted:
        """Its line in the plan: the size is that of the change in the field's own σ."""
        if self.on not in sigmas:
            raise InputError(f"relation drift of '{self.field}' on '{self.on}': no such signal; choose from {', '.join(sigmas)}")
        return self._planted(self.kind, abs(self.change) * sigmas[self.on] / sigmas[self.field] if sigmas[self.field] else None)

    def apply(self, block: Block) -> None:
        """Add what the changed gain adds."""
        values = block.values
        values += np.where(block.times >= self.start, self.change * block.others[self.on], 0.0)


def check_faults(faults: Sequence[Fault], fields: Sequence[str], entities: Sequence[str]) -> None:
    """Raise InputError where a fault names a field or an entity that the scenario has not."""
    for fault in faults:
        if fault.field not in fields:
            raise InputError(f"fault '{fault.kind}' names '{fault.field}', which is no simulated number; choose from {', '.join(fields)}")
        if fault.entity is not None and fault.entity not in entities:
            raise InputError(f"fault '{fault.kind}' names the entity '{fault.entity}'; choose from {entities[0]} … {entities[-1]}")
