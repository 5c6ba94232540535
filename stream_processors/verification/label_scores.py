"""The scores that labels can be about, out of all that stand on their topic; the rest is passed over."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from contracts.columns import I64
from stream_processors.archive.score_decoding import ScoreRecord
from stream_processors.joiner.joiner import LEAST_WAIT, WAIT
from stream_processors.joiner.labels import Truth
from stream_processors.joiner.score_heads import ScoreHead
from stream_processors.joiner.score_index import CAPACITY
from stream_processors.joiner.told import EventName


class Event(NamedTuple):
    """A reading that was folded. An offset with another event time is another topic's."""

    name: EventName
    event_time: int


class _Heard(NamedTuple):
    """All scores of one entity on one partition, in the order of the topic."""

    positions: list[int]
    times: list[int]
    kafka_times: list[int]


class LabelScores:
    """Hears of all scores of a feed, partition by partition, and keeps those that the truths of some labels name.

    Args:
        truths: of the labels.
        examples: events that examples were made of, whoever named them.
        lateness: of the feed, µs.
    """

    def __init__(self, truths: Iterable[Truth], examples: Iterable[EventName], lateness: int) -> None:
        self.records: dict[Event, ScoreRecord] = {}  # the first score of each reading: its vector was the one used
        self._lateness = lateness
        self._names = set(examples)
        times: dict[str, set[int]] = {}
        spans: dict[str, list[tuple[int, int]]] = {}
        for truth in truths:
            if truth.score is not None:
                self._names.add(EventName(truth.score.partition, truth.score.offset))
            elif truth.until is None:
                times.setdefault(truth.entity, set()).add(truth.start)
            else:
                spans.setdefault(truth.entity, []).append((truth.start, truth.until))
        self._times = times
        self._spans = {entity: _merged(found) for entity, found in spans.items()}
        self._by_name: dict[EventName, list[Event]] = {}
        self._by_entity: dict[str, list[Event]] = {}
        self._heard: dict[str, dict[int, _Heard]] = {}  # by entity and partition
        self._clocks: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def hear(self, head: ScoreHead, kafka_time: int) -> bool:
        """Takes note of the next score of a partition; whether the whole record is to be kept."""
        entity, time = head.entity, head.event_time
        self._clocks[head.partition] = max(self._clocks.get(head.partition, -1), time)
        self._ends[head.partition] = head.position
        if entity in self._spans:
            heard = self._heard.setdefault(entity, {}).setdefault(head.partition, _Heard([], [], []))
            for column, value in zip(heard, (head.position, time, kafka_time), strict=True):
                column.append(value)
        return self._is_wanted(Event(EventName(head.partition, head.offset), time), entity)

    def keep(self, record: ScoreRecord) -> None:
        """Keeps a record that was heard of, unless it is of a reading that was scored before."""
        event = Event(EventName(record.partition, record.offset), record.score.event_time)
        if event in self.records:
            return
        self.records[event] = record
        self._by_name.setdefault(event.name, []).append(event)
        self._by_entity.setdefault(record.score.entity, []).append(event)

    def finish(self) -> None:
        """All scores have been heard of."""
        for events in self._by_entity.values():
            events.sort(key=lambda event: (event.event_time, event.name))

    def named(self, truth: Truth) -> list[Event]:
        """The readings that a truth is about, in the order of time."""
        if truth.score is not None:
            return self._by_name.get(EventName(truth.score.partition, truth.score.offset), [])
        events = self._by_entity.get(truth.entity, [])
        until = truth.start + 1 if truth.until is None else truth.until
        return events[bisect_left(events, truth.start, key=_time) : bisect_left(events, until, key=_time)]

    def must_be_known(self, truth: Truth, told_at: int, event: Event) -> bool:
        """Whether the event had been heard of when the interval of a truth, read not before `told_at`, was closed.

        An interval is closed by a reading of its entity after which no other can come, or given up after a day.
        """
        assert truth.until is not None
        partition = event.name.partition
        if self._heard[truth.entity].keys() != {partition}:
            return False  # the entity has moved: which partition closed the interval is not on record
        heard = self._heard[truth.entity][partition]
        newest = np.maximum.accumulate(np.array(heard.times, np.int64))
        closing = int(np.searchsorted(newest, truth.until - 1 + self._lateness, "right"))
        position = self.records[event].position
        if closing == len(newest) or heard.positions[closing] <= position or self._ends[partition] - position >= CAPACITY:
            return False
        waited = heard.kafka_times[closing] - told_at
        given_up = waited >= WAIT or (waited >= LEAST_WAIT and min(self._clocks.values()) > truth.until + WAIT)
        return not given_up

    def _is_wanted(self, event: Event, entity: str) -> bool:
        if event.name in self._names or event.event_time in self._times.get(entity, ()):
            return True
        spans = self._spans.get(entity)
        if spans is None:
            return False
        at = int(np.searchsorted(spans[:, 0], event.event_time, "right")) - 1
        return at >= 0 and event.event_time < int(spans[at, 1])


def _time(event: Event) -> int:
    return event.event_time


def _merged(spans: list[tuple[int, int]]) -> I64:
    """(m, 2) disjoint spans in rising order that cover the same times."""
    out: list[list[int]] = []
    for start, until in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], until)
        else:
            out.append([start, until])
    return np.array(out, np.int64)
