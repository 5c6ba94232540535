"""A partition's state as chunks of bytes for a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.errors import StateError
from online_model.conformal import GroupScores, new_group_scores
from stream_processors.stream_fold.entity_index import rebuild_index
from stream_processors.stream_fold.partition_state import Entities, Partition, new_entities, new_partition


def entity_chunks(entities: Entities, count: int, rows_in_chunk: int, chunks: Iterable[int]) -> dict[str, bytes]:
    """These chunks of the rows of `count` entities, by name ``rows-000000``."""
    found = {}
    for chunk in chunks:
        first, last = chunk * rows_in_chunk, min((chunk + 1) * rows_in_chunk, count)
        found[_rows_name(chunk)] = entities.W[first:last].astype("<i8", copy=False).tobytes()
    return found


def entities_from_chunks(chunks: Mapping[str, bytes], count: int, slots: int, width: int, rows_in_chunk: int) -> Entities:
    """Rows put back, with a fresh index.

    Raises:
        StateError: a chunk is missing or its length does not fit the definition.
    """
    entities = new_entities(slots, width)
    for chunk in range(-(-count // rows_in_chunk)):
        first, last = chunk * rows_in_chunk, min((chunk + 1) * rows_in_chunk, count)
        data = chunk_of(chunks, _rows_name(chunk))
        if len(data) != (last - first) * width * 8:
            raise StateError(f"chunk {_rows_name(chunk)} holds {len(data)} bytes where the definition needs {(last - first) * width * 8}")
        entities.W[first:last] = np.frombuffer(data, "<i8").reshape(last - first, width)
    rebuild_index(entities.slots, entities.W, count)
    return entities


def partition_to_bytes(partition: Partition) -> bytes:
    """The partition's own words and tables, one after the other."""
    return b"".join(array.tobytes() for array in _arrays(partition))


def partition_from_bytes(feed: Feed, chunks: Mapping[str, bytes]) -> Partition:
    """The partition's own words and tables put back; raises StateError where they do not fit the definition."""
    partition = new_partition(feed)
    data = chunk_of(chunks, "partition")
    arrays = _arrays(partition)
    if len(data) != sum(array.nbytes for array in arrays):
        raise StateError("chunk partition does not fit the definition")
    at = 0
    for array in arrays:
        array[...] = np.frombuffer(data[at : at + array.nbytes], array.dtype).reshape(array.shape)
        at += array.nbytes
    return partition


def group_scores_to_bytes(group: GroupScores) -> bytes:
    """The scores that all entities share, with their count in front."""
    return group.remembered.tobytes() + group.keys.tobytes()


def group_scores_from_bytes(chunks: Mapping[str, bytes]) -> GroupScores:
    """The shared scores put back; raises StateError where they do not fit."""
    group = new_group_scores()
    data = chunk_of(chunks, "group")
    if len(data) != group.remembered.nbytes + group.keys.nbytes:
        raise StateError("chunk group does not fit this version")
    group.remembered[:] = np.frombuffer(data[:8], np.int64)
    group.keys[:] = np.frombuffer(data[8:], np.int64)
    return group


def _arrays(partition: Partition) -> list[NDArray[Any]]:
    return [partition.P, partition.evicted, *partition.categories, partition.settled, partition.consistency]


def _rows_name(chunk: int) -> str:
    return f"rows-{chunk:06d}"


def chunk_of(chunks: Mapping[str, bytes], name: str) -> bytes:
    """One chunk; raises StateError where it is missing."""
    if name not in chunks:
        raise StateError(f"the checkpoint has no chunk {name}")
    return chunks[name]
