"""What storms have done and what they have cost, added up over steps."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.storm.oracle import Verdict


@dataclass
class Tally:
    """Counts; `recoveries` in seconds from a blow until what stood on the log then was served."""

    steps: int = 0
    kills: int = 0
    rebalances: int = 0
    failovers: int = 0
    broker_restarts: int = 0
    store_restarts: int = 0
    flushes: int = 0
    zombies: int = 0
    ended: int = 0  # processes that ended by themselves and were started again
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    backwards: int = 0
    recoveries: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)  # numbers of steps
    seams: dict[str, int] = field(default_factory=dict)  # blows at each
    missed: dict[str, int] = field(default_factory=dict)  # steps whose seam was never passed
    faults: dict[str, int] = field(default_factory=dict)  # steps of each kind

    def judged(self, verdict: Verdict, falls: int) -> None:
        """After a step: what verify finds is about the whole log, so the worst of all steps counts; falls add up."""
        self.lost = max(self.lost, verdict.lost)
        self.doubled = max(self.doubled, verdict.doubled)
        self.changed = max(self.changed, verdict.changed)
        self.backwards += falls

    def did(self, fault: str) -> None:
        """A step was done."""
        self.steps += 1
        self.faults[fault] = self.faults.get(fault, 0) + 1

    def struck(self, seam: str) -> None:
        """A blow at a seam."""
        self.seams[seam] = self.seams.get(seam, 0) + 1

    def never(self, seam: str) -> None:
        """A seam that was not passed in time."""
        self.missed[seam] = self.missed.get(seam, 0) + 1

    @property
    def clean(self) -> bool:
        """Nothing lost, doubled, changed, or seen to fall."""
        return not (self.lost or self.doubled or self.changed or self.backwards)

    def add(self, other: Tally) -> None:
        """Another storm's."""
        for name, value in asdict(other).items():
            mine = getattr(self, name)
            if isinstance(value, dict):
                setattr(self, name, {key: mine.get(key, 0) + value.get(key, 0) for key in sorted({*mine, *value})})
            else:
                setattr(self, name, mine + value)

    def report(self) -> dict[str, Any]:
        """The figures for a JSON file."""
        figures = {name: value for name, value in asdict(self).items() if name != "recoveries"}
        return figures | {"recovery_s": {"p50": _p50(self.recoveries), "max": round(max(self.recoveries, default=0.0), 2)}}


def _p50(seconds: list[float]) -> float | None:
    return round(statistics.median(seconds), 2) if seconds else None
