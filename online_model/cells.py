"""Detection cells: for each entity and number field, what its readings say of drift, outliers, standstill and gaps.

A cell collects COLLECT values for its units, learns its regression for one season, lays down the reference of its
prediction errors over the next, and then bets. Bets are off and the model does not learn while the values stand still
improbably long: what is stuck is reported as stuck, and not as drift as well.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_model import cell_layout as layout
from online_model import e_detector, missing, residuals, stuck
from online_model.cell_evidence import report
from online_model.cell_layout import COLLECTING, CURRENT_SAMPLE, LEARNING, REFERENCE_SAMPLE, REFERRING, RUNNING, CellPlan, cell_bytes, plan_cells
from online_model.evidence_buffer import EvidenceBuffer

__all__ = ["CellPlan", "cell_bytes", "plan_cells", "reset_cells", "update_cells"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I8 = NDArray[np.int8]

PRESENT, ABSENT, IMPOSSIBLE = 0, 1, 2  # states of a value

_LEARN_READINGS = 96  # before the reference begins; ten times the regression's terms
_REFERENCE_READINGS = 128  # least reference; its standard error is then a twentieth of the ranks' range
_QUALITY_READINGS = 256  # before bets on missing, impossible and stuck values
_MEMORY = 8192.0  # readings, or seven seasons if those are more: slower than any wear that is to be found
_MOST_MEMORY = 65536.0
_THINNING = 4  # once running, every fourth reading teaches: plenty for a memory of 8,192
_STANDING = 1e8  # a statistic that has stood so high ...
_STANDING_READINGS = 1000.0  # ... for so many readings and a season has found a new normal


@numba.njit(cache=True, nogil=True)
def reset_cells(F: F64, W: I64, slot: int, plan: CellPlan) -> None:
    """The cells of an entity just seen."""
    for i in range(plan.fields):
        at = plan.base + i * plan.cell_words
        cell = F[slot, at : at + plan.cell_words]
        cell[:] = 0.0
        cell[layout.COUNTER] = np.nan
        _relearn(cell)
        stuck.reset_stuck(cell[layout.STUCK : layout.MISSING])
        missing.reset_missing(cell[layout.MISSING : layout.RANGE])
        missing.reset_missing(cell[layout.RANGE : layout.SAMPLES])


@numba.njit(cache=True, nogil=True)
def _relearn(cell: F64) -> None:
    """Model, reference and samples begin anew; what has been reported stays, so that falling back is reported too."""
    top, out_top = cell[layout.DETECTOR + e_detector.TOP], cell[layout.DETECTOR + e_detector.OUT_TOP]
    residuals.reset_residual(cell[layout.RESIDUAL : layout.DETECTOR])
    e_detector.reset_detector(cell[layout.DETECTOR : layout.STUCK])
    cell[layout.DETECTOR + e_detector.TOP], cell[layout.DETECTOR + e_detector.OUT_TOP] = top, out_top
    cell[layout.PHASE], cell[layout.COLLECTED], cell[layout.RESUMES] = COLLECTING, 0.0, 0.0
    cell[layout.DEVIATION : layout.RESIDUAL] = 0.0
    cell[layout.STRIDE] = 1.0


@numba.njit(cache=True, nogil=True)
def update_cells(
    F: F64,
    W: I64,
    slot: int,
    plan: CellPlan,
    time: int,
    offset: int,
    numbers: F64,
    states: I8,
    in_order: bool,
    buffer: EvidenceBuffer,
    index: int,
) -> None:
    """Folds one reading of the entity in `slot` into its cells; puts what has become evidence into `buffer`.

    Args:
        time: event time in µs. offset: of the record. index: its row in the batch.
        numbers: (fields,) values; only read where `states` (fields,) is 0: present. 1 is missing, 2 impossible.
        in_order: False for a reading older than the entity's newest: detectors are order-dependent and skip it.
    """
    if not in_order:
        return
    x = np.zeros(residuals.TERMS)
    if plan.detecting:
        residuals.season_terms(time, plan.season_us, x[3:])
    for i in range(plan.fields):
        at = plan.base + i * plan.cell_words
        cell = F[slot, at : at + plan.cell_words]
        _update_cell(cell, plan, plan.counter[i], time, offset, numbers[i], states[i], x)
        report(cell, plan, i, slot, buffer, index)
        _end_of_ground(cell)
        if plan.detecting:
            _new_normal(cell, plan, time)


@numba.njit(cache=True, nogil=True)
def _update_cell(cell: F64, plan: CellPlan, counter: bool, time: int, offset: int, value: float, state: int, x: F64) -> None:
    if cell[layout.SEEN] == 0.0:
        cell[layout.BEGAN] = float(time)
    cell[layout.SEEN] += 1.0
    betting = cell[layout.SEEN] > _QUALITY_READINGS and float(time) - cell[layout.BEGAN] >= 2.0 * plan.season_us
    missing.bet_on_missing(cell[layout.MISSING : layout.RANGE], state == ABSENT, time, offset, betting)
    if state == ABSENT:
        return
    missing.bet_on_missing(cell[layout.RANGE : layout.SAMPLES], state == IMPOSSIBLE, time, offset, betting)
    if state == IMPOSSIBLE:
        return
    m = stuck.bet_on_stuck(cell[layout.STUCK : layout.MISSING], value, time, offset, betting)
    if not plan.detecting:
        return
    if counter:
        value = _increase(cell, value, time)
        if value != value:
            return
    if m >= stuck.IMPROBABLE:
        cell[layout.RESUMES] = 1.0
        return
    _detect(cell, plan, time, offset, value, x)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _increase(cell: F64, value: float, time: int) -> float:
    """Increase of a counter per second since its value before; NaN at first, after a reset and at the same time."""
    before, since = cell[layout.COUNTER], cell[layout.COUNTER_TIME]
    cell[layout.COUNTER], cell[layout.COUNTER_TIME] = value, float(time)
    if not (value >= before) or not (float(time) > since):
        return np.nan
    return (value - before) * 1e6 / (float(time) - since)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _detect(cell: F64, plan: CellPlan, time: int, offset: int, value: float, x: F64) -> None:
    state = cell[layout.RESIDUAL : layout.DETECTOR]
    if cell[layout.PHASE] == COLLECTING:
        _collect(cell, state, value, time)
        return
    y = residuals.standardise(state, value)
    if cell[layout.PHASE] == LEARNING and residuals.unit_too_small(state, y):
        _collect_anew(cell, state)
        return
    intervals = residuals.track_interval(state, time)
    if cell[layout.RESUMES] != 0.0:  # the value before is what the sensor was stuck at
        cell[layout.RESUMES] = 0.0
        intervals = np.inf
    terms = residuals.TERMS if plan.season_us > 0 else 3
    z = residuals.innovation(state, x, terms, y, intervals)
    if cell[layout.PHASE] == RUNNING:
        if z == z:
            _bet(cell, plan, time, offset, y, z, x, terms)
        _keep_learning(cell, plan, state, y, z, intervals, x, terms)
    else:
        _warm_up(cell, plan, state, time, y, z, intervals, x, terms)
    residuals.advance(state, y, z, intervals)


@numba.njit(cache=True, nogil=True)
def _collect(cell: F64, state: F64, value: float, time: int) -> None:
    """One of the first values; they stand where the moments will."""
    if cell[layout.COLLECTED] == 0.0 and state[residuals.UNIT_FLOOR] == 0.0:
        cell[layout.FIRST] = float(time)
    residuals.track_interval(state, time)
    n = int(cell[layout.COLLECTED])
    first = state[residuals.MOMENTS : residuals.MOMENTS + residuals.COLLECT]
    first[n] = value
    cell[layout.COLLECTED] += 1.0
    if n + 1 == residuals.COLLECT:
        residuals.set_units(state, first)
        first[:] = 0.0
        cell[layout.PHASE] = LEARNING


@numba.njit(cache=True, nogil=True)
def _collect_anew(cell: F64, state: F64) -> None:
    """The first values did not differ, so that the unit is nothing like the field's: collect again, with a floor."""
    floor = state[residuals.UNIT_FLOOR]
    residuals.reset_residual(state)
    state[residuals.UNIT_FLOOR] = floor
    cell[layout.PHASE], cell[layout.COLLECTED] = COLLECTING, 0.0


@numba.njit(cache=True, nogil=True)
def _warm_up(
    cell: F64, plan: CellPlan, state: F64, time: int, y: float, z: float, intervals: float, x: F64, terms: int
) -> None:
    """Learns; from the second season on lays down the reference, in scales that no longer move."""
    seasons = float(time) - cell[layout.FIRST]
    detector = cell[layout.DETECTOR : layout.STUCK]
    if cell[layout.PHASE] == REFERRING:
        if z == z:
            e_detector.lay_down(detector, z)
            _keep_reference(cell, plan, detector[e_detector.REFERENCE], z)
            far = y - residuals.expected_level(state, x, terms)
            cell[layout.DEVIATION] += far * far
        if detector[e_detector.REFERENCE] >= _REFERENCE_READINGS and seasons >= 2.0 * plan.season_us:
            e_detector.freeze(detector)
            cell[layout.PHASE] = RUNNING
    else:
        residuals.learn_scale(state, z)
        if state[residuals.N] >= _LEARN_READINGS and seasons >= plan.season_us:
            cell[layout.PHASE] = REFERRING
    if intervals <= residuals.GAP:
        residuals.learn(state, x, terms, y, z, 1.0, _memory(plan, state))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _memory(plan: CellPlan, state: F64) -> float:
    return min(max(_MEMORY, 7.0 * plan.season_us / max(state[residuals.INTERVAL], 1.0)), _MOST_MEMORY)


@numba.njit(cache=True, nogil=True)
def _keep_learning(cell: F64, plan: CellPlan, state: F64, y: float, z: float, intervals: float, x: F64, terms: int) -> None:
    """Follows slow change of season and level, but for what may be the beginning of something to report."""
    if z != z or int(cell[layout.SEEN]) % _THINNING != 0:
        return
    detector = cell[layout.DETECTOR : layout.STUCK]
    if detector[e_detector.OUT_M] >= e_detector.LEARNABLE:
        return
    for i in range(e_detector.BETS):
        if detector[i] >= e_detector.LEARNABLE * e_detector.BETS:
            return
    memory = _memory(plan, state)
    if residuals.learn(state, x, terms, y, z, float(_THINNING), memory):
        e_detector.set_stakes(detector)
    e_detector.follow(detector, z, float(_THINNING), memory)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _bet(cell: F64, plan: CellPlan, time: int, offset: int, y: float, z: float, x: F64, terms: int) -> None:
    detector = cell[layout.DETECTOR : layout.STUCK]
    if plan.sampling:
        samples = cell[layout.SAMPLES :].view(np.float32)
        samples[REFERENCE_SAMPLE + int(cell[layout.RECENT_AT]) % CURRENT_SAMPLE] = np.float32(z)
        cell[layout.RECENT_AT] += 1.0
    if e_detector.bet_on_outlying(detector, z, time, offset):
        _welford(cell, layout.OUT_N, y)
    e_detector.bet_on_change(detector, z, time, offset)
    _welford(cell, layout.NOW_N, y)
    cell[layout.NOW_EXPECTED] += (residuals.expected_level(cell[layout.RESIDUAL : layout.DETECTOR], x, terms) - cell[layout.NOW_EXPECTED]) / cell[
        layout.NOW_N
    ]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _welford(cell: F64, at: int, y: float) -> None:
    """Takes a value into (n, mean, M2) from word `at` on (Welford 1962)."""
    cell[at] += 1.0
    far = y - cell[at + 1]
    cell[at + 1] += far / cell[at]
    cell[at + 2] += far * (y - cell[at + 1])


@numba.njit(cache=True, nogil=True)
def _keep_reference(cell: F64, plan: CellPlan, nth: float, z: float) -> None:
    """Keeps every STRIDE-th error; when the sample is full, every second of it, and twice the stride."""
    if not plan.sampling or int(nth) % int(cell[layout.STRIDE]) != 0:
        return
    samples = cell[layout.SAMPLES :].view(np.float32)
    kept = int(cell[layout.KEPT])
    if kept == REFERENCE_SAMPLE:
        for i in range(REFERENCE_SAMPLE // 2):
            samples[i] = samples[2 * i + 1]
        kept = REFERENCE_SAMPLE // 2
        cell[layout.STRIDE] *= 2.0
        if int(nth) % int(cell[layout.STRIDE]) != 0:
            cell[layout.KEPT] = float(kept)
            return
    samples[kept] = np.float32(z)
    cell[layout.KEPT] = float(kept + 1)


@numba.njit(cache=True, nogil=True)
def _end_of_ground(cell: F64) -> None:
    """Samples of what is going on begin anew while nothing is; after reporting, so that an end still names what ended."""
    detector = cell[layout.DETECTOR : layout.STUCK]
    if detector[e_detector.PEAK] <= e_detector.GROUND:
        cell[layout.NOW_N : layout.OUT_N] = 0.0
    if detector[e_detector.OUT_M] <= 1.0:
        cell[layout.OUT_N : layout.KEPT] = 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _new_normal(cell: F64, plan: CellPlan, time: int) -> None:
    """Learns the cell anew when evidence has stood high for a season and 1,000 readings: what lasts is no longer an incident."""
    detector = cell[layout.DETECTOR : layout.STUCK]
    highest = detector[e_detector.OUT_M]
    for i in range(e_detector.BETS):
        highest = max(highest, detector[i])
    if highest < _STANDING:
        detector[e_detector.STANDING] = 0.0
        return
    if detector[e_detector.STANDING] == 0.0:
        detector[e_detector.STANDING_SINCE] = float(time)
    detector[e_detector.STANDING] += 1.0
    if detector[e_detector.STANDING] >= _STANDING_READINGS and float(time) - detector[e_detector.STANDING_SINCE] >= plan.season_us:
        _relearn(cell)
