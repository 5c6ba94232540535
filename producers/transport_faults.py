"""What goes wrong between a device and the log: repeats, disorder, lateness, wrong clocks, damaged bytes, silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.durations import parse_duration
from contracts.errors import InputError
from contracts.outcomes import Reason

MALFORMED = (
    Reason.EMPTY,
    Reason.NOT_UTF8,
    Reason.NOT_JSON,
    Reason.NOT_AN_OBJECT,
    Reason.ENTITY_MISSING,
    Reason.TIME_MISSING,
    Reason.TIME_UNREADABLE,
    Reason.TYPE,
    Reason.KEY,
)


@dataclass(frozen=True)
class Transport:
    """Shares of all records, each between 0 and 1; a record meets at most one of them.

    Args:
        duplicates: are sent a second time, the same bytes, while their reading is still remembered.
        disorder: arrive after later readings of their entity, yet within the lateness.
        late: arrive after the lateness has passed.
        malformed: are damaged, in one of the ways `kinds`.
    """

    duplicates: float = 0.0
    disorder: float = 0.0
    late: float = 0.0
    malformed: float = 0.0
    kinds: Sequence[Reason] = MALFORMED

    def __post_init__(self) -> None:
        shares = (self.duplicates, self.disorder, self.late, self.malformed)
        if any(not 0.0 <= share <= 1.0 for share in shares) or sum(shares) > 1.0:
            raise InputError("shares of duplicates, disorder, late and malformed records must each lie in 0 to 1, and their sum too")
        wrong = [kind for kind in self.kinds if kind not in MALFORMED]
        if wrong or not self.kinds:
            raise InputError(f"kinds of malformed records: choose from {', '.join(kind.code for kind in MALFORMED)}")


@dataclass(frozen=True)
class Silent:
    """A device that sends nothing from start to end (µs)."""

    entity: str
    start: int
    end: int


@dataclass(frozen=True)
class ClockAhead:
    """A device that stamps every n-th record between start and end (µs) too far ahead."""

    entity: str
    start: int
    end: int
    every: int = 2
    ahead: str = "365d"

    @property
    def ahead_us(self) -> int:
        """How far ahead, in µs."""
        return parse_duration(self.ahead, "ahead")


TransportFault = Silent | ClockAhead
