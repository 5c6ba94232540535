"""The judge: a fold over `<feed>.evidence` that turns evidence into incidents and requests for retraining.

The evidence has many writers; the order in which it stands is recorded truth, and what comes out is a function of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.definition import MAX_PARTITIONS, Feed
from contracts.ids import RecordId, parse_id
from contracts.records import Alert, Evidence, RetrainRequest
from online_model.alerting import Outbox
from online_model.budget import PartitionRate
from online_model.common_cause import TOLD
from online_model.incidents import Cell, Incident, cell_key
from online_model.judge_state import JudgeState, Partition
from online_model.lifecycle import Lifecycle

GROUND = 1.0  # log10 of the e-value below which a statistic is back on its ground
MAX_WRITERS = 65_536  # (partition, kind) whose last id is remembered; junk ids must not grow the state

Output = tuple[int, Alert | RetrainRequest]


class Judge:
    """The fold. It keeps nothing itself: what it remembers is in the `JudgeState`.

    Args:
        feed: the definition; budget and units are taken from it.
        generation: of the evidence log; stands in the ids of what comes out.
    """

    version = 2  # of the fold: outputs of two versions may differ

    def __init__(self, feed: Feed, generation: int) -> None:
        self.feed, self.generation = feed, generation

    def new_state(self) -> JudgeState:
        """The state before the first record."""
        return JudgeState(self.feed)

    def to_bytes(self, state: JudgeState) -> bytes:
        """The same state, the same bytes."""
        return state.to_bytes()

    def from_bytes(self, data: bytes) -> JudgeState:
        """The state that `to_bytes` wrote.

        Raises:
            StateError: the bytes are no state of a judge, or of another version.
        """
        return JudgeState.from_bytes(self.feed, data)

    def fold(self, state: JudgeState, batch: Iterable[tuple[int, Evidence]]) -> list[Output]:
        """Folds consecutive records of the evidence log, (offset, record), into `state`.

        Returns (offset of the evidence that caused it, record) in the order of ids. How the log is cut into batches
        changes neither outputs nor state.
        """
        outbox = Outbox(self.feed, self.generation, state)
        lifecycle = Lifecycle(state, outbox)
        for offset, evidence in batch:
            outbox.begin(offset, evidence.event_time)
            self._take(state, lifecycle, evidence)
        return outbox.out

    def _take(self, state: JudgeState, lifecycle: Lifecycle, evidence: Evidence) -> None:
        state.counters["read"] += 1
        position = self._readable(state, evidence)
        if position is None:
            state.counters["unreadable"] += 1
            return
        if not self._remember(state, position, evidence):
            return
        if evidence.kind == "planned_stop":
            _planned_stop(state, lifecycle, position, evidence)
        elif evidence.kind == "idle":
            _idle(state, lifecycle, position, evidence)
        elif evidence.kind in ("level", "summary"):
            _heard(state, lifecycle, position, evidence)
            lifecycle.outbox.now = state.partitions[evidence.partition].clock  # a record out of order does not turn it back
            lifecycle.end_due(evidence.partition)
            if evidence.kind == "level":
                _level(state, lifecycle, position, evidence)
            else:
                _summary(state, lifecycle, evidence)
        # A verdict needs the incident it speaks of, which the joiner of labels will name; until then it is only counted.

    def _readable(self, state: JudgeState, evidence: Evidence) -> RecordId | None:
        try:
            position = parse_id(evidence.id)
        except ValueError:
            return None
        usable = evidence.source in state.thresholds.entity and evidence.log10_e == evidence.log10_e
        known = position.feed == self.feed.name and -1 <= evidence.partition < MAX_PARTITIONS  # -1: of the feed as a whole
        return position if known and (usable or evidence.kind != "level") else None

    def _remember(self, state: JudgeState, position: RecordId, evidence: Evidence) -> bool:
        """False for a repeat: of one writer and kind, positions only rise."""
        writer, here = f"{position.partition}/{position.kind}", (position.generation, position.offset, position.n)
        last = state.seen.get(writer)
        partition = state.partitions.get(evidence.partition)
        if (last is not None and here <= last) or (partition is not None and position.generation < partition.generation):
            state.counters["repeated"] += 1
            return False
        if last is None and len(state.seen) >= MAX_WRITERS:
            state.counters["unreadable"] += 1
            return False
        state.seen[writer] = here
        return True


def _partition(state: JudgeState, position: RecordId, evidence: Evidence) -> Partition:
    """What is known of the record's partition; a higher generation begins it anew."""
    partition = state.partitions.get(evidence.partition)
    if partition is None or position.generation > partition.generation:
        if partition is not None:
            _begin_generation(state, evidence)
        clock = evidence.since if evidence.kind == "idle" and evidence.since is not None else evidence.event_time
        partition = Partition(position.generation, clock, position.offset, PartitionRate())
        state.partitions[evidence.partition] = partition
        state.recompute()
    return partition


def _begin_generation(state: JudgeState, evidence: Evidence) -> None:
    """The statistics of the partition are void, as none will say that it fell; their incidents end after the quiet time."""
    now = evidence.event_time
    void = [key for key, cell in state.cells.items() if cell.partition == evidence.partition]
    for key in void:
        cell = state.cells[key]
        incident = state.owner(cell)
        state.drop(key)
        if incident is not None and not state.members[incident.number] and incident.quiet_since is None:
            incident.quiet_since = now
            state.waiting[incident.number] = None
    for number in state.waiting:
        incident = state.incidents[number]
        if incident.groups or incident.partition == evidence.partition:
            incident.quiet_since = None if incident.quiet_since is None else min(incident.quiet_since, now)
            incident.resolved_at = None if incident.resolved_at is None else min(incident.resolved_at, now)
    state.retrained_at = {kind: min(at, now) for kind, at in state.retrained_at.items()}


def _heard(state: JudgeState, lifecycle: Lifecycle, position: RecordId, evidence: Evidence) -> None:
    """A stream fold has read on: lifts a planned stop, ends an idle partition."""
    partition = _partition(state, position, evidence)
    partition.clock = max(partition.clock, evidence.event_time)
    partition.last_offset = max(partition.last_offset, position.offset)
    if partition.stop is not None and position.offset > partition.stop[0] and evidence.event_time > partition.stop[1]:
        partition.stop = None
    if partition.idle_offset is not None and position.offset > partition.idle_offset:
        _end_idle(state, lifecycle, evidence.partition, "heard again")


def _level(state: JudgeState, lifecycle: Lifecycle, position: RecordId, evidence: Evidence) -> None:
    assert evidence.source is not None
    cell = state.cells.get(cell_key(evidence.entity, evidence.field, evidence.source, evidence.partition))
    if evidence.log10_e < GROUND:
        if cell is not None:
            lifecycle.fall(cell)
        return
    if cell is None:
        if evidence.log10_e < TOLD:
            return
        cell = _new_cell(evidence, position, lifecycle.outbox.now)
        if not state.put(cell):
            return
    else:
        state.groups.remove(cell)
        cell.level, cell.direction, cell.told = evidence.log10_e, evidence.direction, lifecycle.outbox.now
        cell.reference, cell.current = evidence.reference or cell.reference, evidence.current or cell.current
        state.groups.add(cell)
    if cell.entity is not None:
        lifecycle.look_for_common_cause(cell.group)
    lifecycle.settle(cell, evidence, may_hold=True)


def _new_cell(evidence: Evidence, position: RecordId, now: int) -> Cell:
    assert evidence.source is not None
    return Cell(
        entity=evidence.entity,
        field=evidence.field,
        source=evidence.source,
        partition=evidence.partition,
        level=evidence.log10_e,
        direction=evidence.direction,
        since=now if evidence.since is None else evidence.since,
        since_offset=position.offset if evidence.since_offset is None else evidence.since_offset,
        rose=now,
        told=now,
        reference=evidence.reference,
        current=evidence.current,
    )


def _summary(state: JudgeState, lifecycle: Lifecycle, evidence: Evidence) -> None:
    """Learns the rate, and looks again at what waits: thresholds may have moved, a cool-down may have passed."""
    folded = evidence.counters.get("folded", 0)
    state.partitions[evidence.partition].rate.learn(evidence.event_time, folded, evidence.entities, evidence.cells, evidence.since)
    state.recompute()
    for group in state.groups.large(state.bar("drift").fewest):
        lifecycle.look_for_common_cause(group)
    waiting = [key for key, cell in state.cells.items() if cell.partition == evidence.partition and not cell.incident]
    for key in sorted(waiting):
        cell = state.cells.get(key)
        if cell is not None and not cell.incident and cell.level >= state.thresholds.entity[cell.source]:
            lifecycle.settle(cell)


def _planned_stop(state: JudgeState, lifecycle: Lifecycle, position: RecordId, evidence: Evidence) -> None:
    """Whoever sends has said that nothing will follow: partitions (-1: all) that fall idle now are no incident."""
    for number, partition in sorted(state.partitions.items()):
        if evidence.partition in (number, -1):
            partition.stop = (position.offset if evidence.partition >= 0 else partition.last_offset, evidence.event_time)
            _end_idle(state, lifecycle, number, "planned stop")


def _idle(state: JudgeState, lifecycle: Lifecycle, position: RecordId, evidence: Evidence) -> None:
    """A partition's owner has heard nothing for too long. Partitions that fall idle together are one incident."""
    partition = _partition(state, position, evidence)
    if partition.stop is not None or partition.idle_offset is not None or position.offset < partition.last_offset:
        return
    partition.idle_offset = position.offset
    since = evidence.event_time if evidence.since is None else evidence.since
    for incident in state.of_entity(None):
        if incident.idle and abs(incident.first_seen - since) <= state.spans.common:
            incident.idle = sorted([*incident.idle, evidence.partition])
            if len(incident.idle) >= 2 * incident.told_entities:
                incident.told_entities = len(incident.idle)
                lifecycle.outbox.tell(incident, "updated", "more partitions")
            return
    incident = Incident(
        number=state.next_number,
        id=lifecycle.outbox.next_alert_id(),
        kind="silence",
        entity=None,
        field=None,
        severity=2,
        first_seen=since,
        opened_at=evidence.event_time,
        log10_e=evidence.log10_e,
        threshold=0.0,
        partition=evidence.partition,
        causes=[],
        groups=[],
        idle=[evidence.partition],
        features=[],
    )
    state.add(incident)
    lifecycle.outbox.tell(incident, "opened")


def _end_idle(state: JudgeState, lifecycle: Lifecycle, number: int, reason: str) -> None:
    """The partition is idle no more; with the last one the incident ends. It may open again at once: a timer does not flap."""
    state.partitions[number].idle_offset = None
    for incident in state.of_entity(None):
        if number in incident.idle:
            if incident.idle == [number]:
                lifecycle.outbox.tell(incident, "resolved", reason)
                state.forget(incident)
            else:
                incident.idle = [other for other in incident.idle if other != number]
