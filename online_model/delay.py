"""Delay: records of an entity late, or stamped ahead, more often than before: its clock or its network.

Each record that has an end of its own (folded, late, or stamped ahead; a repeat says nothing new) is a yes or a no for
the statistic of bernoulli_e_detector.py. Only event times are compared, with each other and with the record's own Kafka timestamp, so
a replay at any speed has the shares that the feed had.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_model import bernoulli_e_detector as bernoulli
from online_model.cell_evidence import LOWEST, decade
from online_model.evidence_buffer import EvidenceBuffer
from online_model.share_evidence import emit_share, has_history

F64 = NDArray[np.float64]

_DELAY = 6  # online_model.evidence_buffer.Source.DELAY


class DelayPlan(NamedTuple):
    """The words of a statistic on a share, from word `base` of an entity's row."""

    base: int
    words: int
    season_us: int  # two of them are learnt before bets: networks have days and nights, too


def plan_delay(base: int, season_us: int) -> DelayPlan:
    """Lays out the part."""
    return DelayPlan(base, bernoulli.WORDS, season_us)


@numba.njit(cache=True, nogil=True)
def reset_delay(F: F64, slot: int, plan: DelayPlan) -> None:
    """Nothing is known of an entity just seen."""
    bernoulli.reset(F[slot], plan.base)


@numba.njit(cache=True, nogil=True, forceinline=True)
def bet_on_delay(
    F: F64,
    slot: int,
    plan: DelayPlan,
    delayed: bool,
    newest: int,
    first: int,
    readings: int,
    offset: int,
    buffer: EvidenceBuffer,
    index: int,
) -> None:
    """Takes one record of the entity in; puts what has become evidence into `buffer`.

    Args:
        delayed: the record was late or stamped ahead.
        newest, first: the entity's newest and first event time in µs; the record's own may be anything.
        readings: of the entity, folded so far. offset: of the record. index: its row in the batch.
    """
    state, at = F[slot], plan.base
    betting = has_history(state, at) and newest - first >= 2 * plan.season_us
    m = bernoulli.bet(state, at, delayed, newest, offset, betting)
    if m < LOWEST and state[at + bernoulli.TOP] == 0.0:
        return
    top = decade(state[at + bernoulli.TOP], m)
    if top != state[at + bernoulli.TOP]:
        state[at + bernoulli.TOP] = top
        emit_share(state, at, m, float(readings), slot, _DELAY, buffer, index)
