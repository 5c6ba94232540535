"""Conformal p-values: the share of an entity's recent scores that are at least as high as this one.

p = (1 + #{recent ≥ score}) / (n + 1): where the scores are exchangeable, P(p ≤ α) ≤ α for every α, whatever the model and
the data (Vovk, Gammerman & Shafer 2005, "Algorithmic Learning in a Random World", prop. 2.8; for streams of anomaly
scores Laxhammar & Falkman 2014, "Online learning and sequential anomaly detection in trajectories", section 3). Ties
count against the anomaly, so p is conservative. Scores are kept in float32: rounding keeps their order and can only add ties.

A young entity borrows the recent scores of its whole group. Every score is remembered, unusual ones too: to leave those
out would make all later p-values too small.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError

RECENT = 200  # scores an entity remembers, 800 bytes: the smallest p is 1/201; with 50 no p could fall below .02
YOUNG = 50  # own scores before the own ring is asked: fewer say nothing below .02, while the group's say something
GROUP_RECENT = 1000  # scores a group remembers: its entities share them, so the ring must outlast one round of them

_COUNT, _SCORES = 0, 1  # words of the part: scores remembered so far; then two scores a word, the earlier one below


class ConformalPlan(NamedTuple):
    """Words of a row: how many scores have been remembered, then the ring of them, two in a word."""

    base: int
    words: int
    recent: int
    young: int


class GroupScores(NamedTuple):
    """Recent scores of all entities that share a model, in float32's order as integers."""

    keys: NDArray[np.int64]  # (recent / 2,) two a word, as in a row
    remembered: NDArray[np.int64]  # (1,) scores so far, forgotten ones included


def plan_conformal(base: int, recent: int = RECENT, young: int = YOUNG) -> ConformalPlan:
    """1 + recent / 2 words. Raises ModelError where `recent` is odd or `young` does not fit it."""
    if recent < 2 or recent % 2 or not 1 <= young <= recent:
        raise ModelError(f"conformal ring of {recent} scores, young below {young}; write an even number, and at most as many")
    return ConformalPlan(base, _SCORES + recent // 2, recent, young)


def new_group_scores(recent: int = GROUP_RECENT) -> GroupScores:
    """An empty ring; raises ModelError where `recent` is odd."""
    if recent < 2 or recent % 2:
        raise ModelError(f"group ring of {recent} scores; write an even number")
    return GroupScores(np.zeros(recent // 2, np.int64), np.zeros(1, np.int64))


@numba.njit(cache=True, nogil=True)
def reset_conformal(F, W, slot, plan):  # type: ignore[no-untyped-def]
    """No scores of an entity just seen."""
    W[slot, plan.base : plan.base + plan.words] = 0


@numba.njit(cache=True, nogil=True)
def key_of(score):  # type: ignore[no-untyped-def]
    """A score as an integer of 32 bits with the order of float32; −0 and 0 are one."""
    bits = np.int64(np.float32(score).view(np.int32))
    return bits if bits >= 0 else np.int64(-0x80000000) - bits


@numba.njit(cache=True, nogil=True)
def count_at_least(words, n, key):  # type: ignore[no-untyped-def]
    """How many of the first n keys, two a word, are at least `key`.

    Comparing a whole word with the key in its upper half compares the upper keys; shifting both up, the lower ones.
    """
    bound = key << 32
    count = 0
    for i in range(n // 2):
        word = words[i]
        count += (word >= bound) + ((word << 32) >= bound)
    if n & 1:
        count += (words[n // 2] << 32) >= bound
    return count


@numba.njit(cache=True, nogil=True)
def put_key(words, at, key):  # type: ignore[no-untyped-def]
    """Writes the key of place `at`."""
    word = words[at // 2]
    words[at // 2] = (word & ~np.int64(0xFFFFFFFF)) | (key & 0xFFFFFFFF) if at & 1 == 0 else (word & 0xFFFFFFFF) | (key << 32)


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def p_value(F, W, slot, plan, group, score):  # type: ignore[no-untyped-def]
    """p of a score against what is remembered, itself not included; NaN of a NaN, or while group and entity are young."""
    if score != score:
        return np.nan
    key = key_of(score)
    n = min(W[slot, plan.base + _COUNT], plan.recent)
    if n >= plan.young:
        first = plan.base + _SCORES
        return (1.0 + count_at_least(W[slot, first : first + plan.recent // 2], n, key)) / (n + 1.0)
    n = min(group.remembered[0], 2 * len(group.keys))
    if n >= plan.young:
        return (1.0 + count_at_least(group.keys, n, key)) / (n + 1.0)
    return np.nan


@numba.njit(cache=True, nogil=True, forceinline=True)
def remember_score(F, W, slot, plan, group, score):  # type: ignore[no-untyped-def]
    """Puts a score in the place of the oldest one, of the entity and of the group; NaN is passed over."""
    if score != score:
        return
    key = key_of(score)
    first = plan.base + _SCORES
    put_key(W[slot, first : first + plan.recent // 2], W[slot, plan.base + _COUNT] % plan.recent, key)
    W[slot, plan.base + _COUNT] += 1
    put_key(group.keys, group.remembered[0] % (2 * len(group.keys)), key)
    group.remembered[0] += 1
