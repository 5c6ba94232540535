"""Processor time and progress of other processes, looked at from outside: the same ruler for every engine.

Linux only: processor times are those of /proc, user and system, of a process and all that it started.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """What was seen at one moment; processor times in seconds since each process began."""

    at: float  # monotonic seconds
    done: int  # events that are through
    client: float
    broker: float
    store: float


class Rate(NamedTuple):
    """Of a stretch of samples."""

    events: int
    seconds: float
    events_per_s: float
    cpu_us_per_event: float
    broker_us_per_event: float
    store_us_per_event: float


class WarmUp(NamedTuple):
    """What is let pass before measuring: both."""

    seconds: float = 0.0  # of the client's processor time since the first event was through: a compiler that starves is not done
    events: int = 0

    def over(self, first: Sample, now: Sample) -> bool:
        """Whether it has passed."""
        return now.client >= first.client + self.seconds and now.done >= self.events


def rate(samples: Sequence[Sample], warm_up: WarmUp, total: int) -> Rate:
    """Between the first sample after the warm-up and the last before all `total` events are through.

    Raises:
        ValueError: nothing moved in between.
    """
    moving = [sample for sample in samples if sample.done]
    measured = [sample for sample in moving if warm_up.over(moving[0], sample) and sample.done < total]
    if len(measured) < 2 or measured[-1].done <= measured[0].done:
        raise ValueError(f"no progress to measure: {moving[-1].done if moving else 0:,} events of {total:,} after {len(samples)} looks")
    first, last = measured[0], measured[-1]
    events, seconds = last.done - first.done, last.at - first.at
    costs = ((getattr(last, whose) - getattr(first, whose)) / events * 1e6 for whose in ("client", "broker", "store"))
    return Rate(events, seconds, events / seconds, *costs)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its living descendants; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        tasks = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(cpu_seconds(int(child)) for task in tasks for child in task)


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its living descendants in megabytes."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        tasks = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(resident_mb(int(child)) for task in tasks for child in task)
