"""Decides what each label ends as. Pure: the clock, the index and the records of scores come from the caller.

::

    take ── unreadable ─► dead letter
      ├──── a person's remark ─► handed on
      └──── waits ── plan: which events? ── settle, with the records of their scores ─► examples, or a dead letter
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from contracts.definition import Feed
from contracts.durations import DAY, MINUTE
from contracts.outcomes import LABEL_HORIZON, LabelOutcome, LabelReason
from contracts.records import Label
from stream_processors.archive.score_decoding import ScoreRecord
from stream_processors.joiner.labels import read_label
from stream_processors.joiner.recorded import Recorded
from stream_processors.joiner.score_index import Found, Heard, ScoreIndex
from stream_processors.joiner.told import EventName, Told
from stream_processors.joiner.waiting import Waiting, WaitingLabels, waiting_label

WAIT = DAY
"""How long a label waits for an event that may still come: of event time beyond its own in every partition, or of wall clock
since it was read. Less would give up labels of devices that were out of reach for a night."""

LEAST_WAIT = MINUTE  # of wall clock: an accelerated replay passes a day in less, one partition before the other


class LabelRecord(NamedTuple):
    """One record of `<feed>.labels`."""

    offset: int
    kafka_time: int  # µs, −1 none
    key: bytes | None
    value: bytes | None


class Step(NamedTuple):
    """What comes next for a label: events to be joined, and whether it ends with them, or why it ends without."""

    label: Waiting
    events: Sequence[Found] = ()
    ends: bool = True
    reason: LabelReason | None = None


class Joined(NamedTuple):
    """An example to be written."""

    label: int  # offset
    n: int
    record: ScoreRecord
    value: float
    previous: float | None


class Refused(NamedTuple):
    """A dead letter to be written."""

    label: Waiting | LabelRecord
    reason: LabelReason


class Remarked(NamedTuple):
    """A remark to be handed on."""

    record: LabelRecord
    label: Label


class Settled(NamedTuple):
    """What labels came to, each list in the order in which it is to stand on its topic."""

    examples: Sequence[Joined] = ()
    letters: Sequence[Refused] = ()
    remarks: Sequence[Remarked] = ()


class Joiner:
    """The labels of one partition.

    Args:
        feed: with a target.
        index: of the feed's scores; whoever feeds it calls `heard`.
        waiting, told, counts: the state; counts are by outcome, and of `remarks`.
    """

    def __init__(self, feed: Feed, index: ScoreIndex, waiting: WaitingLabels, told: Told, counts: dict[str, int]) -> None:
        self.index = index
        self.waiting = waiting
        self.told = told
        self.counts = counts
        self.recorded = Recorded()  # what the owner before has published; labels that it speaks of end as it says
        self._feed = feed
        self._lateness = feed.lateness_us
        self._candidates = {label.offset for label in waiting}
        self._due: list[tuple[int, int]] = []  # (event time at which a label may be given up, offset)
        for label in waiting:
            self._wait_for(label)

    def take(self, records: Sequence[LabelRecord], now: int = -1) -> Settled:
        """Reads labels; all truths wait until `plan` and `settle`. `now`: wall clock in µs, −1 for none."""
        refused: list[Refused] = []
        remarks: list[Remarked] = []
        for record in records:
            read = read_label(self._feed, record.value)
            if isinstance(read, Label):
                self.counts["remarks"] += 1
                remarks.append(Remarked(record, read))
            elif read is None:
                refused += self._refuse(record, LabelReason.LABEL_UNREADABLE)
            else:
                label = waiting_label(record.offset, record.kafka_time, now, read, record.key, record.value or b"")
                self.waiting.add(label)
                self._candidates.add(label.offset)
                self._wait_for(label)
        return Settled(letters=refused, remarks=remarks)

    def heard(self, heard: Heard) -> None:
        """Some scores were taken into the index."""
        self._candidates |= self.waiting.about(heard)

    def plan(self, limit: int, now: int = -1) -> list[Step]:
        """The next steps, with about `limit` events at most; in the order of the labels' offsets."""
        self._candidates |= self._overdue(now)
        steps: list[Step] = []
        events = 0
        for label in self.waiting.get(self._candidates):
            step = self._step(label, max(1, limit - events), now)
            if step is None or step.ends:
                self._candidates.discard(label.offset)
            if step is not None:
                steps.append(step)
                events += max(1, len(step.events))
            if events >= limit:
                break
        return steps

    def settle(self, steps: Sequence[Step], records: Mapping[tuple[int, int], ScoreRecord]) -> Settled:
        """Takes the steps of one `plan`; `records` by partition and position, without those that Kafka no longer has."""
        examples: list[Joined] = []
        letters: list[Refused] = []
        for step in steps:
            label = step.label
            for event in step.events:
                record = records.get((event.name.partition, event.position))
                if record is not None:
                    examples += self._tell(label, event, record)
            if step.events:
                last = step.events[-1]
                label.cursor = (last.event_time, last.name.partition, last.name.offset)
                self.waiting.changed(label)
            if step.ends:
                letters += self._end(label, step.reason or LabelReason.LABEL_TOO_LATE)
        return Settled(examples, letters)

    def _wait_for(self, label: Waiting) -> None:
        if label.truth.score is None:
            heappush(self._due, ((label.truth.until or label.truth.start) + WAIT, label.offset))

    def _overdue(self, now: int) -> set[int]:
        """Labels whose time to wait has passed, by the partitions' clocks or the wall's; looked at again until they end."""
        out, kept, slowest = set(), [], self.index.slowest_clock()
        while self._due and self._due[0][0] < slowest:
            due = heappop(self._due)
            if due[1] in self.waiting:
                out.add(due[1])
                kept.append(due)
        for due in kept:
            heappush(self._due, due)
        for label in self.waiting:
            if now < 0 or label.since < 0 or now - label.since < WAIT:
                break  # they were read in this order
            out.add(label.offset)
        return out

    def _given_up(self, label: Waiting, now: int) -> bool:
        waited = now - label.since if now >= 0 <= label.since else 0
        end = None if label.truth.score else (label.truth.until or label.truth.start)
        return waited >= WAIT or (end is not None and waited >= LEAST_WAIT and self.index.slowest_clock() > end + WAIT)

    def _step(self, label: Waiting, limit: int, now: int) -> Step | None:
        """None: the label waits on."""
        truth, given_up = label.truth, self._given_up(label, now)
        if (reason := self.recorded.reason(label.offset)) is not None:
            return Step(label, reason=reason)
        if truth.until is None and self.recorded.examples(label.offset):
            return Step(label)
        if truth.score is not None:
            return self._step_by_score(label, given_up)
        if (truth.until or truth.start) + LABEL_HORIZON < self.index.clock():
            return Step(label, reason=LabelReason.LABEL_TOO_LATE)
        if truth.until is not None:
            return self._step_of_interval(label, limit) if given_up or self._passed(truth.entity, truth.until - 1) else None
        found = self.index.at(truth.entity, truth.start)
        if found is not None:
            return Step(label, [found])
        if truth.start <= self.index.floor(truth.entity):
            return Step(label, reason=LabelReason.LABEL_TOO_LATE)
        return Step(label, reason=LabelReason.LABEL_UNMATCHED) if given_up or self._passed(truth.entity, truth.start) else None

    def _passed(self, entity: str, event_time: int) -> bool:
        """Whether a reading of this time would be late by now, or is forgotten."""
        newest = self.index.newest(entity)
        return event_time <= self.index.floor(entity) if newest is None else newest > event_time + self._lateness

    def _step_by_score(self, label: Waiting, given_up: bool) -> Step | None:
        assert label.truth.score is not None
        found = self.index.by_name(label.truth.score)
        if found is not None:
            old = found.event_time + LABEL_HORIZON < self.index.clock()
            return Step(label, reason=LabelReason.LABEL_TOO_LATE) if old else Step(label, [found])
        if self.index.forgotten(label.truth.score):
            return Step(label, reason=LabelReason.LABEL_TOO_LATE)
        if given_up or self.index.passed(label.truth.score):
            return Step(label, reason=LabelReason.LABEL_UNMATCHED)
        return None

    def _step_of_interval(self, label: Waiting, limit: int) -> Step:
        truth, cursor = label.truth, label.cursor
        assert truth.until is not None
        found = self.index.within(truth.entity, truth.start if cursor is None else cursor[0], truth.until)
        if cursor is not None:
            found = [f for f in found if (f.event_time, f.name.partition, f.name.offset) > cursor]
        elif not found:
            late = truth.start <= self.index.floor(truth.entity)
            return Step(label, reason=LabelReason.LABEL_TOO_LATE if late else LabelReason.LABEL_UNMATCHED)
        return Step(label, found[:limit], len(found) <= limit)

    def _tell(self, label: Waiting, found: Found, record: ScoreRecord) -> list[Joined]:
        event, value = EventName(found.name.partition, found.name.offset), label.truth.value
        if self.recorded.has(label.offset, event):
            return []  # it stands there; `_end` counts it
        before = self.told.value(event, found.event_time)
        if before == value:
            label.repeated = True
            return []
        if before is None and found.event_time <= self.told.floor:
            return []
        self.told.tell(event, found.event_time, value)
        self.recorded.overruled(event)
        label.joined |= before is None
        label.corrected |= before is not None
        n = max(label.examples, self.recorded.examples(label.offset))
        label.examples = n + 1
        return [Joined(label.offset, n, record, value, before)]

    def _end(self, label: Waiting, reason: LabelReason) -> list[Refused]:
        self.waiting.remove(label)
        for example in self.recorded.of(label.offset):
            label.joined |= not example.corrected
            label.corrected |= example.corrected
        if not (label.joined or label.corrected or label.repeated):
            return self._refuse(label, reason)
        for example in self.recorded.ended(label.offset):
            self.told.tell(example.event, example.event_time, example.value)
        outcome = LabelOutcome.JOINED if label.joined else LabelOutcome.CORRECTION if label.corrected else LabelOutcome.DUPLICATE
        self.counts[outcome.name.lower()] += 1
        return []

    def _refuse(self, label: Waiting | LabelRecord, reason: LabelReason) -> list[Refused]:
        outcome = LabelOutcome.TOO_LATE if reason == LabelReason.LABEL_TOO_LATE else LabelOutcome.UNMATCHED
        self.counts[outcome.name.lower()] += 1
        there = self.recorded.reason(label.offset) is not None
        self.recorded.ended(label.offset)
        return [] if there else [Refused(label, reason)]
