"""What every entity's row begins with: its name, its times, its place in the order of last reading, what it remembers."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.outcomes import MAX_ENTITY_BYTES

NAME_HASH = 0
NAME_LENGTH = 1  # bytes of UTF-8
NAME = 2  # MAX_ENTITY_BYTES of name
NEWEST = NAME + MAX_ENTITY_BYTES // 8  # greatest event time folded, µs
FLOOR = NEWEST + 1  # readings below are late whatever the lateness
FIRST_TIME = NEWEST + 2  # event time of the first reading folded
READINGS = NEWEST + 3  # folded so far
LAST_OFFSET = NEWEST + 4  # of the record of it that was last read, folded or not
PARTIAL = NEWEST + 5  # windows not yet filled when the entity was folded last
HEARD = NEWEST + 6  # active clock (float) when a record of it was last read
CADENCE = NEWEST + 7  # running mean interval of in-order readings, µs (float)
LONGEST_GAP = NEWEST + 8  # longest interval seen, µs (float), slowly forgotten
SILENCE_LEVEL = NEWEST + 9  # whole decades of silence evidence already told
VECTOR_TILE = NEWEST + 10  # last 10 s tile of event time whose vector was logged
FOLDED_OFFSET = NEWEST + 11  # of the record folded last
FOLDED_KAFKA_TIME = NEWEST + 12  # its Kafka timestamp, µs, -1 none
REMEMBERED = NEWEST + 13  # then `remembered` times, then as many fingerprints


class EntityPlan(NamedTuple):
    """Words of the head of a row."""

    base: int
    words: int
    remembered: int
    lateness: int  # µs


def plan_entity(remembered: int, lateness: int) -> EntityPlan:
    """The head always stands at word 0."""
    return EntityPlan(0, REMEMBERED + 2 * remembered, remembered, lateness)


@numba.njit(cache=True, nogil=True)
def reset_entity(F, W, slot, plan, name_hash, names, start, end, floor):  # type: ignore[no-untyped-def]
    """Begins the head of an entity that has not been seen, or was evicted with `floor` left behind."""
    W[slot, : plan.words] = 0
    W[slot, NAME_HASH] = np.int64(name_hash)
    W[slot, NAME_LENGTH] = end - start
    for i in range(start, end):
        j = i - start
        W[slot, NAME + j // 8] |= np.int64(names[i]) << np.int64(8 * (j % 8))
    W[slot, NEWEST] = -1
    W[slot, FLOOR] = floor
    W[slot, FIRST_TIME] = -1
    W[slot, VECTOR_TILE] = -1
    W[slot, REMEMBERED : REMEMBERED + plan.remembered] = -1


@numba.njit(cache=True, nogil=True)
def has_name(W, slot, name_hash, names, start, end):  # type: ignore[no-untyped-def]
    """Whether the row's name is names[start:end]."""
    if W[slot, NAME_HASH] != np.int64(name_hash) or W[slot, NAME_LENGTH] != end - start:
        return False
    for i in range(start, end):
        j = i - start
        if (W[slot, NAME + j // 8] >> np.int64(8 * (j % 8))) & 255 != names[i]:
            return False
    return True


def name_of(W: NDArray[np.int64], slot: int) -> bytes:
    """The entity's name in UTF-8."""
    length = int(W[slot, NAME_LENGTH])
    return W[slot, NAME:NEWEST].tobytes()[:length]


@numba.njit(cache=True, nogil=True)
def watermark(W, slot, plan):  # type: ignore[no-untyped-def]
    """max(newest event time − lateness, floor); readings below it are late."""
    if W[slot, NEWEST] < 0:
        return W[slot, FLOOR]
    return max(W[slot, NEWEST] - plan.lateness, W[slot, FLOOR])


@numba.njit(cache=True, nogil=True)
def is_remembered(W, slot, plan, time, fingerprint):  # type: ignore[no-untyped-def]
    """Whether a reading with this event time and content has been folded and is still remembered."""
    times = REMEMBERED
    prints = REMEMBERED + plan.remembered
    for i in range(plan.remembered):  # noqa: SIM110 — numba compiles no generator
        if W[slot, times + i] == time and W[slot, prints + i] == np.int64(fingerprint):
            return True
    return False


@numba.njit(cache=True, nogil=True, forceinline=True)
def remember(W, slot, plan, time, fingerprint):  # type: ignore[no-untyped-def]
    """Remembers a folded reading in the place of the oldest; returns 1 where that one could still have been repeated.

    Then the floor is put just above what was forgotten, so that a repeat of it is late and never folded twice.
    """
    times = REMEMBERED
    oldest = 0
    for i in range(1, plan.remembered):
        if W[slot, times + i] < W[slot, times + oldest]:
            oldest = i
    forgotten = W[slot, times + oldest]
    W[slot, times + oldest] = time
    W[slot, REMEMBERED + plan.remembered + oldest] = np.int64(fingerprint)
    if forgotten >= 0 and forgotten >= watermark(W, slot, plan):
        W[slot, FLOOR] = forgotten + 1
        return 1
    return 0
