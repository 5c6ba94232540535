"""A scenario: a feed, its devices, what their sensors read, and what goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.definition import Feed
from contracts.errors import InputError
from contracts.outcomes import MAX_ENTITY_BYTES
from producers.faults import Fault, check_faults
from producers.plan import INCIDENT_OF, Planted
from producers.signals import Counter, Modes, Signal
from producers.transport_faults import ClockAhead, Silent, Transport, TransportFault
from producers.truth import Truth


@dataclass(frozen=True)
class Scenario:
    """What `Simulation` makes records of.

    Args:
        feed: names of entity, time and fields, ranges, lateness.
        entities: names of the devices.
        cadence_us: event time between two readings of a device, in µs, whole milliseconds.
        signals, modes: one for each field that is to be sent, in any order; hidden signals may stand among them.
        faults, transport, transport_faults: what is planted.
        jitter: a reading comes up to this share of the cadence after its due time.
        truth: the target that labels tell, for feeds that predict one.

    Raises:
        InputError: a name is unknown, or disorder is asked for where the lateness leaves no room for it.
    """

    feed: Feed
    entities: Sequence[str]
    cadence_us: int
    signals: Sequence[Signal | Counter]
    modes: Sequence[Modes] = ()
    faults: Sequence[Fault] = ()
    transport: Transport = field(default_factory=Transport)
    transport_faults: Sequence[TransportFault] = ()
    jitter: float = 0.02
    truth: Truth | None = None

    def __post_init__(self) -> None:
        if not self.entities or len(set(self.entities)) != len(self.entities):
            raise InputError("a scenario needs one or more entities of different names")
        if any(not 1 <= len(name.encode()) <= MAX_ENTITY_BYTES for name in self.entities):
            raise InputError(f"names of entities must have 1 to {MAX_ENTITY_BYTES} bytes")
        if self.cadence_us < 1000 or self.cadence_us % 1000:
            raise InputError(
                f"cadence of {self.cadence_us} µs: readings are stamped in whole milliseconds; choose 1 ms or a multiple of it"
            )
        if not 0.0 <= self.jitter < 0.1:
            raise InputError(f"jitter={self.jitter}: choose a share of the cadence from 0 to below 0.1")
        names = [part.name for part in (*self.signals, *self.modes)]
        if len(set(names)) != len(names):
            raise InputError("two signals or modes of a scenario have one name; rename one")
        self._check_fields({s.name for s in self.signals}, {m.name for m in self.modes})
        check_faults(self.faults, [s.name for s in self.signals if isinstance(s, Signal)], self.entities)
        for fault in self.transport_faults:
            if fault.entity not in self.entities:
                raise InputError(
                    f"a transport fault names the entity '{fault.entity}'; choose from {self.entities[0]} … {self.entities[-1]}"
                )
        if self.transport.disorder and not self.displacement:
            raise InputError(
                f"disorder needs a lateness above the cadence: feed '{self.feed.name}' has a lateness of {self.feed.lateness} and its "
                f"devices send every {self.cadence_us / 1e6:g} s; lengthen the lateness or leave disorder out"
            )

    def _check_fields(self, signals: set[str], modes: set[str]) -> None:
        for item in self.feed.fields:
            have = signals if item in self.feed.numbers else modes
            if item.required and item.name not in have:
                raise InputError(
                    f"field '{item.name}' is required, and the scenario has nothing for it; add a signal or modes of this name"
                )

    @property
    def jitter_us(self) -> int:
        """The longest time by which a reading comes after its due time, in µs, whole milliseconds."""
        return int(self.jitter * self.cadence_us) // 1000 * 1000

    @property
    def displacement(self) -> int:
        """By how many readings of its own device a record may be overtaken and yet be folded or known as a repeat."""
        room = (self.feed.lateness_us - self.jitter_us) // self.cadence_us
        return max(0, min(room, self.feed.remembered - 2))

    def planted(self, start: int, end: int, sigmas: dict[str, float]) -> list[Planted]:
        """Everything planted, for a simulation from `start` to `end` (µs)."""
        out = [fault.planted(sigmas) for fault in self.faults]
        out += self.truth.planted(end) if self.truth is not None else []
        shares = self.transport
        kinds = {"duplicates": shares.duplicates, "disorder": shares.disorder, "lateness": shares.late, "malformed": shares.malformed}
        out += [_counted(kind, None, start, end) for kind, share in kinds.items() if share]
        for fault in self.transport_faults:
            if isinstance(fault, ClockAhead):
                out.append(_counted("clock_ahead", fault.entity, fault.start, fault.end))
            elif isinstance(fault, Silent):
                out.append(_counted("silent", fault.entity, fault.start, fault.end))
        return out


def _counted(kind: str, entity: str | None, start: int, end: int) -> Planted:
    return Planted(
        kind=kind,
        entity=entity,
        field=None,
        size_sigma=None,
        start=start,
        end=end,
        incident=INCIDENT_OF[kind],
        judged_by="incident" if kind == "silent" else "counters",
    )
