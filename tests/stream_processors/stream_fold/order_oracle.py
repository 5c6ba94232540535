"""Section 2 of docs/semantics.md in plain Python, from the clock rule on: slow, obvious, and nothing of the fold in it.

Only the hash that chooses a bucket of the table of evicted entities is the fold's own: it is part of the format.
"""

from __future__ import annotations

from typing import NamedTuple

from contracts.hashing import hash_text

WAYS = 4  # floors in a bucket
LEAST_BUCKETS = 16


class Reading(NamedTuple):
    """One well-formed record."""

    entity: str
    time: int  # event time, µs
    kafka_time: int  # µs, -1 none
    content: object


class Entity:
    """What the rule knows of one entity."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.newest: int | None = None
        self.remembered: list[tuple[int, object]] = []
        self.last_read = -1

    def watermark(self, lateness: int) -> int:
        return self.floor if self.newest is None else max(self.newest - lateness, self.floor)


class Oracle:
    """Decides record by record; counts what it had to forget."""

    def __init__(self, lateness: int, tolerance: int, remembered: int, max_entities: int) -> None:
        self.lateness, self.tolerance, self.remembered, self.max_entities = lateness, tolerance, remembered, max_entities
        self.known: dict[str, Entity] = {}
        self.buckets: list[list[tuple[str, int]]] = [[("", 0)] * WAYS for _ in range(max(LEAST_BUCKETS, max_entities // WAYS))]
        self.unknown_floor = 0
        self.counted = {"forgotten": 0, "evicted": 0, "overflowed": 0, "out_of_order": 0}

    def decide(self, offset: int, reading: Reading) -> str:
        """What the record at this offset ends as: folded, duplicate, late or clock_ahead."""
        entity = self.known.get(reading.entity)
        if reading.kafka_time >= 0 and reading.time > reading.kafka_time + self.tolerance:
            if entity:
                entity.last_read = offset
            return "clock_ahead"
        if entity is None:
            bucket = self._bucket(reading.entity)
            floor = max([self.unknown_floor, *(floor for name, floor in bucket if name == reading.entity)])
            if reading.time < floor:
                return "late"
            if len(self.known) == self.max_entities:
                self._evict()
            # the floor may have been raised, and the entity's own dropped, by the eviction
            own = [floor for name, floor in bucket if name == reading.entity]
            bucket[:] = [("", 0) if name == reading.entity else (name, floor) for name, floor in bucket]
            entity = self.known[reading.entity] = Entity(max([self.unknown_floor, *own]))
            entity.last_read = offset
        else:
            entity.last_read = offset
            if reading.time < entity.watermark(self.lateness):
                return "late"
            if (reading.time, reading.content) in entity.remembered:
                return "duplicate"
        self._fold(entity, reading)
        return "folded"

    def _fold(self, entity: Entity, reading: Reading) -> None:
        if entity.newest is not None and reading.time < entity.newest:
            self.counted["out_of_order"] += 1
        entity.newest = reading.time if entity.newest is None else max(entity.newest, reading.time)
        if len(entity.remembered) == self.remembered:
            oldest = min(entity.remembered, key=lambda item: item[0])
            entity.remembered.remove(oldest)
            if oldest[0] >= entity.watermark(self.lateness):
                entity.floor = oldest[0] + 1
                self.counted["forgotten"] += 1
        entity.remembered.append((reading.time, reading.content))

    def _evict(self) -> None:
        name = min(self.known, key=lambda name: self.known[name].last_read)
        gone = self.known.pop(name)
        assert gone.newest is not None
        self.counted["evicted"] += 1
        bucket = self._bucket(name)
        lowest = min(range(WAYS), key=lambda way: bucket[way][1])  # the first of equals; an empty place is below all
        if bucket[lowest][0]:
            self.unknown_floor = max(self.unknown_floor, bucket[lowest][1])
            self.counted["overflowed"] += 1
        bucket[lowest] = (name, max(gone.newest + 1, gone.floor))

    def _bucket(self, name: str) -> list[tuple[str, int]]:
        return self.buckets[hash_text(name) % len(self.buckets)]
