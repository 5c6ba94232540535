"""Silence: an entity that has missed ticks of its own cadence while others of its partition were heard.

Judged at edges of the partition clock, in the fold: nothing here waits for a wall clock.
"""

from __future__ import annotations

import numba
import numpy as np

from online_model.evidence_buffer import DIRECTION, READINGS, SINCE, emit
from stream_processors.stream_fold import entity_rows as head
from stream_processors.stream_fold.partition_words import ACTIVE_CLOCK, CLOCK, ENTITIES, MEAN_STEP, STEPS

SILENCE = 5  # online_model.evidence_buffer.Source.SILENCE
MIN_READINGS = 30  # with fewer the cadence is a guess, and a device that reports a few times is no silent one
OUTAGE_STEPS = 20.0  # a step of the clock this much longer than usual is the partition's own gap, not the entities'
CADENCE_MEMORY = 100  # readings that the running cadence remembers; shorter follows single gaps
LONGEST_SHARE = 4.0  # a gap of a quarter of the longest yet is one tick: feeds with breaks have breaks
LOG10_2 = 0.3010299956639812  # a tick is missed by chance at most every other time, since the cadence is the mean


@numba.njit(cache=True, nogil=True, error_model="numpy")
def advance_clock(P, PF, time):  # type: ignore[no-untyped-def]
    """Moves the partition clock, and the active clock by no more than OUTAGE_STEPS usual steps."""
    if P[CLOCK] < 0:
        P[CLOCK] = time
        return
    step = time - P[CLOCK]
    if step <= 0:
        return
    if P[STEPS] < CADENCE_MEMORY:
        P[STEPS] += 1
    usual = PF[MEAN_STEP]
    capped = min(float(step), OUTAGE_STEPS * usual) if usual > 0.0 else float(step)
    PF[MEAN_STEP] = usual + (capped - usual) / float(P[STEPS])
    PF[ACTIVE_CLOCK] += capped
    P[CLOCK] = time


@numba.njit(cache=True, nogil=True, error_model="numpy")
def hear_interval(F, W, slot, gap):  # type: ignore[no-untyped-def]
    """Learns the entity's cadence from the interval, in µs, between two in-order readings."""
    known = min(W[slot, head.READINGS], CADENCE_MEMORY)
    cadence = F[slot, head.CADENCE]
    if known >= MIN_READINGS and gap > OUTAGE_STEPS * cadence:
        gap = OUTAGE_STEPS * cadence
    F[slot, head.CADENCE] = cadence + (gap - cadence) / float(max(known, 1))
    longest = F[slot, head.LONGEST_GAP]
    F[slot, head.LONGEST_GAP] = max(gap, longest - longest / 1024.0)


@numba.njit(cache=True, nogil=True)
def hear(F, W, PF, slot, buffer, index):  # type: ignore[no-untyped-def]
    """Notes that a record of the entity was read; ends a silence that was told."""
    F[slot, head.HEARD] = PF[ACTIVE_CLOCK]
    if W[slot, head.SILENCE_LEVEL] > 0:
        W[slot, head.SILENCE_LEVEL] = 0
        row = emit(buffer, index, slot, SILENCE, -1, 0.0)
        buffer.numbers[row, READINGS] = W[slot, head.READINGS]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def look_for_silence(F, W, P, PF, lateness, changed, rows_in_chunk, buffer, index):  # type: ignore[no-untyped-def]
    """Emits evidence for each entity whose silence has reached a new decade; due at an edge of the partition clock."""
    for slot in range(P[ENTITIES]):
        tick = max(F[slot, head.CADENCE], F[slot, head.LONGEST_GAP] / LONGEST_SHARE)
        quiet = PF[ACTIVE_CLOCK] - F[slot, head.HEARD] - float(lateness)
        if W[slot, head.READINGS] < MIN_READINGS or quiet <= 6.0 * tick:
            continue
        log10_e = LOG10_2 * (quiet / tick)
        level = np.int64(min(log10_e, 20.0))
        if level >= 2 and level > W[slot, head.SILENCE_LEVEL]:
            W[slot, head.SILENCE_LEVEL] = level
            changed[slot // rows_in_chunk] = 1
            row = emit(buffer, index, slot, SILENCE, -1, float(level))
            buffer.numbers[row, DIRECTION] = -1.0
            buffer.numbers[row, SINCE] = float(W[slot, head.NEWEST])
            buffer.numbers[row, READINGS] = float(W[slot, head.READINGS])
