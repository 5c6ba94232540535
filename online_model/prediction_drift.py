"""Drift of the predictions without labels: has what the champion says of an entity changed, whatever the truth?

A prediction follows the day and its own past as a reading does, and more so: it is made of windows that overlap. So the mean of each
block of an entity's predictions, as long as the longest window where the season has room for it, goes through a cell of its own, as a
field's values do (online_model/cells.py): season and autocorrelation are taken out, and the e-detector (Shin, Ramdas & Rinaldo 2022)
bets on location and spread of what is left. A number is watched as it is, of classes the log-odds of each but the first, which the
others determine: a probability that nears 0 at night hardly moves there, and its spread would change with every dawn. What evidence
says of the means is a probability again.

The reference is the champion's own: another version begins it anew, entity by entity, with its first prediction for each. A revision
of the same version does not, or a version that learns online would never be watched; a model that changes much while it learns
is a change of the predictions.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from contracts.definition import Classification, Feed
from contracts.elementary import exp, log
from contracts.hashing import hash_text
from online_model import cell_layout as layout
from online_model import e_detector, residuals
from online_model.cell_evidence import LOWEST, decade, emit_drift
from online_model.cells import CellPlan, end_of_ground, new_normal, plan_cells, reset_cell, update_cell
from online_model.evidence_buffer import CURRENT_MEAN, CURRENT_STD, REFERENCE_MEAN, REFERENCE_STD, EvidenceBuffer

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

VERSION, END, BEGAN_OFFSET, COUNT, SUMS = range(5)  # words: which version is known (0: none), then of the block in the making
MOST_BLOCKS = 100  # a season; with fewer its shape and the reference would take weeks to learn
_PREDICTION = 8  # online_model.evidence_buffer.Source.PREDICTION
_SURE = 1e-6  # a probability nearer to 0 or 1 is not told apart: nobody acts on it, and its log-odds have no end
_PEAK, _TOP = layout.DETECTOR + e_detector.PEAK, layout.DETECTOR + e_detector.TOP
_MEAN = layout.DETECTOR + e_detector.MEAN


class PredictionPlan(NamedTuple):
    """Words of a row: those below, a sum for each output that is watched, then a cell for each."""

    base: int
    words: int
    cells: CellPlan
    block_us: int


class PredictedRows(NamedTuple):
    """The n folded rows of a batch, in their order."""

    row: I64  # of the batch
    slot: I64
    fresh: NDArray[np.bool_]  # the slot's first row since another entity had it
    in_order: NDArray[np.bool_]
    time: I64  # event time, µs
    offset: I64
    clock: I64  # of the partition after the row, µs


def plan_predictions(feed: Feed, base: int) -> PredictionPlan:
    """The part of a feed's rows from word `base` on; of no words without a target or without the e-detector."""
    watched = len(watched_outputs(feed))
    like = plan_cells(feed, base + SUMS + watched)
    cells = like._replace(words=watched * like.cell_words, max_evidence=watched, fields=watched, counter=np.zeros(watched, np.bool_))
    block_us = min(feed.window_us[-1], feed.season_us // MOST_BLOCKS) if feed.season_us else feed.window_us[-1]
    return PredictionPlan(base, SUMS + watched + cells.words if watched else 0, cells, max(block_us, 1))


def watched_outputs(feed: Feed) -> tuple[str, ...]:
    """What evidence calls the outputs that are watched: the target, or the target and a class."""
    if feed.target is None or "e-detector" not in feed.detectors:
        return ()
    if isinstance(feed.target, Classification):
        return tuple(f"{feed.target.name}={name}" for name in feed.target.classes[1:])
    return (feed.target.name,)


def version_word(version: str | None) -> int:
    """A version without its revision as a word of a row; 0 for none."""
    return 0 if version is None else int(np.uint64(hash_text(version.partition(".")[0]) | 1).view(np.int64))


@numba.njit(cache=True, nogil=True)
def watch_predictions(
    begin: int, F: F64, W: I64, plan: PredictionPlan, version: int, rows: PredictedRows, values: F64, buffer: EvidenceBuffer
) -> int:
    """Folds what `version` (0: none in place) predicts for rows from `begin` on; returns the row to go on with.

    `values` is (n, outputs). It stops before a row for whose evidence there is no room; nothing depends on where it stopped.
    """
    x = np.zeros(residuals.TERMS)
    first = values.shape[1] - plan.cells.fields
    for i in range(begin, len(rows.slot)):
        if len(buffer.row) - buffer.used[0] < plan.cells.fields:
            return i
        slot = rows.slot[i]
        if rows.fresh[i]:
            F[slot, plan.base : plan.base + plan.words] = 0.0
        if version == 0 or not rows.in_order[i]:
            continue
        if W[slot, plan.base + VERSION] != version:
            W[slot, plan.base + VERSION] = version
            _begin_anew(F[slot], plan)
        told, block = buffer.used[0], F[slot, plan.base : plan.cells.base]
        if float(rows.time[i]) >= block[END]:
            if block[COUNT] > 0.0:
                _close(F, slot, plan, block, x, buffer, rows.row[i])
            block[END] = float((rows.time[i] // plan.block_us + 1) * plan.block_us)
            block[BEGAN_OFFSET] = float(rows.offset[i])
            block[COUNT:] = 0.0
        block[COUNT] += 1.0
        for k in range(plan.cells.fields):
            block[SUMS + k] += _log_odds(values[i, first + k]) if first else values[i, k]
        for at in range(told, buffer.used[0]):
            buffer.clock[at] = rows.clock[i]
            if first:
                _tell_probabilities(buffer.numbers[at])
    return len(rows.slot)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _log_odds(probability: float) -> float:
    p = min(max(probability, _SURE), 1.0 - _SURE)
    return log(p) - log(1.0 - p)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _tell_probabilities(numbers: F64) -> None:
    """Means of log-odds as the probabilities that they stand for; a deviation has no such."""
    for mean, std in ((REFERENCE_MEAN, REFERENCE_STD), (CURRENT_MEAN, CURRENT_STD)):
        numbers[mean] = 1.0 / (1.0 + exp(-numbers[mean]))
        numbers[std] = np.nan


@numba.njit(cache=True, nogil=True)
def _begin_anew(row: F64, plan: PredictionPlan) -> None:
    """Another version: nothing is known of it. What was told of the one before stays, so that its end is told, too."""
    row[plan.base + END : plan.cells.base] = 0.0
    for k in range(plan.cells.fields):
        at = plan.cells.base + k * plan.cells.cell_words
        cell = row[at : at + plan.cells.cell_words]
        top = cell[_TOP]
        reset_cell(cell, plan.cells.adwin_at)
        cell[_TOP] = top


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _close(F: F64, slot: int, plan: PredictionPlan, block: F64, x: F64, buffer: EvidenceBuffer, index: int) -> None:
    """Folds the means of a full block into the cells, at the time of its middle."""
    time = int(block[END]) - plan.block_us // 2
    residuals.season_terms(time, plan.cells.season_us, x[3:])
    for k in range(plan.cells.fields):
        _watch(F, slot, plan.cells, k, time, int(block[BEGAN_OFFSET]), block[SUMS + k] / block[COUNT], x, buffer, index)


@numba.njit(cache=True, nogil=True)
def _watch(
    F: F64, slot: int, plan: CellPlan, k: int, time: int, offset: int, value: float, x: F64, buffer: EvidenceBuffer, index: int
) -> None:
    at = plan.base + k * plan.cell_words
    cell, halves = F[slot, at : at + plan.cell_words], F[slot].view(np.float32)
    update_cell(
        cell, halves, 2 * at, plan.season_us, True, plan.sampling, plan.adwin_at, False, time, offset, value, 0, x
    )  # fmt: skip
    if cell[_PEAK] >= LOWEST or cell[_TOP] > 0.0:
        top = decade(cell[_TOP], cell[_MEAN])
        if top != cell[_TOP]:
            cell[_TOP] = top
            emit_drift(cell, plan, k, slot, buffer, index, _PREDICTION, cell[_MEAN])
    end_of_ground(cell)
    new_normal(cell, plan.season_us, plan.adwin_at, time)
