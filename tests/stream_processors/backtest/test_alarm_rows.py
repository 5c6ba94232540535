"""Rows within open incidents, and where entities are placed."""

from __future__ import annotations

import numpy as np
from kafka.cluster import ClusterMetadata
from kafka.partitioner.default import DefaultPartitioner

from stream_processors.backtest.alarm_rows import OpenTime, alarm_rows
from stream_processors.backtest.partition_folds import as_recorded, place_entities

TIMES = np.array([10, 20, 20, 30, 40, 50])
ENTITY = np.array([0, 1, 0, 0, 1, -1])


def test_an_incident_marks_its_entity_while_it_is_open() -> None:
    """From the opening on, to before its end, rows of that entity alone; without an end to the last row."""
    assert alarm_rows([OpenTime("i", "drift", "a", 20, 40)], TIMES, ENTITY, {"a": 0, "b": 1}).tolist() == [0, 0, 1, 1, 0, 0]
    assert alarm_rows([OpenTime("i", "drift", "b", 20, 40)], TIMES, ENTITY, {"a": 0, "b": 1}).tolist() == [0, 1, 0, 0, 0, 0]
    assert alarm_rows([OpenTime("i", "drift", "b", 20, None)], TIMES, ENTITY, {"a": 0, "b": 1}).tolist() == [0, 1, 0, 0, 1, 0]


def test_an_incident_of_the_feed_marks_every_row() -> None:
    """Also rows that name no entity."""
    assert alarm_rows([OpenTime("i", "drift", None, 30, None)], TIMES, ENTITY, {}).tolist() == [0, 0, 0, 1, 1, 1]


def test_entities_are_placed_as_kafkas_clients_place_keys() -> None:
    """The partition of a name is that of the default partitioner."""
    names = [f"pump-{i}é".encode() for i in range(200)]

    class Cluster(ClusterMetadata):
        def topics(self, exclude_internal_topics: bool = True) -> set[str]:
            return {"t"}

        def partitions_for_topic(self, topic: str) -> set[int]:
            return set(range(7))

        def available_partitions_for_topic(self, topic: str) -> set[int]:
            return set(range(7))

    placed = [DefaultPartitioner().partition("t", None, name, None, None, Cluster()) for name in names]
    assert place_entities(names, 7).tolist() == placed
    assert len(set(placed)) == 7


def test_numbers_are_rounded_as_records_write_them() -> None:
    """Half away from zero at the sixth decimal, cut at ±1e9; none stays none."""
    found = as_recorded(np.array([0.1234565, 0.12345649, 1.0, -0.1234565, -2e9, 2e9, np.nan]))
    assert found[:6].tolist() == [0.123457, 0.123456, 1.0, -0.123457, -1e9, 1e9]
    assert np.isnan(found[6])
