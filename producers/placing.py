"""Key to partition as Kafka's clients place it, remembered: hashing a key in Python costs a sixth of sending its record."""

from __future__ import annotations

from typing import Any

from kafka.partitioner.default import DefaultPartitioner

MOST_KEYS = 200_000  # forgotten all at once beyond it, so that ever new keys do not fill the memory


class RememberedPlacing(DefaultPartitioner):  # type: ignore[misc]
    """murmur2 of the key modulo the number of partitions, as the Java client; each key is hashed once."""

    def __init__(self) -> None:
        self._placed: dict[tuple[str, int, bytes], int] = {}

    def partition(self, topic: str, key: Any, serialized_key: bytes | None, value: Any, serialized_value: Any, cluster: Any) -> int:
        """The partition of a record; a record without a key goes to any."""
        if serialized_key is None:
            return int(super().partition(topic, key, serialized_key, value, serialized_value, cluster))
        where = (topic, len(cluster.partitions_for_topic(topic)), serialized_key)
        placed = self._placed.get(where)
        if placed is None:
            if len(self._placed) >= MOST_KEYS:
                self._placed.clear()
            placed = self._placed[where] = int(super().partition(topic, key, serialized_key, value, serialized_value, cluster))
        return placed
