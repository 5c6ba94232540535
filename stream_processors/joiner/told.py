"""What has been told of which event already: tells a duplicate from a correction, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from contracts.errors import StateError

EVENTS = 1 << 19
"""Events remembered of a partition of labels, 32 bytes of state each. Of those told longest ago none is known any more: a
label for an event as old as they are is too late, or it could be joined twice."""

CHUNK_EVENTS = 1 << 14  # half a megabyte: what a checkpoint writes of it at least

_ROW = np.dtype([("partition", "<i8"), ("offset", "<i8"), ("event_time", "<i8"), ("value", "<f8")])
_OFFSET_BITS = 48


class EventName(NamedTuple):
    """The partition and offset of an event; whatever generation folded it."""

    partition: int
    offset: int


class Told:
    """A ring of events and the newest truth about each."""

    def __init__(self, events: int = EVENTS, chunk_events: int = CHUNK_EVENTS) -> None:
        self.count = 0  # told since the generation began; beyond `events` the oldest give way
        self.floor = -1  # greatest event time of those that gave way
        self._events, self._chunk_events = events, chunk_events
        self._chunks: list[np.ndarray[tuple[int], np.dtype[np.void]]] = []
        self._slots: dict[int, int] = {}
        self._changed: set[int] = set()

    def value(self, event: EventName, event_time: int) -> float | None:
        """What was told of an event; None where nothing was. An offset with another event time is another topic's event."""
        slot = self._slots.get(_key(event))
        if slot is None:
            return None
        row = self._row(slot)
        return float(row["value"]) if row["event_time"] == event_time else None

    def tell(self, event: EventName, event_time: int, value: float) -> None:
        """Notes the newest truth about an event."""
        slot = self._slots.get(_key(event))
        if slot is None:
            slot = self._new_slot()
            self._slots[_key(event)] = slot
        self._row(slot)[()] = (event.partition, event.offset, event_time, value)
        self._changed.add(slot // self._chunk_events)

    def changed_chunks(self) -> dict[str, bytes]:
        """Chunks that changed since the last call."""
        changed, self._changed = self._changed, set()
        return {name: data for at, (name, data) in enumerate(self.all_chunks().items()) if at in changed} if changed else {}

    def all_chunks(self) -> dict[str, bytes]:
        """Every chunk, by name."""
        used = min(self.count, self._events)
        return {
            _chunk_name(at): chunk[: min(self._chunk_events, used - at * self._chunk_events)].tobytes()
            for at, chunk in enumerate(self._chunks)
        }

    def forget_handed_out(self) -> None:
        """The next `changed_chunks` hands out everything."""
        self._changed = set(range(len(self._chunks)))

    def restore(self, chunks: Mapping[str, bytes], count: int, floor: int) -> None:
        """Puts back what `all_chunks` handed out; raises StateError where a chunk is missing or does not fit."""
        self.count, self.floor = count, floor
        used = min(count, self._events)
        for at in range(-(-used // self._chunk_events)):
            data = chunks.get(_chunk_name(at), b"")
            n = min(self._chunk_events, used - at * self._chunk_events)
            if len(data) != n * _ROW.itemsize:
                raise StateError(f"chunk {_chunk_name(at)} holds {len(data)} bytes where {n * _ROW.itemsize} are needed")
            chunk = np.zeros(self._chunk_events, _ROW)
            chunk[:n] = np.frombuffer(data, _ROW)
            self._chunks.append(chunk)
            first = at * self._chunk_events
            keys = (chunk["partition"][:n] << _OFFSET_BITS | chunk["offset"][:n]).tolist()
            self._slots.update(zip(keys, range(first, first + n), strict=True))

    def _new_slot(self) -> int:
        slot = self.count % self._events
        if self.count >= self._events:
            row = self._row(slot)
            self._slots.pop(_key(EventName(int(row["partition"]), int(row["offset"]))), None)
            self.floor = max(self.floor, int(row["event_time"]))
        elif slot % self._chunk_events == 0:
            self._chunks.append(np.zeros(self._chunk_events, _ROW))
        self.count += 1
        return slot

    def _row(self, slot: int) -> np.ndarray[tuple[()], np.dtype[np.void]]:
        at = slot % self._chunk_events
        return self._chunks[slot // self._chunk_events][at : at + 1].reshape(())


def _key(event: EventName) -> int:
    return event.partition << _OFFSET_BITS | event.offset


def _chunk_name(at: int) -> str:
    return f"told-{at:03d}"
