"""Fleets of simulated sensors straight through the detection cells, with the judge's rule for opening and closing."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from contracts.definition import Feed, Number
from contracts.durations import SECOND, WEEK
from feature_store.rows import new_rows
from online_model.cells import CellPlan, plan_cells, reset_cells, update_cells
from online_model.evidence_buffer import LOG10_E, EvidenceBuffer, Source, new_evidence_buffer
from online_model.residuals import TERMS

SHARES = {Source.DRIFT: 0.4, Source.ANOMALY: 0.2, Source.STUCK: 0.1, Source.MISSING: 0.1, Source.RANGE: 0.05}
START = 1_700_006_400_000_000  # a midnight


class Opening(NamedTuple):
    """A statistic passed what the budget asks for."""

    step: int
    entity: int
    source: Source
    field: int
    log10_e: float


def plan(fields: int = 1, season: str | None = "1d", detectors: tuple[str, ...] = ("e-detector", "ks", "psi")) -> CellPlan:
    """Cells of a feed with so many number fields, from word 0 on."""
    feed = Feed("f", entity="e", time="t", fields=[Number(f"x{i}") for i in range(fields)], season=season, detectors=detectors)
    return plan_cells(feed, 0)


@numba.njit(cache=True, nogil=True)
def drive(F, W, cells, begin, cadence, values, states, buffer, first):  # type: ignore[no-untyped-def]
    """Folds values (steps, entities, fields); offsets are step · entities + entity."""
    steps, entities, _ = values.shape
    terms = np.zeros(TERMS)
    for t in range(steps):
        for e in range(entities):
            update_cells(
                F,
                W,
                e,
                cells,
                begin + (first + t) * cadence,
                (first + t) * entities + e,
                values[t, e],
                states[t, e],
                True,
                terms,
                buffer,
                t,
            )


class Fleet:
    """Rows of some entities, folded step by step in chunks."""

    def __init__(self, cells: CellPlan, entities: int, cadence_s: float, budget: float = 1.0) -> None:
        self.cells, self.entities, self.cadence, self.step = cells, entities, int(cadence_s * SECOND), 0
        self.F, self.W = new_rows(entities, cells.words)
        for e in range(entities):
            reset_cells(self.F, self.W, e, cells)
        readings = WEEK / self.cadence
        self.asked = {
            s: float(np.log10(cells.cells[s] * entities * readings / (budget * share))) for s, share in SHARES.items() if cells.cells[s]
        }
        self.open: set[tuple[int, int, int]] = set()

    def fold(self, values: np.ndarray) -> list[Opening]:
        """Values (steps, entities, fields), NaN missing; what opens, in order."""
        openings: list[Opening] = []
        for chunk in np.array_split(values, max(1, len(values) // 2000)):
            buffer: EvidenceBuffer = new_evidence_buffer(max(4096, chunk.size // 4))
            states = np.isnan(chunk).astype(np.int8)
            drive(self.F, self.W, self.cells, START, self.cadence, chunk, states, buffer, self.step)
            for row in range(buffer.used[0]):
                source, log10_e = Source(buffer.source[row]), buffer.numbers[row, LOG10_E]
                key = (int(buffer.slot[row]), int(source), int(buffer.field[row]))
                if key in self.open and log10_e < 1.0:
                    self.open.remove(key)
                if key not in self.open and log10_e >= self.asked[source]:
                    self.open.add(key)
                    openings.append(Opening(self.step + int(buffer.row[row]), key[0], source, key[2], log10_e))
            self.step += len(chunk)
        return openings


def noise(kind: str, steps: int, series: tuple[int, ...], rng: np.random.Generator, cadence_s: float = 60.0, first: int = 0) -> np.ndarray:
    """Values (steps, *series) of marginal standard deviation 1 around 0 (or a daily cycle of amplitude 2)."""
    from scipy.signal import lfilter

    shape = (steps, *series)

    def ar(phi: float) -> np.ndarray:
        e = rng.standard_normal(shape) * np.sqrt(1 - phi * phi)
        e[0] /= np.sqrt(1 - phi * phi)
        return lfilter([1.0], [1.0, -phi], e, axis=0)

    day = 2 * np.pi * (np.arange(first, first + steps) * cadence_s / 86400.0).reshape((-1,) + (1,) * len(series))
    if kind == "iid":
        return rng.standard_normal(shape)
    if kind.startswith("ar"):
        return ar(float(kind[2:]))
    if kind == "season":
        return 2 * np.sin(day) + ar(0.5)
    if kind == "season-iid":
        return 2 * np.sin(day) + rng.standard_normal(shape)
    if kind == "season-sharp":  # shift work: a step up at 8, down at 17, with noise
        hour = (day / (2 * np.pi) % 1.0) * 24
        return 2.0 * ((hour > 8) & (hour < 17)) + ar(0.5)
    if kind == "sum":  # of a slow and a quick autoregression: ARMA(2, 1)
        return (ar(0.98) + ar(0.5)) / np.sqrt(2.0)
    if kind == "noisy-ar":  # a slow state under white noise
        return ar(0.98) * np.sqrt(0.7) + rng.standard_normal(shape) * np.sqrt(0.3)
    if kind == "t3":
        return rng.standard_t(3, shape) / np.sqrt(3.0)
    if kind == "quantised":
        return np.round(rng.standard_normal(shape) * 2.0) / 2.0
    if kind == "quantised-ar":
        return np.round(ar(0.9) * 5.0) / 5.0
    if kind == "exp":
        return rng.exponential(1.0, shape)
    if kind == "gaps":
        x = ar(0.9)
        x[rng.random(shape) < 0.1] = np.nan
        return x
    if kind == "constant":
        return np.full(shape, 7.0)
    if kind == "switch":
        return (rng.random(shape) < 0.002).cumsum(axis=0) % 2.0
    raise ValueError(kind)
