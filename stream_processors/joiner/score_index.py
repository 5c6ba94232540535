"""Where the scores of a feed stand on their topic, by id and by entity and event time; of the newest, in bounded memory.

A reading that was folded again in a later generation has two scores; the first one counts, since its vector was the one
that was used then.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from stream_processors.joiner.labels import ScoreName
from stream_processors.joiner.score_heads import ScoreHead

CAPACITY = 1 << 19
"""Scores remembered of each partition: an hour and a half at 100 readings a second. Fewer would make more
labels too late, more would be read again at each start."""

SCORE_BYTES = 40  # of a score in the index; entities add some hundred bytes each


class Found(NamedTuple):
    """An event that a label can be joined to."""

    name: ScoreName
    event_time: int
    position: int  # on the partition of `<feed>.scores` with the number of the event's


class Heard(NamedTuple):
    """What some scores were about: labels that wait for these are to be looked at again."""

    entities: frozenset[str]
    partitions: frozenset[int]


class ScoreIndex:
    """Takes scores in the order of their topic, partition by partition.

    Args:
        capacity: scores remembered of each partition; up to a quarter more are kept until they are forgotten together.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._partitions: dict[int, _Partition] = {}

    def begin(self, partition: int, whole: bool) -> None:
        """Says that a partition is read from now on, `whole` if from the first score that there ever was."""
        if partition not in self._partitions:
            self._partitions[partition] = _Partition(partition, self._capacity, whole)

    def take(self, scores: Iterable[ScoreHead]) -> Heard:
        """Takes the next scores; repeated ids are passed over."""
        entities, partitions = set(), set()
        for score in scores:
            partition = self._partitions.get(score.partition)
            if partition is None:
                partition = self._partitions[score.partition] = _Partition(score.partition, self._capacity, True)
            if partition.take(score):
                entities.add(score.entity)
                partitions.add(score.partition)
        return Heard(frozenset(entities), frozenset(partitions))

    def by_name(self, name: ScoreName) -> Found | None:
        """The event of a score."""
        partition = self._partitions.get(name.partition)
        return partition.by_name(name) if partition else None

    def passed(self, name: ScoreName) -> bool:
        """Whether a score with this id, unless it has been taken, will never come."""
        partition = self._partitions.get(name.partition)
        return partition is not None and (name.generation, name.offset) <= partition.last

    def forgotten(self, name: ScoreName) -> bool:
        """Whether a score with this id may have stood before what is remembered."""
        partition = self._partitions.get(name.partition)
        return partition is not None and not partition.whole and (name.generation, name.offset) < partition.first

    def at(self, entity: str, event_time: int) -> Found | None:
        """The first reading of an entity that was folded at this time."""
        found = self.within(entity, event_time, event_time + 1)
        return found[0] if found else None

    def within(self, entity: str, start: int, until: int) -> list[Found]:
        """Readings of an entity at start ≤ t < until, in the order of time, then of their folding; each once."""
        out = [found for partition in self._partitions.values() for found in partition.within(entity, start, until)]
        return sorted(out, key=lambda f: (f.event_time, f.name.partition, f.name.offset))

    def newest(self, entity: str) -> int | None:
        """The greatest event time remembered of an entity."""
        times = [track.newest for p in self._partitions.values() if (track := p.tracks.get(entity))]
        return max(times, default=None)

    def floor(self, entity: str) -> int:
        """Readings of the entity up to this time may have been forgotten; −1 where none was."""
        tracks = [track.floor for p in self._partitions.values() if (track := p.tracks.get(entity))]
        return max(tracks) if tracks else min((p.floor for p in self._partitions.values()), default=-1)

    def clock(self) -> int:
        """The greatest event time of all; −1 before the first."""
        return max((p.clock for p in self._partitions.values()), default=-1)

    def slowest_clock(self) -> int:
        """The clock of the partition that is furthest behind, of those that have one; −1 before the first."""
        return min((p.clock for p in self._partitions.values() if p.clock >= 0), default=-1)


class _Track:
    """Readings of one entity in one partition, in the order of event time, then of folding."""

    __slots__ = ("floor", "newest", "numbers", "times")

    def __init__(self, floor: int) -> None:
        self.times = array("q")
        self.numbers = array("q")
        self.newest = -1
        self.floor = floor

    def add(self, time: int, number: int) -> None:
        if not self.times or time >= self.times[-1]:
            self.times.append(time)
            self.numbers.append(number)
        else:
            at = bisect_right(self.times, time)
            self.times.insert(at, time)
            self.numbers.insert(at, number)
        self.newest = max(self.newest, time)

    def forget_below(self, number: int) -> None:
        times, numbers = np.array(self.times), np.array(self.numbers)
        kept = numbers >= number
        if kept.all():
            return
        self.floor = max(self.floor, int(times[~kept].max()))
        self.times, self.numbers = array("q", times[kept].tobytes()), array("q", numbers[kept].tobytes())


class _Partition:
    """Scores of one partition; each has a running number, and those below `_base` are forgotten."""

    def __init__(self, partition: int, capacity: int, whole: bool) -> None:
        self.tracks: dict[str, _Track] = {}
        self.whole = whole
        self.first = self.last = (-1, -1)  # (generation, offset)
        self.clock = -1
        self.floor = -1
        self._partition = partition
        self._capacity = capacity
        self._base = 0
        self._generations: list[tuple[int, int]] = []  # (generation, running number of its first score), rising
        self._offsets, self._times, self._positions = array("q"), array("q"), array("q")

    def take(self, record: ScoreHead) -> bool:
        at, time = (record.generation, record.offset), record.event_time
        if at <= self.last:
            return False
        number = self._base + len(self._offsets)
        if record.generation != self.last[0]:
            self._generations.append((record.generation, number))
        again = len(self._generations) > 1 and self._first_of(record.offset, time, number) is not None
        if self.first == (-1, -1):
            self.first = at
            self.floor = -1 if self.whole else time
        self.last, self.clock = at, max(self.clock, time)
        self._offsets.append(record.offset)
        self._times.append(time)
        self._positions.append(record.position)
        if not again:
            track = self.tracks.get(record.entity)
            if track is None:
                track = self.tracks[record.entity] = _Track(self.floor)
            track.add(time, number)
        if len(self._offsets) >= self._capacity * 5 // 4:
            self._forget(len(self._offsets) - self._capacity)
        return True

    def by_name(self, name: ScoreName) -> Found | None:
        for at, (generation, first) in enumerate(self._generations):
            if generation == name.generation:
                end = self._generations[at + 1][1] if at + 1 < len(self._generations) else self._base + len(self._offsets)
                number = self._number(name.offset, first, end)
                if number is not None:
                    again = self._first_of(name.offset, self._times[number - self._base], number)
                    return self._found(number if again is None else again)
        return None

    def within(self, entity: str, start: int, until: int) -> list[Found]:
        track = self.tracks.get(entity)
        if track is None:
            return []
        return [self._found(n) for n in track.numbers[bisect_left(track.times, start) : bisect_left(track.times, until)]]

    def _first_of(self, offset: int, time: int, before: int) -> int | None:
        """The score that the reading at an offset had in an earlier generation."""
        for at, (_, first) in enumerate(self._generations):
            end = self._generations[at + 1][1] if at + 1 < len(self._generations) else self._base + len(self._offsets)
            number = self._number(offset, first, min(end, before))
            if number is not None and self._times[number - self._base] == time:
                return number
        return None

    def _number(self, offset: int, first: int, end: int) -> int | None:
        """The running number of a source offset among first ≤ number < end, which are of one generation."""
        low, high = max(first - self._base, 0), end - self._base
        if low >= high or not self._offsets[low] <= offset <= self._offsets[high - 1]:
            return None
        at = bisect_left(self._offsets, offset, low, high)
        return at + self._base if self._offsets[at] == offset else None

    def _found(self, number: int) -> Found:
        at = number - self._base
        generation = next(g for g, first in reversed(self._generations) if first <= number)
        return Found(ScoreName(generation, self._partition, self._offsets[at]), self._times[at], self._positions[at])

    def _forget(self, count: int) -> None:
        """Forgets the oldest scores, and entities that have no other."""
        self.floor = max(self.floor, max(self._times[:count]))
        self.whole = False
        for column in (self._offsets, self._times, self._positions):
            del column[:count]
        self._base += count
        for track in self.tracks.values():
            track.forget_below(self._base)
        self.tracks = {entity: track for entity, track in self.tracks.items() if track.times}
        later = [first for _, first in self._generations[1:]] + [self._base + len(self._offsets)]
        self._generations = [g for g, end in zip(self._generations, later, strict=True) if end > self._base]
        self.first = (self._generations[0][0], self._offsets[0])
