"""What a statistic on a share of yes and no (bernoulli_e_detector.py) says when it becomes evidence."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_model import bernoulli_e_detector as bernoulli
from online_model import e_detector
from online_model.evidence_buffer import (
    CURRENT_MEAN,
    CURRENT_N,
    DIRECTION,
    READINGS,
    REFERENCE_MEAN,
    REFERENCE_N,
    SINCE,
    SINCE_OFFSET,
    EvidenceBuffer,
    emit,
)

F64 = NDArray[np.float64]

LEAST_HISTORY = 256.0  # yes and no before bets; with fewer a share of one in a hundred is not known


@numba.njit(cache=True, nogil=True)
def has_history(state: F64, at: int) -> bool:
    """Whether the share from word `at` on rests on enough to bet against it."""
    return bool(state[at + bernoulli.AFTER_NO] + state[at + bernoulli.AFTER_YES] >= LEAST_HISTORY)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def emit_share(state: F64, at: int, m: float, readings: float, slot: int, source: int, buffer: EvidenceBuffer, index: int) -> int:
    """Emits that the statistic from word `at` on stands at `m`; means are shares, of the history and since it left its ground."""
    row = emit(buffer, index, slot, source, -1, e_detector.log_of(m))
    numbers = buffer.numbers[row]
    numbers[DIRECTION] = 0.0
    numbers[SINCE], numbers[SINCE_OFFSET] = state[at + bernoulli.SINCE], state[at + bernoulli.SINCE_OFFSET]
    numbers[READINGS] = readings
    numbers[REFERENCE_N] = state[at + bernoulli.AFTER_NO] + state[at + bernoulli.AFTER_YES]
    numbers[REFERENCE_MEAN] = bernoulli.usual_overall(state, at)
    numbers[CURRENT_N] = state[at + bernoulli.RUN]
    numbers[CURRENT_MEAN] = state[at + bernoulli.RUN_YES] / max(state[at + bernoulli.RUN], 1.0)
    return row
