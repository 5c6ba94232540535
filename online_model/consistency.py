"""Consistency: records of a partition that do not fit the definition, or what was seen of it, more often than before.

Five shares of yes and no (bernoulli_e_detector.py): records damaged, of the wrong types, under a wrong key, with unknown fields, with
categories never seen. A damaged record names no entity, so they are the partition's. What goes to the judge is the mean
of the five, which is an e-detector under any dependence (Vovk & Wang 2021, "E-values", section 3).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.durations import DAY
from contracts.outcomes import Reason
from online_model import bernoulli_e_detector as bernoulli
from online_model.cell_evidence import LOWEST, decade
from online_model.evidence_buffer import CONTRIBUTION, CONTRIBUTOR, EvidenceBuffer
from online_model.share_evidence import emit_share, has_history

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

DAMAGED, TYPES, KEYS, UNKNOWN, CATEGORIES = range(5)
NAMES = ("damaged records", "wrong types", "wrong keys", "unknown fields", "categories never seen")

# Words of the state, then one part of PART_WORDS for each share.
SEEN, TOP, SETTLES, PARTS = 0, 1, 2, 3
_STOOD, _STANDING_SINCE = bernoulli.WORDS, bernoulli.WORDS + 1
PART_WORDS = bernoulli.WORDS + 2
WORDS = PARTS + len(NAMES) * PART_WORDS

_CONSISTENCY = 7  # online_model.evidence_buffer.Source.CONSISTENCY
_UNREADABLE = int(Reason.TIME_UNREADABLE)  # the last reason by which a record is damaged
_REQUIRED = int(Reason.REQUIRED_MISSING)  # the last by which a field is wrong
_LEARNABLE = 10.0  # what has become evidence teaches nothing
_STANDING = 1e8  # a share that has stood so high ...
_STANDING_RECORDS = 1000.0  # ... for so many records and a season is the new normal: firmware changes for good
_CATEGORIES_AT = PARTS + CATEGORIES * PART_WORDS


def new_consistency() -> F64:
    """Nothing seen."""
    state = np.zeros(WORDS)
    state[SETTLES] = -1.0
    for at in range(PARTS, WORDS, PART_WORDS):
        bernoulli.reset(state, at)
    return state


@numba.njit(cache=True, nogil=True)
def season_or_day(season_us: int) -> int:
    """For how long a category's value is new, in µs."""
    return season_us if season_us > 0 else DAY


@numba.njit(cache=True, nogil=True, forceinline=True)
def settle_categories(state: F64, settled: I64, known: I64, season_us: int, clock: int, first: int) -> None:
    """Each season the values seen so far become the usual ones; but for those of an appearance that has become evidence.

    Args:
        settled, known: (c,) how many codes of each category field are usual, and are in use.
        clock, first: of the partition, µs.
    """
    if float(clock) < state[SETTLES] or clock - first < season_or_day(season_us):
        return
    state[SETTLES] = float(clock + season_or_day(season_us))
    if state[_CATEGORIES_AT + bernoulli.M] < _LEARNABLE:
        for j in range(len(known)):
            settled[j] = known[j]


@numba.njit(cache=True, nogil=True, forceinline=True)
def bet_on_consistency(
    state: F64,
    settled: I64,
    known: I64,
    reason: int,
    unknown: bool,
    folded: bool,
    new_category: bool,
    season_us: int,
    clock: int,
    first: int,
    offset: int,
    buffer: EvidenceBuffer,
    index: int,
) -> None:
    """Takes one record of the partition in; puts what has become evidence into `buffer`.

    Args:
        reason: why decoding refused the record; 0 where it did not.
        unknown: it has fields that the definition does not name.
        folded: only then does `new_category` mean something: a value that is not among the settled ones.
        clock, first: of the partition, µs; below 0 before the first reading.
        offset: of the record. index: its row in the batch.
    """
    state[SEEN] += 1.0
    grown = clock >= 0 and clock - first >= 2 * season_us
    _bet(state, DAMAGED, 0 < reason <= _UNREADABLE, grown, season_us, clock, offset)
    if reason == 0 or reason > _UNREADABLE:
        _bet(state, TYPES, _UNREADABLE < reason <= _REQUIRED, grown, season_us, clock, offset)
        _bet(state, KEYS, reason > _REQUIRED, grown, season_us, clock, offset)
    if reason == 0:
        _bet(state, UNKNOWN, unknown, grown, season_us, clock, offset)
    if folded and state[SETTLES] >= 0.0:
        grown = clock - first >= 2 * season_or_day(season_us)
        if _bet(state, CATEGORIES, new_category, grown, season_us, clock, offset):
            for j in range(len(known)):
                settled[j] = known[j]
    total = 0.0
    for at in range(PARTS, WORDS, PART_WORDS):
        total += state[at + bernoulli.M]
    mean = total / len(NAMES)
    if mean < LOWEST and state[TOP] == 0.0:
        return
    top = decade(state[TOP], mean)
    if top != state[TOP]:
        state[TOP] = top
        _emit(state, mean, buffer, index)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _bet(state: F64, part: int, yes: bool, grown: bool, season_us: int, clock: int, offset: int) -> bool:
    """Moves one share; True where what stood for a season has become normal, and is learnt anew."""
    at = PARTS + part * PART_WORDS
    m = bernoulli.bet(state, at, yes, clock, offset, grown and has_history(state, at))
    if m < _STANDING:
        state[at + _STOOD] = 0.0
        return False
    if state[at + _STOOD] == 0.0:
        state[at + _STANDING_SINCE] = float(clock)
    state[at + _STOOD] += 1.0
    if state[at + _STOOD] < _STANDING_RECORDS or float(clock) - state[at + _STANDING_SINCE] < float(season_or_day(season_us)):
        return False
    bernoulli.reset(state, at)
    state[at + _STOOD] = 0.0
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _emit(state: F64, mean: float, buffer: EvidenceBuffer, index: int) -> None:
    """The numbers are those of the share that stands highest; all above their ground contribute."""
    leading, total = PARTS, 0.0
    for at in range(PARTS, WORDS, PART_WORDS):
        m = state[at + bernoulli.M]
        total += m if m > 1.0 else 0.0
        if m > state[leading + bernoulli.M]:
            leading = at
    numbers = buffer.numbers[emit_share(state, leading, mean, state[SEEN], -1, _CONSISTENCY, buffer, index)]
    for part in range(len(NAMES)):
        m = state[PARTS + part * PART_WORDS + bernoulli.M]
        if m > 1.0:
            numbers[CONTRIBUTOR + part] = float(part)
            numbers[CONTRIBUTION + part] = m / total
