"""Records on their way to a topic."""

from __future__ import annotations

from typing import NamedTuple

from producers.signals import F64, I64


class Batch(NamedTuple):
    """Consecutive records in the order in which they are to stand in the log; n records."""

    keys: list[bytes]
    values: list[bytes]
    event_time: I64  # (n,) µs, as stated in the record; what was meant, where the record is damaged
    due: I64  # (n,) µs on the axis of event time: when the record arrives
    truth: F64 | None = None  # (n,) the target's value where the scenario has one; NaN of repeats and damaged records

    def cut(self, first: int, last: int) -> Batch:
        """Records first … last − 1."""
        truth = None if self.truth is None else self.truth[first:last]
        return Batch(self.keys[first:last], self.values[first:last], self.event_time[first:last], self.due[first:last], truth)
