"""Makes the records of a scenario, in log order, and counts what must become of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.errors import InputError
from contracts.outcomes import Outcome, Reason
from producers.batch import Batch
from producers.encoding import Encoder, Resolution, damage
from producers.faults import Block
from producers.plan import Expected, Plan
from producers.scenario import Scenario
from producers.seeds import part_generator
from producers.signals import F64, I64, Signal, SignalSource
from producers.transport_faults import ClockAhead, Silent

BLOCK_READINGS = 16_384  # enough to make the work a block costs in Python small, and few enough to start at once

PLAIN, COPY, DAMAGED = 0, 1, 2

Flags = NDArray[np.bool_]


class _Readings(NamedTuple):
    """Readings of one block, flattened in order of step, then entity."""

    time: I64  # µs, true
    entity: I64
    step: I64
    numbers: I64
    codes: I64
    truth: F64  # NaN where the scenario has none


class _Pending(NamedTuple):
    """Records not yet due, in the order they were made."""

    due: I64
    time: I64
    entity: I64
    outcome: I64  # PLAIN, COPY, or DAMAGED + Reason
    truth: F64
    keys: list[bytes]
    values: list[bytes]

    def joined(self, more: _Pending) -> _Pending:
        """These records, then more."""
        due, time, entity, outcome = (np.concatenate((a, b)) for a, b in zip(self[:4], more[:4], strict=True))
        truth = np.concatenate((self.truth, more.truth))
        return _Pending(due, time, entity, outcome, truth, self.keys + more.keys, self.values + more.values)

    def taken(self, rows: I64) -> _Pending:
        """The records at these places."""
        at = rows.tolist()
        due, time, entity, outcome = (column[rows] for column in self[:4])
        return _Pending(due, time, entity, outcome, self.truth[rows], [self.keys[i] for i in at], [self.values[i] for i in at])


class Simulation:
    """Records of a scenario from `start` to `end` (µs of event time). Same scenario, seed and times: same bytes.

    `plan` says what is planted; its counters grow while records are made. The records can be taken in parts:
    ``run(until)`` yields those that are due before `until`, the next call goes on from there.

    Raises:
        InputError: the seed is negative or the end is not after the start.
    """

    def __init__(self, scenario: Scenario, seed: int, start: int, end: int) -> None:
        if seed < 0:
            raise InputError(f"seed {seed}: write 0 or more")
        if end <= start:
            raise InputError("the simulation ends before it starts; choose a longer duration")
        self._scenario, self._seed = scenario, seed
        self._start, self._end = start // 1000 * 1000, end
        n = len(scenario.entities)
        self._source = SignalSource(scenario.signals, scenario.modes, n, scenario.cadence_us, seed)
        declared = {item.name: item for item in scenario.feed.numbers}
        self._sent = [(s, Resolution(s.resolution), declared[s.name]) for s in scenario.signals if s.name in declared]
        categories = {item.name for item in scenario.feed.categories}
        self._modes = [modes for modes in scenario.modes if modes.name in categories]
        self._encoder = Encoder(
            scenario.feed, scenario.entities, [(s.name, r) for s, r, _ in self._sent], [(m.name, m.names) for m in self._modes]
        )
        self._phase = part_generator(seed, "phase").integers(0, max(scenario.cadence_us * 9 // 10 // 1000, 1), n) * 1000
        self._part = {name: part_generator(seed, f"transport/{name}") for name in ("jitter", "choice", "delay", "damage")}
        self._fault_generator = [part_generator(seed, f"fault/{f.kind}/{f.field}/{f.entity}/{f.start}") for f in scenario.faults]
        self._previous = [np.full(n, np.nan) for _ in scenario.faults]
        self._truth_generator = part_generator(seed, "truth")
        self._keys = [name.encode() for name in scenario.entities]
        self._newest = np.full(n, np.iinfo(np.int64).min // 2)
        self._batches = self._make()
        self._held: Batch | None = None
        planted = scenario.planted(self._start, end, self._source.noise_std)
        self.plan = Plan(feed=scenario.feed.name, seed=seed, start=self._start, end=end, planted=planted, expected=Expected())

    @property
    def records_about(self) -> int:
        """About how many records there are to come in all."""
        readings = (self._end - self._start) / self._scenario.cadence_us * len(self._keys)
        return round(readings * (1.0 + self._scenario.transport.duplicates))

    def run(self, until: int | None = None) -> Iterator[Batch]:
        """The records due before `until` (µs of event time), or all that are left; in log order."""
        while True:
            batch, self._held = self._held or next(self._batches, None), None
            if batch is None:
                return
            cut = len(batch.keys) if until is None else int(np.searchsorted(batch.due, until, "left"))
            if cut < len(batch.keys):
                self._held = batch.cut(cut, len(batch.keys))
            if cut:
                yield batch.cut(0, cut)
            if self._held is not None:
                return

    def _make(self) -> Iterator[Batch]:
        cadence, n = self._scenario.cadence_us, len(self._keys)
        steps = max(BLOCK_READINGS // n, 1)
        total = -(-(self._end - self._start) // cadence)
        pending = _nothing()
        for first in range(0, total, steps):
            count = min(steps, total - first)
            pending = pending.joined(self._records(self._readings(first, count)))
            # whatever is made later is due at the next step or after
            edge = self._start + (first + count) * cadence if first + count < total else None
            batch, pending = self._release(pending, edge)
            if batch.keys:
                yield batch

    def _readings(self, first: int, count: int) -> _Readings:
        scenario, n = self._scenario, len(self._keys)
        step = first + np.arange(count, dtype=np.int64)
        jitter = self._part["jitter"].integers(0, scenario.jitter_us // 1000 + 1, (count, n)) * 1000
        times = self._start + step[:, None] * scenario.cadence_us + self._phase + jitter
        values, codes = self._source.values(times)
        truth = np.full(times.shape, np.nan)
        if scenario.truth is not None:
            truth = scenario.truth.of(values, times, self._truth_generator)
        self._apply_faults(values, times, first)
        scaled = [r.scale(values[s.name], item.low, item.high).ravel() for s, r, item in self._sent]
        return _Readings(
            times.ravel(),
            np.tile(np.arange(n), count),
            np.repeat(step, n),
            np.stack(scaled, axis=1) if scaled else np.empty((count * n, 0), np.int64),
            np.stack([codes[m.name].ravel() for m in self._modes], axis=1) if self._modes else np.empty((count * n, 0), np.int64),
            truth.ravel(),
        )

    def _apply_faults(self, values: dict[str, F64], times: I64, first: int) -> None:
        scenario, sigma = self._scenario, self._source.noise_std
        others: dict[str, F64] = {}
        if any(f.kind == "relation" for f in scenario.faults):
            others = {s.name: values[s.name] - self._source.level[s.name] for s in scenario.signals if isinstance(s, Signal)}
        for index, fault in enumerate(scenario.faults):
            columns = slice(None)
            if fault.entity is not None:
                at = list(scenario.entities).index(fault.entity)
                columns = slice(at, at + 1)
            block = Block(
                values[fault.field][:, columns],
                times[:, columns],
                first,
                self._previous[index][columns],
                sigma[fault.field],
                {name: other[:, columns] for name, other in others.items()},
                self._fault_generator[index],
            )
            fault.apply(block)
            self._previous[index] = values[fault.field][-1].copy()

    def _records(self, r: _Readings) -> _Pending:
        """The records of readings: what is silent left out, clocks set wrong, some damaged, delayed or repeated."""
        share, scenario = self._scenario.transport, self._scenario
        choice, delay_draw = (self._part[name].random(len(r.time)) for name in ("choice", "delay"))
        damage_draw = self._part["damage"].integers(0, len(share.kinds), len(r.time))
        stated, sent, ahead = self._clocks(r)
        edges = np.cumsum([share.malformed, share.late, share.disorder, share.duplicates])
        fate = np.where(ahead, 4, np.searchsorted(edges, choice, "right"))
        room = scenario.displacement
        overtaken = 1 + (delay_draw * room).astype(np.int64) if room else np.ones(len(r.time), np.int64)
        half = scenario.cadence_us // 2
        due = r.time.copy()
        due[fate == 1] += scenario.feed.lateness_us + 2 * scenario.cadence_us + half
        due[fate == 2] += (overtaken * scenario.cadence_us)[fate == 2] + _gap(scenario)
        outcome = np.where(ahead, DAMAGED + int(Reason.CLOCK_AHEAD), PLAIN)
        keep = np.flatnonzero(sent)
        values = self._encoder.encode(stated[keep] // 1000, r.entity[keep], r.step[keep], r.numbers[keep], r.codes[keep])
        entity = r.entity[keep]
        keys = [self._keys[e] for e in entity.tolist()]
        for at in np.flatnonzero(fate[keep] == 0).tolist():
            reason = share.kinds[int(damage_draw[keep[at]])]
            outcome[keep[at]] = DAMAGED + int(reason)
            values[at] = damage(values[at], reason, scenario.feed)
            if reason == Reason.KEY:
                keys[at] += b"?"
        again = np.flatnonzero(fate[keep] == 3)
        repeat_due = (r.time + ((overtaken - 1) * scenario.cadence_us if room else 0) + _gap(scenario))[keep][again]
        return _Pending(
            np.concatenate((due[keep], repeat_due)),
            np.concatenate((stated[keep], stated[keep][again])),
            np.concatenate((entity, entity[again])),
            np.concatenate((outcome[keep], np.full(len(again), COPY))),
            np.concatenate((np.where(outcome[keep] == PLAIN, r.truth[keep], np.nan), np.full(len(again), np.nan))),
            keys + [keys[i] for i in again.tolist()],
            values + [values[i] for i in again.tolist()],
        )

    def _clocks(self, r: _Readings) -> tuple[I64, Flags, Flags]:
        """Stated times, whether a reading is sent, and whether its clock is ahead."""
        stated = r.time.copy()
        sent: Flags = r.time < self._end
        ahead: Flags = np.zeros(len(r.time), np.bool_)
        for fault in self._scenario.transport_faults:
            mine = r.entity == list(self._scenario.entities).index(fault.entity)
            mine &= (r.time >= fault.start) & (r.time < fault.end)
            if isinstance(fault, Silent):
                sent &= ~mine
            elif isinstance(fault, ClockAhead):
                mine &= r.step % fault.every == 0
                stated[mine] += fault.ahead_us
                ahead |= mine
        return stated, sent, ahead

    def _release(self, pending: _Pending, edge: int | None) -> tuple[Batch, _Pending]:
        """What is due before `edge` as a batch, counted; and the rest."""
        order = np.argsort(pending.due, kind="stable")
        cut = len(order) if edge is None else int(np.searchsorted(pending.due[order], edge, "left"))
        now = pending.taken(order[:cut])
        self._count(now)
        truth = None if self._scenario.truth is None else now.truth
        return Batch(now.keys, now.values, now.time, now.due, truth), pending.taken(np.sort(order[cut:]))

    def _count(self, now: _Pending) -> None:
        counts = np.zeros(4, np.int64)
        reasons = np.zeros(len(Reason), np.int64)
        lateness = self._scenario.feed.lateness_us
        _become(now.entity, now.time, now.outcome, self._newest, lateness, counts, reasons)
        expected = self.plan.expected
        expected.read += len(now.keys)
        expected.folded += int(counts[Outcome.FOLDED])
        expected.duplicate += int(counts[Outcome.DUPLICATE])
        expected.late += int(counts[Outcome.LATE])
        expected.dead_lettered += int(counts[Outcome.DEAD_LETTERED])
        for reason in np.flatnonzero(reasons).tolist():
            code = Reason(reason).code
            expected.reasons[code] = expected.reasons.get(code, 0) + int(reasons[reason])


def _nothing() -> _Pending:
    none = np.empty(0, np.int64)
    return _Pending(none, none, none, none, np.empty(0), [], [])


def _gap(scenario: Scenario) -> int:
    """A record overtaken by k readings is due this long after the k-th: behind it, whatever its jitter, and before the next."""
    return scenario.cadence_us // 2


@numba.njit(cache=True, nogil=True)
def _become(entity: I64, time: I64, outcome: I64, newest: I64, lateness: int, counts: I64, reasons: I64) -> None:
    """Counts what records become (docs/semantics.md, section 2): shape, key and clock first, then late, then duplicate."""
    for i in range(len(entity)):
        if outcome[i] >= 2:
            counts[3] += 1
            reasons[outcome[i] - 2] += 1
        elif time[i] < newest[entity[i]] - lateness:
            counts[2] += 1
        elif outcome[i] == 1:
            counts[1] += 1
        else:
            counts[0] += 1
            newest[entity[i]] = max(newest[entity[i]], time[i])
