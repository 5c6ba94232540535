"""The state of the judge, and its bytes."""

from __future__ import annotations

import msgspec

from contracts.definition import Feed
from contracts.errors import StateError
from contracts.records import AdwinChange
from contracts.unreadable import UNREADABLE
from online_model.budget import PartitionRate, feed_rate, feed_thresholds
from online_model.common_cause import Bar, Groups, bar_for
from online_model.incidents import Cell, CellKey, Incident, spans_for

VERSION = 1
MAX_CELLS = 32_768  # statistics above their ground; at some 150 bytes each the state stays below 5 MB
MAX_INCIDENTS = 4_096  # open or cooling; nobody reads more, and each holds memory
COUNTERS = ("read", "repeated", "unreadable", "forgotten_statistics", "suppressed_incidents")

Position = tuple[int, int, int]  # generation, offset, n


class Partition(msgspec.Struct, array_like=True):
    """What the judge knows of one partition of events."""

    generation: int
    clock: int  # µs
    last_offset: int  # greatest source offset seen
    rate: PartitionRate
    stop: tuple[int, int] | None = None  # (offset, event time) of a planned stop, until something newer is read
    idle_offset: int | None = None  # told idle at this offset


class _Wire(msgspec.Struct, omit_defaults=True):
    version: int
    next_number: int
    retrained_at: dict[str, int]
    partitions: list[tuple[int, Partition]]
    seen: list[tuple[str, Position]]
    cells: list[Cell]
    incidents: list[Incident]
    counters: list[int]
    adwin: list[tuple[int, AdwinChange]] = []


class JudgeState:
    """All that the fold over the evidence remembers. What `_derive` and `recompute` make is not stored."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.next_number = 1
        self.retrained_at: dict[str, int] = {}  # kind of incident -> event time of the last retrain request
        self.partitions: dict[int, Partition] = {}
        self.seen: dict[str, Position] = {}  # "partition/kind" of ids -> the last one folded
        self.cells: dict[CellKey, Cell] = {}
        self.incidents: dict[int, Incident] = {}
        self.adwin: dict[int, AdwinChange] = {}  # incident -> what its evidence said; apart from them, as few feeds ask for it
        self.counters = dict.fromkeys(COUNTERS, 0)
        self._derive()
        self.recompute()

    def _derive(self) -> None:
        self.groups = Groups()
        self.members: dict[int, dict[CellKey, None]] = {}
        self.by_entity: dict[str, dict[int, None]] = {}
        self.common: dict[int, None] = {}  # incidents across entities
        self.waiting: dict[int, None] = {}  # incidents that end or are forgotten when time has passed
        self._entities: dict[int, dict[str, int]] = {}  # incident -> entity -> statistics
        for incident in self.incidents.values():
            self._index(incident)
        for cell in self.cells.values():
            self.groups.add(cell)
            self._enter(cell, cell.incident)

    def recompute(self) -> None:
        """Takes rate, thresholds and spans from what the partitions' summaries said."""
        self.rate = feed_rate(partition.rate for partition in self.partitions.values())
        self.thresholds = feed_thresholds(self.feed, self.rate)
        self.spans = spans_for(self.rate.spacing)
        self._bars: dict[str, Bar] = {}

    def bar(self, source: str) -> Bar:
        """What a common cause must reach for this source."""
        if source not in self._bars:
            self._bars[source] = bar_for(self.rate.entities, self.thresholds.feed_wide[source])
        return self._bars[source]

    def put(self, cell: Cell) -> bool:
        """Takes a new statistic in; False when there is no room that could be made."""
        if len(self.cells) >= MAX_CELLS and not self._make_room():
            self.counters["forgotten_statistics"] += 1
            return False
        self.cells[cell.key] = cell
        self.groups.add(cell)
        return True

    def _make_room(self) -> bool:
        """Forgets the weakest quarter of the statistics that no incident explains."""
        free = sorted((cell.level, cell.told, key) for key, cell in self.cells.items() if not cell.incident)
        gone = free[: max(MAX_CELLS // 4, 1)]
        for _, _, key in gone:
            self.drop(key)
        self.counters["forgotten_statistics"] += len(gone)
        return bool(gone)

    def drop(self, key: CellKey) -> Cell | None:
        """Takes a statistic out, also of its incident."""
        cell = self.cells.pop(key, None)
        if cell is not None:
            self.groups.remove(cell)
            self._leave(cell)
        return cell

    def claim(self, cell: Cell, incident: Incident | None) -> None:
        """Makes the statistic a member of an incident, or of none, and of no other."""
        self._leave(cell)
        cell.incident = 0 if incident is None else incident.number
        self._enter(cell, cell.incident)

    def _enter(self, cell: Cell, number: int) -> None:
        if number:
            self.members[number][cell.key] = None
            entities = self._entities[number]
            entities[cell.entity or ""] = entities.get(cell.entity or "", 0) + 1

    def _leave(self, cell: Cell) -> None:
        if cell.incident:
            del self.members[cell.incident][cell.key]
            entities = self._entities[cell.incident]
            entities[cell.entity or ""] -= 1
            if not entities[cell.entity or ""]:
                del entities[cell.entity or ""]

    def member_cells(self, incident: Incident) -> list[Cell]:
        """The statistics of an incident, in the order of their keys."""
        return [self.cells[key] for key in sorted(self.members[incident.number])]

    def affected(self, incident: Incident) -> list[str]:
        """The entities of an incident, sorted."""
        return sorted(entity for entity in self._entities[incident.number] if entity)

    def affects(self, incident: Incident, entity: str | None) -> bool:
        """Whether the entity has a statistic in the incident."""
        return entity in self._entities[incident.number]

    def affected_count(self, incident: Incident) -> int:
        """How many entities have a statistic in the incident."""
        return len(self._entities[incident.number])

    def owner(self, cell: Cell) -> Incident | None:
        """The incident that explains a statistic."""
        return self.incidents[cell.incident] if cell.incident else None

    def add(self, incident: Incident) -> None:
        """Takes a new incident in."""
        self.incidents[incident.number] = incident
        self.next_number = incident.number + 1
        self._index(incident)

    def _index(self, incident: Incident) -> None:
        self.members[incident.number], self._entities[incident.number] = {}, {}
        if incident.groups:
            self.common[incident.number] = None
        else:
            self.by_entity.setdefault(incident.entity or "", {})[incident.number] = None
        if incident.quiet_since is not None or incident.resolved_at is not None:
            self.waiting[incident.number] = None

    def note_adwin(self, incident: Incident, change: AdwinChange | None) -> None:
        """Puts down the change that the evidence of an incident bears, or that it bears none."""
        self.adwin.pop(incident.number, None)
        if change is not None:
            self.adwin[incident.number] = change

    def forget(self, incident: Incident) -> None:
        """Takes an incident out; its statistics stay, explained by none."""
        self.adwin.pop(incident.number, None)
        for cell in self.member_cells(incident):
            self.claim(cell, None)
        del self.incidents[incident.number], self.members[incident.number], self._entities[incident.number]
        self.common.pop(incident.number, None)
        self.waiting.pop(incident.number, None)
        own = self.by_entity.get(incident.entity or "", {})
        own.pop(incident.number, None)
        if not own:
            self.by_entity.pop(incident.entity or "", None)

    def of_entity(self, entity: str | None) -> list[Incident]:
        """Incidents of one entity (None: of no entity), open or cooling, oldest first."""
        return [self.incidents[number] for number in self.by_entity.get(entity or "", {})]

    def common_incidents(self) -> list[Incident]:
        """Incidents across entities, open or cooling, oldest first."""
        return [self.incidents[number] for number in self.common]

    def to_bytes(self) -> bytes:
        """The same state, the same bytes."""
        return msgspec.msgpack.encode(
            _Wire(
                version=VERSION,
                next_number=self.next_number,
                retrained_at=dict(sorted(self.retrained_at.items())),
                partitions=sorted(self.partitions.items()),
                seen=sorted(self.seen.items()),
                cells=list(self.cells.values()),
                incidents=list(self.incidents.values()),
                counters=[self.counters[name] for name in COUNTERS],
                adwin=sorted(self.adwin.items()),
            )
        )

    @classmethod
    def from_bytes(cls, feed: Feed, data: bytes) -> JudgeState:
        """The state that `to_bytes` wrote.

        Raises:
            StateError: the bytes are no state of a judge, or of another version.
        """
        try:
            wire = msgspec.msgpack.decode(data, type=_Wire)
        except UNREADABLE as error:
            raise StateError(f"feed '{feed.name}': the judge's state cannot be read ({error}); fold the evidence anew") from error
        if wire.version != VERSION:
            raise StateError(
                f"feed '{feed.name}': the judge's state has version {wire.version}, this program reads {VERSION}; fold the evidence anew"
            )
        if len(wire.counters) != len(COUNTERS) or not {cell.incident for cell in wire.cells} <= {0, *(i.number for i in wire.incidents)}:
            raise StateError(
                f"feed '{feed.name}': the judge's state lacks counters, or incidents that its statistics name; fold the evidence anew"
            )
        state = cls(feed)
        state.next_number, state.retrained_at = wire.next_number, wire.retrained_at
        state.partitions, state.seen = dict(wire.partitions), dict(wire.seen)
        state.cells = {cell.key: cell for cell in wire.cells}
        state.incidents = {incident.number: incident for incident in wire.incidents}
        state.counters = dict(zip(COUNTERS, wire.counters, strict=True))
        state.adwin = dict(wire.adwin)
        state._derive()
        state.recompute()
        return state
