"""Predictions are watched without labels: no alarm without a change, every shift found, and every champion by its own reference."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import chi2

from contracts.definition import Classification, Feed, Number, Regression
from contracts.durations import MINUTE, WEEK
from feature_store.rows import new_rows
from online_model import evidence_buffer as columns
from online_model.budget import LEARNING_SHARES
from online_model.evidence_buffer import Source, new_evidence_buffer
from online_model.prediction_drift import (
    PredictedRows,
    plan_predictions,
    version_word,
    watch_predictions,
    watched_outputs,
)
from tests.online_model.fleet import START, noise

F64 = NDArray[np.float64]
PER_DAY = 1440  # one reading a minute


def predicting(outputs: int = 1, **settings: object) -> Feed:
    """A number, or classes."""
    target = Regression("power") if outputs == 1 else Classification("state", [f"c{i}" for i in range(outputs)])
    return Feed("f", entity="e", time="t", fields=[Number("x")], target=target, **settings)  # type: ignore[arg-type]


class Watch:
    """Rows of some entities; predictions step by step, a reading a minute."""

    def __init__(self, feed: Feed, entities: int) -> None:
        self.plan, self.entities, self.step = plan_predictions(feed, 2), entities, 0
        self.F, self.W = new_rows(entities, 2 + self.plan.words)
        self.told: list[tuple[int, int, int, float]] = []  # step, entity, field, log10 of the e-value
        self.means: list[tuple[float, float]] = []  # reference and present, of evidence above 10⁶

    def fold(self, values: F64, version: str | None = "v1") -> None:
        """Predictions (steps, entities, outputs)."""
        for chunk in np.array_split(values, max(1, len(values) // 2000)):
            n = chunk.shape[0] * self.entities
            steps = self.step + np.repeat(np.arange(len(chunk)), self.entities)
            rows = PredictedRows(
                np.arange(n),
                np.tile(np.arange(self.entities), len(chunk)),
                (steps == 0),
                np.ones(n, np.bool_),
                START + steps * MINUTE,
                np.arange(n) + self.step * self.entities,
                START + steps * MINUTE,
            )
            begin = 0
            while begin < n:
                buffer = new_evidence_buffer(64)
                begin = watch_predictions(
                    begin, self.F, self.W, self.plan, version_word(version), rows, chunk.reshape(n, -1), buffer
                )  # fmt: skip
                for at in range(buffer.used[0]):
                    assert buffer.source[at] == Source.PREDICTION
                    row = int(buffer.row[at])
                    numbers = buffer.numbers[at]
                    self.told.append((int(steps[row]), int(buffer.slot[at]), int(buffer.field[at]), float(numbers[columns.LOG10_E])))
                    if numbers[columns.LOG10_E] > 6.0:
                        self.means.append((float(numbers[columns.REFERENCE_MEAN]), float(numbers[columns.CURRENT_MEAN])))
            self.step += len(chunk)

    def opened(self, threshold: float) -> list[tuple[int, int]]:
        """(step, entity) at which evidence passed the threshold, once until it has fallen back."""
        risen: set[tuple[int, int]] = set()
        found = []
        for step, entity, field, log10_e in self.told:
            if log10_e < 1.0:
                risen.discard((entity, field))
            elif log10_e >= threshold and (entity, field) not in risen:
                risen.add((entity, field))
                found.append((step, entity))
        return found


def asked(entities: int) -> float:
    """log10 of the threshold that a budget of one false alarm a week leaves to predictions."""
    return float(np.log10(entities * WEEK / MINUTE / (LEARNING_SHARES["prediction"].percent / 100.0 * 0.8)))


def predictions(kind: str, days: int, entities: int, rng: np.random.Generator) -> F64:
    """As models make them of a field with a daily cycle: of its value and its mean of ten minutes; by a few trees; a probability."""
    x = noise("season", days * PER_DAY, (entities,), rng)
    mean = lfilter(np.full(10, 0.1), [1.0], x, axis=0)
    both = 3.0 * x + 5.0 * mean
    if kind == "trees":
        both = np.round(both / 4.0) * 4.0 + np.round(mean)
    if kind == "probability":
        p = 1.0 / (1.0 + np.exp(-0.3 * both))
        return np.stack([1.0 - p, p], axis=2)
    return both[:, :, None]


@pytest.mark.parametrize("kind", ["linear", "trees", "probability"])
def test_predictions_of_an_unchanged_fleet_stay_within_the_budget(kind: str) -> None:
    """24 machines for six weeks after two days: the exact 95 % bound of the rate of alarms is at most the budget of the whole feed."""
    weeks, watch = 6, Watch(predicting(2 if kind == "probability" else 1), 24)
    watch.fold(predictions(kind, 2 + 7 * weeks, 24, np.random.default_rng(1)))
    opened = watch.opened(asked(24))
    bound = chi2.ppf(0.95, 2 * (len(opened) + 1)) / 2  # exact upper bound of a Poisson mean (Garwood 1936)
    assert bound / weeks <= 1.0


@pytest.mark.parametrize("size", [1.5, 2.0])
def test_shifted_predictions_are_found_on_every_machine(size: float) -> None:
    """What the model reads is shifted by so many deviations of its noise: found on each of 12 machines in a day, on most in 8 hours."""
    values = predictions("linear", 11, 12, np.random.default_rng(2))
    at = 8 * PER_DAY + 300
    values[at:] += 8.0 * size
    watch = Watch(predicting(), 12)
    watch.fold(values)
    opened = watch.opened(asked(12))
    assert {entity for _, entity in opened} == set(range(12))
    assert all(at <= step < at + PER_DAY for step, _ in opened)
    assert np.median([step for step, _ in opened]) < at + 480


def test_another_champion_has_a_reference_of_its_own() -> None:
    """A version that predicts otherwise is no drift, a revision of it none either; it is watched once its own reference stands."""
    values = predictions("linear", 7, 6, np.random.default_rng(3))
    values[3 * PER_DAY :] += 100.0
    watch = Watch(predicting(), 6)
    watch.fold(values[: 3 * PER_DAY], "v1")
    watch.fold(values[3 * PER_DAY : 6 * PER_DAY], "v2.1")
    watch.fold(values[6 * PER_DAY :] + 20.0, "v2.2")
    opened = watch.opened(asked(6))
    assert {entity for _, entity in opened} == set(range(6))
    assert all(step >= 6 * PER_DAY for step, _ in opened)


def test_what_was_told_of_a_champion_ends_with_it() -> None:
    """Evidence stands when another version takes over: the next prediction says that it has fallen."""
    values = predictions("linear", 4, 1, np.random.default_rng(4))
    values[3 * PER_DAY :] += 20.0
    watch = Watch(predicting(), 1)
    watch.fold(values[: 3 * PER_DAY + 300], "v1")
    assert watch.told[-1][3] > 3.0
    watch.fold(values[3 * PER_DAY + 300 : 3 * PER_DAY + 400], "v2")
    assert watch.told[-1][3] == 0.0


def test_without_a_champion_nothing_is_learnt() -> None:
    """And a slot that another entity has taken over begins anew even then."""
    watch = Watch(predicting(), 2)
    watch.fold(predictions("linear", 1, 2, np.random.default_rng(5)), None)
    assert not watch.F.any()
    watch.fold(predictions("linear", 1, 2, np.random.default_rng(5)))
    assert watch.F[:, 2:].any()
    rows = PredictedRows(*(np.array([value]) for value in (0, 1, True, True, START + 5_000 * MINUTE, 0, 0)))
    watch_predictions(0, watch.F, watch.W, watch.plan, 0, rows, np.zeros((0, 1)), new_evidence_buffer(8))
    assert watch.F[0, 2:].any() and not watch.F[1, 2:].any()


def test_what_is_watched_bears_the_targets_name() -> None:
    """The number; of classes each but the first; nothing without a target or without the e-detector."""
    assert watched_outputs(predicting()) == ("power",)
    assert watched_outputs(predicting(3)) == ("state=c1", "state=c2")
    assert watched_outputs(predicting(detectors=[])) == ()
    assert plan_predictions(Feed("f", entity="e", time="t", fields=[Number("x")]), 7).words == 0


def test_classes_are_told_as_probabilities() -> None:
    """The second of two becomes rarer by far; the evidence is of it, and its means are probabilities."""
    changed = predictions("probability", 4, 2, np.random.default_rng(6))
    changed[3 * PER_DAY :, :, 1] *= 0.2
    watch = Watch(predicting(3), 2)
    watch.fold(np.concatenate([changed[:, :, :1], np.zeros((len(changed), 2, 1)), changed[:, :, 1:]], axis=2))
    assert {field for _, _, field, level in watch.told if level > 6.0} == {1}
    for reference, current in watch.means:
        assert 0.0 < current < reference < 1.0
