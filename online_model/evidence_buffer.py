"""Where compiled detectors put evidence: columns of a fixed capacity, emptied by the fold after each batch."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray


class Source(IntEnum):
    """What raised a piece of evidence; lower-case names are those of contracts.records.EvidenceSource."""

    DRIFT = 0
    ANOMALY = 1
    STUCK = 2
    MISSING = 3
    RANGE = 4
    SILENCE = 5
    DELAY = 6
    CONSISTENCY = 7
    PREDICTION = 8


# Columns of `numbers`.
LOG10_E, DIRECTION, SINCE, SINCE_OFFSET, READINGS = 0, 1, 2, 3, 4
REFERENCE_N, REFERENCE_MEAN, REFERENCE_STD = 5, 6, 7
CURRENT_N, CURRENT_MEAN, CURRENT_STD = 8, 9, 10
KS, KS_P, PSI = 11, 12, 13
ADWIN_TIME, ADWIN_OLD_N, ADWIN_OLD_MEAN, ADWIN_NEW_N, ADWIN_NEW_MEAN = 14, 15, 16, 17, 18
CONTRIBUTORS = 5  # at most so many are named; a sentence has room for two
CONTRIBUTOR, CONTRIBUTION = 19, 19 + CONTRIBUTORS  # which of the source's parts or inputs, and the share of each
NUMBERS = 19 + 2 * CONTRIBUTORS


class EvidenceBuffer(NamedTuple):
    """Evidence of one batch, in the order in which the fold met it."""

    used: NDArray[np.int64]  # (1,) rows in use
    row: NDArray[np.int64]  # (capacity,) row of the batch that caused it
    clock: NDArray[np.int64]  # (capacity,) of the partition after that row, µs; the fold puts it down
    slot: NDArray[np.int64]  # (capacity,) entity; -1 for the whole partition
    source: NDArray[np.int64]  # (capacity,) Source
    field: NDArray[np.int64]  # (capacity,) index into definition.numbers, or of the outputs watched; -1 for the whole entity
    numbers: NDArray[np.float64]  # (capacity, NUMBERS), NaN where there is none


def new_evidence_buffer(capacity: int) -> EvidenceBuffer:
    """An empty buffer. The fold stops before an event for which there may be too little room, and goes on after emptying."""
    return EvidenceBuffer(
        np.zeros(1, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.full((capacity, NUMBERS), np.nan),
    )


@numba.njit(cache=True, nogil=True)
def emit(buffer: EvidenceBuffer, index: int, slot: int, source: int, field: int, log10_e: float) -> int:
    """Adds a piece of evidence and returns its row, whose other numbers (NaN) the caller then fills in."""
    row = buffer.used[0]
    buffer.used[0] = row + 1
    buffer.row[row] = index
    buffer.slot[row] = slot
    buffer.source[row] = source
    buffer.field[row] = field
    buffer.numbers[row, :] = np.nan
    buffer.numbers[row, LOG10_E] = log10_e
    return row
