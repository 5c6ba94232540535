"""Which slot an entity has: an open-addressing index, the order of last reading, and eviction under a cap.

None of it shows in the outputs but the eviction: the entity longest unread in log order gives up its slot, and its
name's hash and watermark go to a bounded table, so that a return is no second folding of what was folded.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from stream_processors.stream_fold.entity_rows import LAST_OFFSET, NAME_HASH, has_name
from stream_processors.stream_fold.partition_words import UNKNOWN_FLOOR

WAYS = 4  # entries in a bucket of the table of evicted entities


def new_index(capacity: int) -> NDArray[np.int64]:
    """An empty index for at most `capacity` slots, at most half full."""
    size = 16
    while size < 2 * capacity:
        size *= 2
    return np.full(size, -1, np.int64)


@numba.njit(cache=True, nogil=True)
def find_slot(index, W, name_hash, names, start, end):  # type: ignore[no-untyped-def]
    """Slot of the entity, or -1."""
    mask = len(index) - 1
    at = np.int64(name_hash & np.uint64(mask))
    while index[at] >= 0:
        if has_name(W, index[at], name_hash, names, start, end):
            return index[at]
        at = (at + 1) & mask
    return -1


@numba.njit(cache=True, nogil=True)
def insert_slot(index, name_hash, slot):  # type: ignore[no-untyped-def]
    """Puts a slot whose entity is not in the index."""
    mask = len(index) - 1
    at = np.int64(np.uint64(name_hash) & np.uint64(mask))
    while index[at] >= 0:
        at = (at + 1) & mask
    index[at] = slot


@numba.njit(cache=True, nogil=True)
def remove_slot(index, W, slot):  # type: ignore[no-untyped-def]
    """Takes a slot out and closes the gap it leaves (Knuth, TAOCP 3, 6.4, algorithm R)."""
    mask = len(index) - 1
    at = np.int64(np.uint64(W[slot, NAME_HASH]) & np.uint64(mask))
    while index[at] != slot:
        at = (at + 1) & mask
    hole = at
    while True:
        at = (at + 1) & mask
        if index[at] < 0:
            break
        home = np.int64(np.uint64(W[index[at], NAME_HASH]) & np.uint64(mask))
        if ((at - home) & mask) >= ((at - hole) & mask):
            index[hole] = index[at]
            hole = at
    index[hole] = -1


@numba.njit(cache=True, nogil=True)
def rebuild_index(index, W, entities):  # type: ignore[no-untyped-def]
    """Fills an empty index with the first `entities` slots."""
    for slot in range(entities):
        insert_slot(index, np.uint64(W[slot, NAME_HASH]), slot)


@numba.njit(cache=True, nogil=True)
def longest_unread(W, order, order_offset, order_next):  # type: ignore[no-untyped-def]
    """The slot longest unread in log order, or -1 where the order is used up and must be made anew.

    `order` holds slots by rising offset of last reading as of when it was made, `order_offset` those offsets. Whoever
    was read since has moved behind all of them, so the first that was not is the one.
    """
    while order_next[0] < len(order):
        at = order_next[0]
        order_next[0] += 1
        if W[order[at], LAST_OFFSET] == order_offset[at]:
            return order[at]
    return -1


@numba.njit(cache=True, nogil=True)
def bury(evicted, P, name_hash, floor):  # type: ignore[no-untyped-def]
    """Keeps (hash, floor) of an evicted entity; returns 1 where a full bucket made it raise the floor of unknown ones.

    `evicted` has shape (buckets, WAYS, 2); an empty place has hash 0.
    """
    bucket = np.int64(np.uint64(name_hash) % np.uint64(len(evicted)))
    lowest = 0
    for way in range(WAYS):
        if evicted[bucket, way, 0] == np.int64(name_hash) or evicted[bucket, way, 0] == 0:
            evicted[bucket, way, 0] = np.int64(name_hash)
            evicted[bucket, way, 1] = max(floor, evicted[bucket, way, 1])
            return 0
        if evicted[bucket, way, 1] < evicted[bucket, lowest, 1]:
            lowest = way
    P[UNKNOWN_FLOOR] = max(P[UNKNOWN_FLOOR], evicted[bucket, lowest, 1])
    evicted[bucket, lowest, 0] = np.int64(name_hash)
    evicted[bucket, lowest, 1] = floor
    return 1


@numba.njit(cache=True, nogil=True)
def dig_up(evicted, P, name_hash):  # type: ignore[no-untyped-def]
    """The floor that a new entity begins with: its own from before an eviction, else that of unknown ones."""
    bucket = np.int64(np.uint64(name_hash) % np.uint64(len(evicted)))
    for way in range(WAYS):
        if evicted[bucket, way, 0] == np.int64(name_hash):
            floor = evicted[bucket, way, 1]
            evicted[bucket, way, 0] = 0
            evicted[bucket, way, 1] = 0
            return max(floor, P[UNKNOWN_FLOOR])
    return P[UNKNOWN_FLOOR]
