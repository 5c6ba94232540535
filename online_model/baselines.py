"""What anyone would predict without a model: the entity's last known label, and the mean of its hour of day.

Last known means known when the prediction was made: the newest label of an event at least the label delay older. For classes the
last one has the share of times that it was right so far, and the others what is left; the hour's class frequencies are smoothed
with the feed's, as if those were one label more. Hours are UTC's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import StateError
from online_model.state_codec import decode_state, encode_state

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

HOUR = 3_600_000_000  # µs
HOURS = 24
KEPT = 10  # labels remembered an entity to look back by the delay: one for each eighth of it, and one beyond on either side
MOST_BYTES = 8 << 20  # of rows; a state above 16 MB cannot be carried
_FREE = np.iinfo(np.int64).min  # event time of a place that holds no label
_ARRAYS = ("sums", "counts", "times", "values", "feed")


class Baselines:
    """Both baselines for the entities that were labelled last, in log order; the entity longest without a label gives way."""

    def __init__(self, outputs: int, label_delay_us: int, max_entities: int) -> None:
        row = 8 * (HOURS * (outputs + 1) + KEPT * (outputs + 1))
        self._entities = max(1, min(max_entities, MOST_BYTES // row))
        self._identity = {"outputs": outputs, "delay": label_delay_us, "entities": self._entities}
        self._outputs, self._delay = outputs, label_delay_us
        self._eighth = max(1, label_delay_us // 8)
        self._rows: dict[str, int] = {}  # entity -> row, longest without a label first
        self.sums: F64 = np.zeros((0, HOURS, outputs))
        self.counts: I64 = np.zeros((0, HOURS), np.int64)
        self.times: I64 = np.zeros((0, KEPT), np.int64)  # event times of the labels remembered, newest first
        self.values: F64 = np.zeros((0, KEPT, outputs))
        self.feed: F64 = np.zeros(outputs + 3)  # sum of all labels (outputs,), their count; the last label's answers: asked, right

    def predict(self, entity: str, event_time: int) -> tuple[F64, F64]:
        """(last known label, mean of the hour), each (outputs,): numbers, or probabilities. NaN for a number before the first label."""
        return self._last(entity, event_time), self._hour(entity, event_time)

    def learn(self, entity: str, event_time: int, value: F64, previous: F64 | None = None) -> None:
        """Takes in a label (outputs,); `previous` is what it corrects."""
        if previous is not None:
            self._correct(entity, event_time, value, previous)
            return
        if self._outputs > 1:
            known = self._known(entity, event_time)
            if known is not None:
                self.feed[-2] += 1.0
                self.feed[-1] += float(np.argmax(known) == np.argmax(value))
        row, hour = self._row(entity), event_time // HOUR % HOURS
        self.sums[row, hour] += value
        self.counts[row, hour] += 1
        self.feed[: self._outputs] += value
        self.feed[self._outputs] += 1.0
        self._remember(row, event_time, value)

    def to_bytes(self) -> bytes:
        """All of the state; equal states give equal bytes."""
        arrays = {name: getattr(self, name)[: len(self._rows)] for name in _ARRAYS[:-1]} | {"feed": self.feed}
        return encode_state({"identity": self._identity, "rows": self._rows, "arrays": arrays})

    def from_bytes(self, data: bytes) -> Baselines:
        """Raises StateError where the bytes are of other outputs, another delay or cap, or of rows that do not fit."""
        state = decode_state(data)
        if type(state) is not dict or list(state) != ["identity", "rows", "arrays"] or state["identity"] != self._identity:
            raise StateError("stored baselines are of another target, label delay or cap; rebuild them by a refold")
        rows, arrays = state["rows"], state["arrays"]
        restored = Baselines(self._outputs, self._delay, self._entities)
        if type(rows) is not dict or type(arrays) is not dict or tuple(arrays) != _ARRAYS or len(rows) > self._entities:
            raise StateError("stored baselines have other parts, or more entities than their cap; rebuild them by a refold")
        places = list(rows.values())
        named = all(type(entity) is str for entity in rows) and all(type(place) is int for place in places)
        if not named or sorted(places) != list(range(len(rows))):
            raise StateError("stored baselines have entities without a row of their own; rebuild them by a refold")
        for name, array in arrays.items():
            own: NDArray[Any] = getattr(restored, name)
            shape = own.shape if name == "feed" else (len(rows), *own.shape[1:])
            if type(array) is not np.ndarray or array.dtype != own.dtype or array.shape != shape or not np.all(np.isfinite(array)):
                raise StateError(f"stored baselines have {name} of another size, or not finite; rebuild them by a refold")
            setattr(restored, name, array)
        if np.any(restored.counts < 0) or np.any(restored.feed[self._outputs :] < 0.0):
            raise StateError("stored baselines have a count below 0; rebuild them by a refold")
        restored._rows = rows
        return restored

    def _last(self, entity: str, event_time: int) -> F64:
        known = self._known(entity, event_time)
        if known is None:
            return self._all()
        if self._outputs == 1:
            return known.copy()
        right = (self.feed[-1] + 1.0) / (self.feed[-2] + 2.0)
        out = np.full(self._outputs, (1.0 - right) / (self._outputs - 1))
        out[int(np.argmax(known))] = right
        return out

    def _hour(self, entity: str, event_time: int) -> F64:
        row, hour = self._rows.get(entity), event_time // HOUR % HOURS
        count = 0 if row is None else int(self.counts[row, hour])
        if row is None or count == 0:
            return self._all()
        if self._outputs == 1:
            return np.asarray(self.sums[row, hour] / count)
        return np.asarray((self.sums[row, hour] + self._all()) / (count + 1.0))

    def _all(self) -> F64:
        """Mean of all labels of the feed; of classes as if each had been seen once more."""
        total, count = self.feed[: self._outputs], float(self.feed[self._outputs])
        if self._outputs > 1:
            return np.asarray((total + 1.0) / (count + self._outputs))
        return np.asarray(total / count) if count else np.full(1, np.nan)

    def _known(self, entity: str, event_time: int) -> F64 | None:
        """The newest remembered label of an event that is at least the delay older."""
        row = self._rows.get(entity)
        if row is None:
            return None
        for place in range(KEPT):
            time = int(self.times[row, place])
            if time != _FREE and time <= event_time - self._delay:
                return np.asarray(self.values[row, place])
        return None

    def _row(self, entity: str) -> int:
        """The entity's row, as the one labelled last."""
        row = self._rows.pop(entity, None)
        if row is None and len(self._rows) < self._entities:
            row = len(self._rows)
            if row == len(self.sums):
                self._grow(max(16, 2 * row))
            self._clear(row)
        elif row is None:
            row = self._rows.pop(next(iter(self._rows)))
            self._clear(row)
        self._rows[entity] = row
        return row

    def _grow(self, size: int) -> None:
        for name in _ARRAYS[:-1]:
            array: NDArray[Any] = getattr(self, name)
            setattr(self, name, np.concatenate((array, np.zeros((size - len(array), *array.shape[1:]), array.dtype))))

    def _clear(self, row: int) -> None:
        self.sums[row], self.counts[row], self.values[row], self.times[row] = 0.0, 0, 0.0, _FREE

    def _remember(self, row: int, event_time: int, value: F64) -> None:
        """Keeps the newest label of each eighth of the delay, newest first; what is older than all of a full row is let go."""
        times, values = self.times[row], self.values[row]
        place = int(np.count_nonzero(times > event_time))
        if place > 0 and times[place - 1] // self._eighth == event_time // self._eighth:
            return  # a newer label of the same eighth is there
        if place == KEPT:
            return
        same = times[place] != _FREE and times[place] // self._eighth == event_time // self._eighth
        if not same:
            times[place + 1 :], values[place + 1 :] = times[place:-1].copy(), values[place:-1].copy()
        times[place], values[place] = event_time, value

    def _correct(self, entity: str, event_time: int, value: F64, previous: F64) -> None:
        """Puts a value in another's place, as far as that can be among those remembered: else a class would count less than 0 times."""
        hour = event_time // HOUR % HOURS
        if self._holds(self.feed[: self._outputs], float(self.feed[self._outputs]), previous):
            self.feed[: self._outputs] += value - previous
        row = self._rows.get(entity)
        if row is not None and self._holds(self.sums[row, hour], float(self.counts[row, hour]), previous):
            self.sums[row, hour] += value - previous
            self.values[row][self.times[row] == event_time] = value

    def _holds(self, total: F64, count: float, value: F64) -> bool:
        """Whether a label can be one of the `count` that a sum is of."""
        return count > 0.0 and (self._outputs == 1 or bool(np.all(total >= value)))
