"""The plan of a simulation: what was planted, where, when and how large, and what the counters must come to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from contracts.durations import HOUR
from contracts.errors import InputError
from contracts.event_time import format_event_time
from contracts.records import IncidentKind

INCIDENT_OF: dict[str, IncidentKind | None] = {
    "stuck": "stuck",
    "spike": "anomaly",
    "bias": "drift",
    "wear": "drift",
    "noise": "drift",
    "dropout": "missing",
    "sudden": "drift",
    "gradual": "drift",
    "recurring": "drift",
    "relation": "drift",
    "concept": "concept",
    "silent": "silence",
    "duplicates": None,
    "disorder": None,
    "lateness": "delay",
    "clock_ahead": "delay",
    "malformed": None,
}
RAMPS = ("wear", "gradual")  # reach their size at their end, so they are to be found by an hour after it


class Planted(msgspec.Struct, kw_only=True, frozen=True):
    """One fault. Times are µs of event time."""

    kind: str
    entity: str | None  # None: the whole feed
    field: str | None  # None: the whole record
    size_sigma: float | None  # in standard deviations of the field's noise
    start: int
    end: int  # a ramp's: when it reaches its size
    incident: IncidentKind | None  # the one kind of incident that this fault should open
    judged_by: Literal["incident", "counters"]

    @property
    def found_by(self) -> int:
        """The event time by which its incident must have been opened: an hour after its start, for a ramp after its end."""
        return (self.end if self.kind in RAMPS else self.start) + HOUR


class Expected(msgspec.Struct, kw_only=True):
    """What the counters of all partitions together must come to, for the records made so far."""

    read: int = 0
    folded: int = 0
    duplicate: int = 0
    late: int = 0
    dead_lettered: int = 0
    reasons: dict[str, int] = {}  # reason code -> dead letters


class Plan(msgspec.Struct, kw_only=True):
    """Everything that a simulation plants; `expected` grows while records are made and is whole at the end."""

    feed: str
    seed: int
    start: int
    end: int
    planted: list[Planted]
    expected: Expected

    def write(self, path: Path) -> None:
        """The plan as JSON; raises InputError where the file can't be written."""
        try:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
        except OSError as error:
            raise InputError(f"plan file {path}: {error.strerror}; choose a path that can be written") from error

    def rows(self) -> list[tuple[str, ...]]:
        """What was planted as rows of text: kind, entity, field, size in σ, start, end, incident; by start."""
        return [
            (
                item.kind,
                item.entity or "whole feed",
                item.field or "",
                "" if item.size_sigma is None else f"{item.size_sigma:g}",
                format_event_time(item.start),
                format_event_time(item.end),
                item.incident or "" if item.judged_by == "incident" else "counters",
            )
            for item in sorted(self.planted, key=lambda p: p.start)
        ]
