"""Skew between training and serving: evidence that inputs of a model in place differ from those it was trained on.

Training's reference says, by feature, what share of rows was missing and what shares lay between its deciles. Served vectors are
counted into the same bins, block by block; a block is at least a season long, as half a day differs from whole ones without any
skew. For each feature the blocks so far name the bins that are fuller than in training, and the share y of the next block in them
is bet on with e = 1 + λ·(y / r − 1), r their share in training plus TOLERANCE. y lies between 0 and 1, so e ≥ 0 for λ < 1, and while
y is on average at most r, so is e at most 1, whatever depends on what within a block: the bounded mean of Waudby-Smith & Ramdas 2023
("Estimating means of bounded random variables by betting", JRSS B, section 4). M = max(M, 1)·e is the e-detector of Shin, Ramdas &
Rinaldo 2022, and so is the mean of M over the features. This needs no count of independent readings: PSI or a χ² of a day's readings
would be judged by their number, although neighbours tell nearly the same.

The bins know missing as one of them, so that a feature that is missing, or constant, or distributed otherwise is found by the same
bets; which it is, is told of the newest blocks. What training hardly knew needs less tolerance: beside the bins stands a bet on the
share that is missing, and vectors of another length are bet on as a feature of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.durations import HOUR
from contracts.elementary import log
from contracts.errors import StateError
from contracts.records import FeatureReference
from feature_store.feature_columns import feature_columns

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LEAST = 256  # examples in a block; the shares of fewer are chance, and would choose the bins of the next bet at random
TOLERANCE = 0.2  # of probability: a normal variable shifted by half its deviation moves that much and has a PSI of .25, above which
# practice speaks of a shift (Siddiqi 2006, "Credit risk scorecards", chapter 9); below it a week's weather would be skew
SCHEMA_TOLERANCE = 0.02  # of vectors of another length: labels of readings from before a change of the definition
MISSING_TOLERANCE = 0.05  # of values missing; a broken join shows in days, and an outage of an hour a day is no skew
STAKES = (0.3, 0.9)  # λ; the small one survives blocks that swing, the large one finds a unit that was changed in a few blocks
MEMORY = 0.75  # weight of the blocks before: bins named by one block alone follow the weather of one day
CAP = 1e20  # of M, as in `e_detector`
_EMPTY = 1.0 / 512.0  # share given to every bin in PSI: half an observation of a block of LEAST

END, COUNT, MISFITS, BLOCKS, MEAN, SINCE, SINCE_OFFSET = range(7)  # words
WORDS = 7


class SkewState(NamedTuple):
    """Of F features in B bins, the last of them for what is missing; the arrays up to `shares` never change."""

    places: I64  # (F,) in the vector
    edges: F64  # (F, B − 2) upper ones, itself in the bin; infinity where a feature has fewer
    shares: F64  # (F, B) in training
    counts: F64  # (F, B) of the block in the making
    usual: F64  # (F, B) fading mean of the shares of the blocks before
    low: F64  # (F,) least present value of the block
    high: F64  # (F,)
    constant: F64  # (F,) 1 where all present values of the newest block were the same
    wealth: F64  # (2·F + 1, stakes): bets on the fuller bins, on what is missing, and on vectors of another length
    words: F64


def block_us(feed: Feed) -> int:
    """µs of event time that a block lasts at least: one bet each, so that a week has so many and no more."""
    return max(feed.season_us, HOUR)


def new_skew_state(feed: Feed, reference: dict[str, FeatureReference]) -> tuple[tuple[str, ...], SkewState]:
    """(features in the order of the state, a state that has seen nothing); without those of the calendar, which no sensor sends."""
    used = [(place, column.name) for place, column in enumerate(feature_columns(feed)) if column.entry.of != "time"]
    used = [(place, name) for place, name in used if name in reference]
    bins = max((len(reference[name].shares) for _, name in used), default=1) + 1
    edges, shares = np.full((len(used), bins - 2 if bins > 2 else 0), np.inf), np.zeros((len(used), bins))
    for f, (_, name) in enumerate(used):
        known = reference[name]
        edges[f, : len(known.edges)] = known.edges
        shares[f, : len(known.shares)], shares[f, -1] = known.shares, known.missing
    f = len(used)
    state = SkewState(
        np.array([place for place, _ in used], np.int64),
        edges,
        shares,
        np.zeros((f, bins)),
        np.zeros((f, bins)),
        np.full(f, np.inf),
        np.full(f, -np.inf),
        np.zeros(f),
        np.ones((2 * f + 1, len(STAKES))),
        np.zeros(WORDS),
    )
    state.words[MEAN] = 1.0
    return tuple(name for _, name in used), state


@numba.njit(cache=True, nogil=True, error_model="numpy")
def update(state: SkewState, vector: F64, fits: bool, block: int, clock: int, offset: int) -> bool:
    """Takes in the vector of one example, or with `fits` False that it has another length; True where a block before it was bet on.

    Args:
        block: µs that a block lasts at least. clock: greatest event time of an example so far, µs. offset: of the example.
    """
    words, closed = state.words, False
    if words[END] == 0.0:
        words[END] = float(clock + block)
    elif float(clock) >= words[END] and words[COUNT] + words[MISFITS] >= LEAST:
        _close(state, clock, offset)
        words[END], closed = float(clock + block), True
    if not fits:
        words[MISFITS] += 1.0
        return closed
    words[COUNT] += 1.0
    for f in range(len(state.places)):
        value = vector[state.places[f]]
        if value - value != 0.0:
            state.counts[f, -1] += 1.0
            continue
        b = 0
        while b < state.edges.shape[1] and value > state.edges[f, b]:
            b += 1
        state.counts[f, b] += 1.0
        state.low[f], state.high[f] = min(state.low[f], value), max(state.high[f], value)
    return closed


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _close(state: SkewState, clock: int, offset: int) -> None:
    """Bets on a full block, and lets it name the bins of the next bet."""
    words, features = state.words, len(state.places)
    misfits = words[MISFITS] / (words[COUNT] + words[MISFITS])
    _bet(state.wealth[2 * features], misfits, SCHEMA_TOLERANCE, misfits > SCHEMA_TOLERANCE)
    if words[COUNT] > 0.0:
        for f in range(features):
            counts = state.counts[f]
            for b in range(len(counts)):
                counts[b] /= words[COUNT]
            if words[BLOCKS] > 0.0:
                y, r, lasts = _fuller(state.usual[f], state.shares[f], counts)
                _bet(state.wealth[f], y, r + TOLERANCE, lasts)
            r = state.shares[f, -1] + MISSING_TOLERANCE
            _bet(state.wealth[features + f], counts[-1], r, max(state.usual[f, -1], counts[-1]) > r)
            kept = MEMORY if words[BLOCKS] > 0.0 else 0.0
            for b in range(len(counts)):
                state.usual[f, b] = kept * state.usual[f, b] + (1.0 - kept) * counts[b]
                counts[b] = 0.0
            state.constant[f] = 1.0 if state.low[f] == state.high[f] else 0.0
            state.low[f], state.high[f] = np.inf, -np.inf
        words[BLOCKS] += 1.0
    words[COUNT] = words[MISFITS] = 0.0
    total = 0.0
    for f in range(features + 1):
        total += feature_wealth(state, f)
    words[MEAN] = total / (features + 1.0)
    if words[MEAN] <= 1.0:
        words[SINCE], words[SINCE_OFFSET] = float(clock), float(offset)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fuller(usual: F64, shares: F64, served: F64) -> tuple[float, float, bool]:
    """(share served, share in training) of the bins that grow the wealth most if the block is as the usual one; whether it then grows.

    That is the greatest share over training's share plus TOLERANCE, and some first ones by likelihood ratio have it.
    """
    left = np.ones(len(usual), np.bool_)
    best = y = r = y_best = r_best = usual_sum = 0.0
    for _ in range(len(usual)):
        found = -1
        for b in range(len(usual)):
            if left[b] and (found < 0 or usual[b] * shares[found] > usual[found] * shares[b]):
                found = b
        left[found] = False
        usual_sum += usual[found]
        y, r = y + served[found], r + shares[found]
        if usual_sum / (r + TOLERANCE) > best:
            best, y_best, r_best = usual_sum / (r + TOLERANCE), y, r
    return y_best, r_best, best > 1.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _bet(wealth: F64, y: float, r: float, lasts: bool) -> None:
    """Where the newest blocks are within tolerance the skew has ended: what was won is given up, or it would stand for weeks."""
    for k in range(len(STAKES)):
        won = min(max(wealth[k], 1.0) * (1.0 + STAKES[k] * (y / r - 1.0)), CAP)
        wealth[k] = won if lasts else min(won, 1.0)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def feature_wealth(state: SkewState, f: int) -> float:
    """M of a feature, the mean over its bets; of the vectors' length where f is the number of features."""
    features, total = len(state.places), 0.0
    for k in range(len(STAKES)):
        total += state.wealth[2 * features, k] if f == features else 0.5 * (state.wealth[f, k] + state.wealth[features + f, k])
    return total / len(STAKES)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def feature_psi(state: SkewState, f: int) -> float:
    """Population stability index of the newest blocks of a feature against training."""
    total, whole = 0.0, 1.0 + _EMPTY * state.shares.shape[1]
    for b in range(state.shares.shape[1]):
        c, r = (state.usual[f, b] + _EMPTY) / whole, (state.shares[f, b] + _EMPTY) / whole
        total += (c - r) * (log(c) - log(r))
    return total


def kind_of(state: SkewState, f: int) -> str:
    """What is skewed of a feature: schema, missing, constant or distribution."""
    if f == len(state.places):
        return "schema"
    if state.usual[f, -1] > state.shares[f, -1] + MISSING_TOLERANCE:
        return "missing"
    present = float(state.shares[f, :-1].sum())
    return "constant" if state.constant[f] and float(state.shares[f, :-1].max()) < (1.0 - TOLERANCE) * present else "distribution"


_KEPT = SkewState._fields[3:]  # the others follow from the reference


def skew_state_to_bytes(state: SkewState) -> bytes:
    """The same state, the same bytes: little-endian float64."""
    return b"".join(getattr(state, name).astype("<f8").tobytes() for name in _KEPT)


def put_skew_state(state: SkewState, data: bytes) -> None:
    """Puts back into a new state what `skew_state_to_bytes` gave of one with the same reference.

    Raises:
        StateError: the bytes are of another size, or hold what no state has.
    """
    if len(data) != 8 * sum(getattr(state, name).size for name in _KEPT):
        raise StateError(f"skew test: {len(data)} bytes are none of a model with these features; fold the examples anew")
    numbers, at = np.frombuffer(data, "<f8"), 0
    for name in _KEPT:
        array: F64 = getattr(state, name)
        array[...] = numbers[at : at + array.size].reshape(array.shape)
        at += array.size
        if np.isnan(array).any() or (name in ("counts", "usual", "wealth") and (array < 0.0).any()):
            raise StateError(f"skew test: {name} are no shares or no wealth; fold the examples anew")
