"""Where a cell, one entity and number field, keeps what: words of float64, and float32 samples in pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from feature_store.rows import WORD
from online_model import adwin, e_detector, residuals, stuck
from online_model import bernoulli_e_detector as bernoulli
from online_model.evidence_buffer import Source

REFERENCE_SAMPLE = 256  # errors kept of the warm-up, evenly thinned, for KS and PSI
CURRENT_SAMPLE = 128  # newest errors

COLLECTING, LEARNING, REFERRING, RUNNING = range(4)  # phases of a cell

# Words of a cell, before its parts. SEEN counts the entity's readings, N_* and the like the cell's present values.
PHASE, COLLECTED, BEGAN, FIRST, SEEN, RESUMES, COUNTER, COUNTER_TIME = range(8)
DEVIATION = 8  # mean squared distance from the expected level, over the reference
NOW_N, NOW_MEAN, NOW_M2, NOW_EXPECTED = range(9, 13)  # values since drift last left its ground
OUT_N, OUT_MEAN, OUT_M2, OUT_EXPECTED = range(13, 17)  # outlying values since their evidence last left its ground
KEPT, STRIDE, RECENT_AT = range(17, 20)  # samples: how many of the reference are kept, every how many, how many errors came

RESIDUAL = 20
DETECTOR = RESIDUAL + residuals.WORDS
STUCK = DETECTOR + e_detector.WORDS
MISSING = STUCK + stuck.WORDS
RANGE = MISSING + bernoulli.WORDS
SAMPLES = RANGE + bernoulli.WORDS
SAMPLE_WORDS = (REFERENCE_SAMPLE + CURRENT_SAMPLE) // 2


class CellPlan(NamedTuple):
    """Detector cells of a feed: one of `cell_words` words for each number field, from word `base` of an entity's row."""

    base: int
    words: int
    max_evidence: int  # that one event can cause
    cells: NDArray[np.int64]  # (9,) running statistics an entity has, by Source
    fields: int
    cell_words: int
    season_us: int
    detecting: bool  # the e-detector is among the feed's detectors; without it only data quality is watched
    sampling: bool  # KS or PSI are
    ks: bool
    psi: bool
    adwin_at: int  # word of a cell from which ADWIN's window stands; 0 where it is not among the feed's detectors
    counter: NDArray[np.bool_]  # (fields,)


def plan_cells(feed: Feed, base: int) -> CellPlan:
    """The cells of a feed whose rows have them from word `base` on."""
    k = len(feed.numbers)
    detecting, ks, psi = (name in feed.detectors for name in ("e-detector", "ks", "psi"))
    words, adwin_at = SAMPLES + (SAMPLE_WORDS if ks or psi else 0), 0
    if "adwin" in feed.detectors:
        adwin_at, words = words, words + adwin.WORDS
    cells = np.zeros(len(Source), np.int64)
    cells[[Source.STUCK, Source.MISSING, Source.RANGE]] = k
    if detecting:
        cells[[Source.DRIFT, Source.ANOMALY]] = k
    counter = np.array([n.counter for n in feed.numbers], np.bool_)
    return CellPlan(base, k * words, int(cells.sum()), cells, k, words, feed.season_us, detecting, ks or psi, ks, psi, adwin_at, counter)


def cell_bytes(plan: CellPlan) -> int:
    """Bytes of state one cell takes."""
    return plan.cell_words * WORD
