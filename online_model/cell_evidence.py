"""When a cell's statistics become evidence, and what the evidence says of reference and present, in the field's units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.kernel import kernel
from online_model import adwin, e_detector, residuals, stuck
from online_model import bernoulli_e_detector as bernoulli
from online_model import cell_layout as layout
from online_model.cell_layout import CURRENT_SAMPLE, REFERENCE_SAMPLE, CellPlan
from online_model.evidence_buffer import (
    ADWIN_NEW_MEAN,
    ADWIN_NEW_N,
    ADWIN_OLD_MEAN,
    ADWIN_OLD_N,
    ADWIN_TIME,
    CURRENT_MEAN,
    CURRENT_N,
    CURRENT_STD,
    DIRECTION,
    KS,
    KS_P,
    PSI,
    READINGS,
    REFERENCE_MEAN,
    REFERENCE_N,
    REFERENCE_STD,
    SINCE,
    SINCE_OFFSET,
    EvidenceBuffer,
    emit,
)
from online_model.kolmogorov_smirnov import ks_two_sample
from online_model.population_stability import population_stability

F64 = NDArray[np.float64]

_DECADES = np.array([float(f"1e{k}") for k in range(23)])
_LOWEST_DECADE = 2
LOWEST = 100.0  # the low bar below which a statistic is nobody's business
_FALLEN = 10.0  # a statistic that had passed the bar and is below this says that it has fallen back

_DRIFT, _ANOMALY, _STUCK, _MISSING, _RANGE = 0, 1, 2, 3, 4  # Source, as plain integers for kernels


@kernel()
def decade(top: float, m: float) -> float:
    """The highest decade reported once `m` is seen, after `top`; `top` itself where there is nothing to say, 0 once fallen back."""
    height = int(top)
    if m >= _DECADES[max(height + 1, _LOWEST_DECADE)]:
        while height < 21 and m >= _DECADES[height + 1]:
            height += 1
        return float(height)
    return 0.0 if height >= _LOWEST_DECADE and m < _FALLEN else top


@kernel()
def report(cell: F64, plan: CellPlan, field: int, slot: int, buffer: EvidenceBuffer, index: int) -> None:
    """Emits what each statistic of a cell has to say."""
    if plan.detecting:
        detector = cell[layout.DETECTOR : layout.STUCK]
        mean = detector[e_detector.MEAN]
        top = decade(detector[e_detector.TOP], mean)
        if top != detector[e_detector.TOP]:
            detector[e_detector.TOP] = top
            emit_drift(cell, plan, field, slot, buffer, index, _DRIFT, mean)
        top = decade(detector[e_detector.OUT_TOP], detector[e_detector.OUT_M])
        if top != detector[e_detector.OUT_TOP]:
            detector[e_detector.OUT_TOP] = top
            _emit_anomaly(cell, plan, field, slot, buffer, index)
    part = cell[layout.STUCK : layout.MISSING]
    top = decade(part[stuck.TOP], part[stuck.M])
    if top != part[stuck.TOP]:
        part[stuck.TOP] = top
        row = _emit(cell, plan, field, slot, buffer, index, _STUCK, part[stuck.M], part[stuck.SINCE], part[stuck.SINCE_OFFSET])
        buffer.numbers[row, CURRENT_N] = part[stuck.RUN]
        buffer.numbers[row, CURRENT_MEAN] = part[stuck.LAST]
        buffer.numbers[row, CURRENT_STD] = 0.0
    report_shares(cell, plan, field, slot, buffer, index)


@kernel()
def report_shares(cell: F64, plan: CellPlan, field: int, slot: int, buffer: EvidenceBuffer, index: int) -> None:
    """Emits what the shares of missing and of impossible values have to say; means are shares, of the history and since."""
    for source, base in ((_MISSING, layout.MISSING), (_RANGE, layout.RANGE)):
        part = cell[base : base + bernoulli.WORDS]
        top = decade(part[bernoulli.TOP], part[bernoulli.M])
        if top != part[bernoulli.TOP]:
            part[bernoulli.TOP] = top
            since, since_offset = part[bernoulli.SINCE], part[bernoulli.SINCE_OFFSET]
            row = _emit(cell, plan, field, slot, buffer, index, source, part[bernoulli.M], since, since_offset)
            numbers = buffer.numbers[row]
            numbers[REFERENCE_N] = part[bernoulli.AFTER_NO] + part[bernoulli.AFTER_YES]
            numbers[REFERENCE_MEAN] = bernoulli.usual_overall(part, 0)
            numbers[REFERENCE_STD] = np.nan
            numbers[CURRENT_N] = part[bernoulli.RUN]
            numbers[CURRENT_MEAN] = part[bernoulli.RUN_YES] / max(part[bernoulli.RUN], 1.0)


@kernel("numpy")
def _emit(
    cell: F64, plan: CellPlan, field: int, slot: int, buffer: EvidenceBuffer, index: int, source: int, m: float, since: float, offset: float
) -> int:
    """What all evidence of a cell has; the reference is the level that season and history let one expect of the values spoken of."""
    row = emit(buffer, index, slot, source, field, e_detector.log_of(m))
    numbers = buffer.numbers[row]
    numbers[DIRECTION] = 0.0
    numbers[SINCE], numbers[SINCE_OFFSET] = since, offset
    numbers[READINGS] = cell[layout.SEEN]
    state = cell[layout.RESIDUAL : layout.DETECTOR]
    reference = cell[layout.DETECTOR + e_detector.REFERENCE]
    if cell[layout.PHASE] == layout.RUNNING:
        expected = cell[layout.OUT_EXPECTED if source == _ANOMALY and cell[layout.OUT_N] > 0.0 else layout.NOW_EXPECTED]
        numbers[REFERENCE_N] = reference
        numbers[REFERENCE_MEAN] = state[residuals.CENTER] + state[residuals.UNIT] * expected
        numbers[REFERENCE_STD] = state[residuals.UNIT] * np.sqrt(cell[layout.DEVIATION])
    return row


@kernel("numpy")
def _put_current(numbers: F64, state: F64, n: float, mean: float, m2: float) -> None:
    numbers[CURRENT_N] = n
    if n > 0.0:
        numbers[CURRENT_MEAN] = state[residuals.CENTER] + state[residuals.UNIT] * mean
        numbers[CURRENT_STD] = state[residuals.UNIT] * np.sqrt(max(m2, 0.0) / max(n - 1.0, 1.0))


@kernel()
def emit_drift(cell: F64, plan: CellPlan, field: int, slot: int, buffer: EvidenceBuffer, index: int, source: int, m: float) -> None:
    """Emits that location or spread has changed, with the figures beside it."""
    detector = cell[layout.DETECTOR : layout.STUCK]
    row = _emit(cell, plan, field, slot, buffer, index, source, m, detector[e_detector.SINCE], detector[e_detector.SINCE_OFFSET])
    numbers = buffer.numbers[row]
    numbers[DIRECTION] = float(e_detector.direction(detector))
    _put_current(numbers, cell[layout.RESIDUAL : layout.DETECTOR], cell[layout.NOW_N], cell[layout.NOW_MEAN], cell[layout.NOW_M2])
    _put_distances(numbers, cell, plan)
    _put_adwin(numbers, cell, plan)


@kernel()
def _emit_anomaly(cell: F64, plan: CellPlan, field: int, slot: int, buffer: EvidenceBuffer, index: int) -> None:
    detector = cell[layout.DETECTOR : layout.STUCK]
    m, since, offset = detector[e_detector.OUT_M], detector[e_detector.OUT_SINCE], detector[e_detector.OUT_SINCE_OFFSET]
    row = _emit(cell, plan, field, slot, buffer, index, _ANOMALY, m, since, offset)
    numbers = buffer.numbers[row]
    _put_current(numbers, cell[layout.RESIDUAL : layout.DETECTOR], cell[layout.OUT_N], cell[layout.OUT_MEAN], cell[layout.OUT_M2])
    numbers[DIRECTION] = 0.0
    if cell[layout.OUT_N] > 0.0 and numbers[REFERENCE_MEAN] == numbers[REFERENCE_MEAN]:
        far = numbers[CURRENT_MEAN] - numbers[REFERENCE_MEAN]
        numbers[DIRECTION] = 1.0 if far > numbers[REFERENCE_STD] else (-1.0 if far < -numbers[REFERENCE_STD] else 0.0)
    _put_distances(numbers, cell, plan)
    _put_adwin(numbers, cell, plan)


@kernel(allocates=True)
def _put_distances(numbers: F64, cell: F64, plan: CellPlan) -> None:
    """KS and PSI of the newest prediction errors against those of the reference."""
    if not plan.sampling:
        return
    samples = cell[layout.SAMPLES :].view(np.float32)
    reference = samples[: int(cell[layout.KEPT])]
    current = samples[REFERENCE_SAMPLE : REFERENCE_SAMPLE + min(int(cell[layout.RECENT_AT]), CURRENT_SAMPLE)]
    if plan.ks:
        numbers[KS], numbers[KS_P] = ks_two_sample(reference, current)
    if plan.psi:
        numbers[PSI] = population_stability(reference, current)


@kernel("numpy")
def _put_adwin(numbers: F64, cell: F64, plan: CellPlan) -> None:
    """The last change that ADWIN has found, if that was after the evidence left its ground: older ones are of something else."""
    if not plan.adwin_at:
        return
    window = cell[plan.adwin_at :]
    if window[adwin.CHANGE_TIME] > numbers[SINCE]:
        numbers[ADWIN_TIME] = window[adwin.CHANGE_TIME]
        numbers[ADWIN_OLD_N], numbers[ADWIN_OLD_MEAN] = window[adwin.OLD_N], window[adwin.OLD_MEAN]
        numbers[ADWIN_NEW_N], numbers[ADWIN_NEW_MEAN] = window[adwin.WIDTH], window[adwin.TOTAL] / window[adwin.WIDTH]
