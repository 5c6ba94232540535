"""Detection cells: for each entity and number field, what its readings say of drift, outliers, standstill and gaps.

A cell collects COLLECT values for its units, learns its regression for one season, lays down the reference of its
prediction errors over the next, and then bets. Bets are off and the model does not learn while the values stand still
improbably long: what is stuck is reported as stuck, and not as drift as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.kernel import kernel
from online_model import adwin, e_detector, residuals, stuck
from online_model import bernoulli_e_detector as bernoulli
from online_model import cell_layout as layout
from online_model.cell_evidence import LOWEST, report
from online_model.cell_layout import (
    COLLECTING,
    CURRENT_SAMPLE,
    LEARNING,
    REFERENCE_SAMPLE,
    REFERRING,
    RUNNING,
    CellPlan,
    cell_bytes,
    plan_cells,
)
from online_model.evidence_buffer import EvidenceBuffer

__all__ = ["CellPlan", "cell_bytes", "plan_cells", "reset_cell", "reset_cells", "update_cell", "update_cells"]

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
I8 = NDArray[np.int8]

PRESENT, ABSENT, IMPOSSIBLE = 0, 1, 2  # states of a value

_LEARN_READINGS = 96  # before the reference begins; ten times the regression's terms
_REFERENCE_READINGS = 128  # least reference; its standard error is then a twentieth of the ranks' range
_QUALITY_READINGS = 256  # before bets on missing, impossible and stuck values
_YOUNG = 2048.0  # readings of a reference that is corrected while it makes evidence, too; else its own error alarms beyond the budget
_MEMORY = 8192.0  # readings, or seven seasons if those are more: slower than any wear that is to be found
_MOST_MEMORY = 65536.0
_THINNING = 4  # once running, every fourth reading teaches: plenty for a memory of 8,192
_STANDING = 1e8  # a statistic that has stood so high ...
_STANDING_READINGS = 1000.0  # ... for so many readings and a season has found a new normal

# Words that every reading looks at, from the beginning of the cell: views of its parts cost more than the looks.
_HISTOGRAM = 2 * (layout.DETECTOR + e_detector.HISTOGRAM)  # in float32, as is _SAMPLES
_SAMPLES = 2 * layout.SAMPLES
_MEAN = layout.DETECTOR + e_detector.MEAN
_PEAK, _TOP = layout.DETECTOR + e_detector.PEAK, layout.DETECTOR + e_detector.TOP
_OUT_M, _OUT_TOP = layout.DETECTOR + e_detector.OUT_M, layout.DETECTOR + e_detector.OUT_TOP
_STOOD, _STANDING_SINCE = layout.DETECTOR + e_detector.STANDING, layout.DETECTOR + e_detector.STANDING_SINCE
_STUCK_M, _STUCK_TOP = layout.STUCK + stuck.M, layout.STUCK + stuck.TOP
_MISSING_M, _MISSING_TOP = layout.MISSING + bernoulli.M, layout.MISSING + bernoulli.TOP
_RANGE_M, _RANGE_TOP = layout.RANGE + bernoulli.M, layout.RANGE + bernoulli.TOP


@kernel()
def reset_cells(F: F64, W: I64, slot: int, plan: CellPlan) -> None:
    """The cells of an entity just seen."""
    for i in range(plan.fields):
        at = plan.base + i * plan.cell_words
        reset_cell(F[slot, at : at + plan.cell_words], plan.adwin_at)


@kernel()
def reset_cell(cell: F64, adwin_at: int) -> None:
    """A cell that has seen nothing."""
    cell[:] = 0.0
    cell[layout.COUNTER] = np.nan
    _relearn(cell, adwin_at)
    stuck.reset_stuck(cell, layout.STUCK)
    bernoulli.reset(cell, layout.MISSING)
    bernoulli.reset(cell, layout.RANGE)


@kernel()
def _relearn(cell: F64, adwin_at: int) -> None:
    """Model, reference and samples begin anew; what has been reported stays, so that falling back is reported too."""
    top, out_top = cell[_TOP], cell[_OUT_TOP]
    residuals.reset_residual(cell[layout.RESIDUAL : layout.DETECTOR])
    e_detector.reset_detector(cell[layout.DETECTOR : layout.STUCK])
    cell[_TOP], cell[_OUT_TOP] = top, out_top
    cell[layout.PHASE], cell[layout.COLLECTED], cell[layout.RESUMES] = COLLECTING, 0.0, 0.0
    cell[layout.DEVIATION : layout.RESIDUAL] = 0.0
    cell[layout.STRIDE] = 1.0
    if adwin_at:
        adwin.reset_adwin(cell[adwin_at:])


@kernel(inlined=True)
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
    x: F64,
    buffer: EvidenceBuffer,
    index: int,
) -> None:
    """Folds one reading of the entity in `slot` into its cells; puts what has become evidence into `buffer`.

    Args:
        time: event time in µs. offset: of the record. index: its row in the batch.
        numbers: (fields,) values; only read where `states` (fields,) is 0: present. 1 is missing, 2 impossible.
        in_order: False for a reading older than the entity's newest: detectors are order-dependent and skip it.
        x: (residuals.TERMS,) room for regressors; what stands there does not matter.
    """
    if not in_order:
        return
    halves = F[slot].view(np.float32)
    if plan.detecting:
        residuals.season_terms(time, plan.season_us, x[3:])
    for i in range(plan.fields):
        at = plan.base + i * plan.cell_words
        cell = F[slot, at : at + plan.cell_words]
        update_cell(
            cell,
            halves,
            2 * at,
            plan.season_us,
            plan.detecting,
            plan.sampling,
            plan.adwin_at,
            plan.counter[i],
            time,
            offset,
            numbers[i],
            states[i],
            x,
        )
        if _has_risen(cell):
            report(cell, plan, i, slot, buffer, index)
        if plan.detecting:
            end_of_ground(cell)
            new_normal(cell, plan.season_us, plan.adwin_at, time)


@kernel(inlined=True)
def update_cell(
    cell: F64,
    halves: F32,
    at: int,
    season_us: int,
    detecting: bool,
    sampling: bool,
    adwin_at: int,
    counter: bool,
    time: int,
    offset: int,
    value: float,
    state: int,
    x: F64,
) -> None:
    """Folds one value in order into its cell; `halves` are the row's words as float32, in which the cell begins at `at`."""
    if cell[layout.SEEN] == 0.0:
        cell[layout.BEGAN] = float(time)
    cell[layout.SEEN] += 1.0
    betting = cell[layout.SEEN] > _QUALITY_READINGS and float(time) - cell[layout.BEGAN] >= 2.0 * season_us
    bernoulli.bet(cell, layout.MISSING, state == ABSENT, time, offset, betting)
    if state == ABSENT:
        return
    bernoulli.bet(cell, layout.RANGE, state == IMPOSSIBLE, time, offset, betting)
    if state == IMPOSSIBLE:
        return
    m = stuck.bet_on_stuck(cell, layout.STUCK, value, time, offset, betting)
    if not detecting:
        return
    if counter:
        value = _increase(cell, value, time)
        if value != value:
            return
    if m >= stuck.IMPROBABLE:
        cell[layout.RESUMES] = 1.0
        return
    _detect(cell, halves, at, season_us, sampling, adwin_at, time, offset, value, x)


@kernel("numpy")
def _increase(cell: F64, value: float, time: int) -> float:
    """Increase of a counter per second since its value before; NaN at first, after a reset and at the same time."""
    before, since = cell[layout.COUNTER], cell[layout.COUNTER_TIME]
    cell[layout.COUNTER], cell[layout.COUNTER_TIME] = value, float(time)
    if not (value >= before) or not (float(time) > since):
        return np.nan
    return (value - before) * 1e6 / (float(time) - since)


@kernel("numpy", inlined=True)
def _detect(
    cell: F64, halves: F32, at: int, season_us: int, sampling: bool, adwin_at: int, time: int, offset: int, value: float, x: F64
) -> None:
    state = cell[layout.RESIDUAL : layout.DETECTOR]
    if cell[layout.PHASE] == COLLECTING:
        _collect(cell, state, value, time)
        return
    y = residuals.standardise(state, value)
    if cell[layout.PHASE] != RUNNING and residuals.unit_too_small(state, y):
        _relearn(cell, adwin_at)
        return
    intervals = residuals.track_interval(state, time)
    if cell[layout.RESUMES] != 0.0:  # the value before is what the sensor was stuck at
        cell[layout.RESUMES] = 0.0
        intervals = np.inf
    terms = residuals.TERMS if season_us > 0 else 3
    z = residuals.innovation(state, x, terms, y, intervals)
    if z == z and stuck.rests(cell, layout.STUCK):
        z = 0.0
    if cell[layout.PHASE] == RUNNING:
        if z == z:
            _bet(cell, halves, at, sampling, adwin_at, time, offset, y, z, x, terms)
        _keep_learning(cell, halves, at, season_us, state, y, z, x, terms)
    else:
        _warm_up(cell, halves, at, season_us, sampling, state, time, y, z, intervals, x, terms)
    residuals.advance(state, y, z, intervals)


@kernel()
def _collect(cell: F64, state: F64, value: float, time: int) -> None:
    """One of the first values; they stand where the moments will."""
    if cell[layout.COLLECTED] == 0.0:
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


@kernel("numpy")
def _warm_up(
    cell: F64,
    halves: F32,
    at: int,
    season_us: int,
    sampling: bool,
    state: F64,
    time: int,
    y: float,
    z: float,
    intervals: float,
    x: F64,
    terms: int,
) -> None:
    """Learns; from the second season on lays down the reference, in scales that no longer move."""
    seasons = float(time) - cell[layout.FIRST]
    detector = cell[layout.DETECTOR : layout.STUCK]
    if cell[layout.PHASE] == REFERRING:
        if z == z:
            e_detector.lay_down(detector, halves, at + _HISTOGRAM, z)
            _keep_reference(cell, halves, at, season_us, sampling, detector[e_detector.REFERENCE], z)
            far = y - residuals.expected_level(state, x, terms)
            cell[layout.DEVIATION] += (far * far - cell[layout.DEVIATION]) / detector[e_detector.REFERENCE]
        if detector[e_detector.REFERENCE] >= _REFERENCE_READINGS and seasons >= 2.0 * season_us:
            e_detector.freeze(detector, halves, at + _HISTOGRAM)
            cell[layout.PHASE] = RUNNING
    else:
        residuals.learn_scale(state, z)
        if state[residuals.N] >= _LEARN_READINGS and seasons >= season_us:
            cell[layout.PHASE] = REFERRING
    if intervals <= residuals.GAP:
        residuals.learn(state, x, terms, y, z, 1.0, _memory(season_us, state), True)


@kernel("numpy")
def _memory(season_us: int, state: F64) -> float:
    return min(max(_MEMORY, 7.0 * season_us / max(state[residuals.INTERVAL], 1.0)), _MOST_MEMORY)


@kernel(inlined=True)
def _keep_learning(cell: F64, halves: F32, at: int, season_us: int, state: F64, y: float, z: float, x: F64, terms: int) -> None:
    """Follows slow change of season and level, but for what may be the beginning of something to report."""
    if z != z or cell[_OUT_M] >= e_detector.LEARNABLE or cell[_MEAN] >= e_detector.LEARNABLE:
        return
    detector = cell[layout.DETECTOR : layout.STUCK]
    e_detector.take_batch(detector, z)
    if int(cell[layout.SEEN]) % _THINNING != 0:
        return
    memory = _memory(season_us, state)
    e_detector.follow(detector, halves, at + _HISTOGRAM, z, float(_THINNING), memory)
    settled = cell[_PEAK] <= e_detector.GROUND or detector[e_detector.REFERENCE] < _YOUNG
    if residuals.learn(state, x, terms, y, z, float(_THINNING), memory, settled):
        e_detector.set_stakes(detector)
        e_detector.hold(detector, halves, at + _HISTOGRAM)


@kernel("numpy", inlined=True)
def _bet(
    cell: F64, halves: F32, at: int, sampling: bool, adwin_at: int, time: int, offset: int, y: float, z: float, x: F64, terms: int
) -> None:
    detector = cell[layout.DETECTOR : layout.STUCK]
    if sampling:
        halves[at + _SAMPLES + REFERENCE_SAMPLE + int(cell[layout.RECENT_AT]) % CURRENT_SAMPLE] = np.float32(z)
        cell[layout.RECENT_AT] += 1.0
    if adwin_at:
        adwin.update_adwin(cell[adwin_at:], e_detector.rank(halves, at + _HISTOGRAM, z), time)
    if e_detector.bet_on_outlying(detector, z, time, offset):
        _welford(cell, layout.OUT_N, y, x, terms)
    e_detector.bet_on_change(detector, halves, at + _HISTOGRAM, z, time, offset)
    if cell[_PEAK] > e_detector.GROUND:
        _welford(cell, layout.NOW_N, y, x, terms)


@kernel("numpy")
def _welford(cell: F64, at: int, y: float, x: F64, terms: int) -> None:
    """Takes a value into (n, mean, M2, mean of the expected levels) from word `at` on (Welford 1962)."""
    cell[at] += 1.0
    far = y - cell[at + 1]
    cell[at + 1] += far / cell[at]
    cell[at + 2] += far * (y - cell[at + 1])
    expected = residuals.expected_level(cell[layout.RESIDUAL : layout.DETECTOR], x, terms)
    cell[at + 3] += (expected - cell[at + 3]) / cell[at]


@kernel()
def _keep_reference(cell: F64, halves: F32, at: int, season_us: int, sampling: bool, nth: float, z: float) -> None:
    """Keeps every STRIDE-th error; when the sample is full, every second of it, and twice the stride."""
    if not sampling or int(nth) % int(cell[layout.STRIDE]) != 0:
        return
    first = at + _SAMPLES
    kept = int(cell[layout.KEPT])
    if kept == REFERENCE_SAMPLE:
        for i in range(REFERENCE_SAMPLE // 2):
            halves[first + i] = halves[first + 2 * i + 1]
        kept = REFERENCE_SAMPLE // 2
        cell[layout.STRIDE] *= 2.0
        if int(nth) % int(cell[layout.STRIDE]) != 0:
            cell[layout.KEPT] = float(kept)
            return
    halves[first + kept] = np.float32(z)
    cell[layout.KEPT] = float(kept + 1)


@kernel()
def _has_risen(cell: F64) -> bool:
    """Whether a statistic is, or has been reported, above the lowest bar: all that most readings need to ask."""
    return (
        cell[_PEAK] >= LOWEST
        or cell[_OUT_M] >= LOWEST
        or cell[_STUCK_M] >= LOWEST
        or cell[_MISSING_M] >= LOWEST
        or cell[_RANGE_M] >= LOWEST
        or cell[_TOP] + cell[_OUT_TOP] + cell[_STUCK_TOP] + cell[_MISSING_TOP] + cell[_RANGE_TOP] > 0.0
    )


@kernel()
def end_of_ground(cell: F64) -> None:
    """Samples of what is going on begin anew while nothing is; after reporting, so that an end still names what ended."""
    if cell[_PEAK] <= e_detector.GROUND:
        for i in range(layout.NOW_N, layout.OUT_N):
            cell[i] = 0.0
    if cell[_OUT_M] <= 1.0:
        for i in range(layout.OUT_N, layout.KEPT):
            cell[i] = 0.0


@kernel("numpy")
def new_normal(cell: F64, season_us: int, adwin_at: int, time: int) -> None:
    """Learns the cell anew when evidence has stood high for a season and 1,000 readings: what lasts is no longer an incident."""
    if cell[_MEAN] < _STANDING and cell[_OUT_M] < _STANDING:
        cell[_STOOD] = 0.0
        return
    if cell[_STOOD] == 0.0:
        cell[_STANDING_SINCE] = float(time)
    cell[_STOOD] += 1.0
    if cell[_STOOD] >= _STANDING_READINGS and float(time) - cell[_STANDING_SINCE] >= season_us:
        _relearn(cell, adwin_at)
