"""Prequential metrics: of predictions made before their truth was known, in total and fading, as a few words of state.

Gama, Sebastião, Rodrigues, "On evaluating stream learning algorithms", Machine Learning 90 (2013), section 4: the fading sums
weigh a record by (1 − 1/memory)^age. Areas under curves need the records themselves; the `metrics` command has them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.elementary import log
from contracts.errors import StateError

F64 = NDArray[np.float64]

MEMORY = 1000.0  # labels: the weight of all older ones together is e^−1 of the whole; shorter, and the rate of a rare class is noise
LEAST = 2.0**-52  # probabilities are kept this far from 0, as scikit-learn does: one certain error would make the log loss infinite

COUNT, ABSOLUTE, SQUARED, ERROR, VALUE, VALUE_SQUARED, INTERVALS, COVERED = range(8)  # sums of a regression


class RegressionReport(NamedTuple):
    """NaN where there is nothing to tell it from."""

    records: float  # their number, or their weight
    mae: float
    rmse: float
    r2: float
    bias: float  # mean of prediction − value
    coverage: float  # share of the intervals given that held the value


class ClassReport(NamedTuple):
    """NaN where there is nothing to tell it from; a precision, recall or F1 without a case is 0, as in scikit-learn."""

    records: float
    accuracy: float
    log_loss: float
    precision: F64  # (k,) by class
    recall: F64
    f1: F64
    macro_precision: float  # mean over all k classes
    macro_recall: float
    macro_f1: float
    confusion: F64  # (k, k) truth by prediction


class RegressionMetrics:
    """Sums over (value, prediction, half width of its interval or None)."""

    def __init__(self, memory: float = MEMORY) -> None:
        self._keep = 1.0 - 1.0 / memory
        self._words: F64 = np.zeros(2 * 8 + 1)  # sums in total, fading; the origin that values are counted from: the first of them

    def take(self, value: float, prediction: float, half_width: float | None = None) -> None:
        """Counts a record; one whose value or prediction is not finite says nothing and is left out."""
        if not math.isfinite(value) or not math.isfinite(prediction):
            return
        if self._words[COUNT] == 0.0:
            self._words[-1] = value  # far from 0, squares of values would leave no digits for their variance
        terms = self._terms(value, prediction, half_width)
        self._words[:8] += terms
        self._words[8:16] = self._words[8:16] * self._keep + terms

    def correct(self, before: float, value: float, prediction: float, half_width: float | None = None) -> None:
        """Puts the later value in the place of the one before; the fading sums keep the old one until it fades."""
        if math.isfinite(before) and math.isfinite(value) and math.isfinite(prediction):
            self._words[:8] += self._terms(value, prediction, half_width) - self._terms(before, prediction, half_width)

    def total(self) -> RegressionReport:
        """Of all records."""
        return _regression_report(self._words[:8])

    def fading(self) -> RegressionReport:
        """Of the last ones, by weight."""
        return _regression_report(self._words[8:16])

    def to_bytes(self) -> bytes:
        """Little-endian float64 words."""
        return self._words.astype("<f8").tobytes()

    def from_bytes(self, data: bytes) -> RegressionMetrics:
        """Raises StateError where these are not the words of such metrics."""
        restored = RegressionMetrics()
        restored._keep, restored._words = self._keep, _words(data, self._words.size)
        return restored

    def _terms(self, value: float, prediction: float, half_width: float | None) -> F64:
        error, above = prediction - value, value - float(self._words[-1])
        covered = float(half_width is not None and abs(error) <= half_width)
        return np.array([1.0, abs(error), error * error, error, above, above * above, float(half_width is not None), covered])


class ClassMetrics:
    """Sums over (value one-hot, probabilities), each (k,); the class predicted is the first of the most probable."""

    def __init__(self, classes: int, memory: float = MEMORY) -> None:
        self._classes, self._keep = classes, 1.0 - 1.0 / memory
        self._words: F64 = np.zeros((2, classes * classes + 1))  # total, fading: confusion matrix, sum of log losses

    def take(self, value: F64, probabilities: F64) -> None:
        """Counts a record; one whose probabilities are not finite says nothing and is left out."""
        if not np.all(np.isfinite(probabilities)):
            return
        place, loss = self._terms(value, probabilities)
        self._words[1] *= self._keep
        self._words[:, place] += 1.0
        self._words[:, -1] += loss

    def correct(self, before: F64, value: F64, probabilities: F64) -> None:
        """Puts the later class in the place of the one before; the fading sums keep the old one until it fades."""
        if np.all(np.isfinite(probabilities)):
            for truth, sign in ((before, -1.0), (value, 1.0)):
                place, loss = self._terms(truth, probabilities)
                self._words[0, place] += sign
                self._words[0, -1] += sign * loss

    def total(self) -> ClassReport:
        """Of all records."""
        return _class_report(self._words[0], self._classes)

    def fading(self) -> ClassReport:
        """Of the last ones, by weight."""
        return _class_report(self._words[1], self._classes)

    def to_bytes(self) -> bytes:
        """Little-endian float64 words."""
        return self._words.astype("<f8").tobytes()

    def from_bytes(self, data: bytes) -> ClassMetrics:
        """Raises StateError where these are not the words of such metrics."""
        restored = ClassMetrics(self._classes)
        restored._keep, restored._words = self._keep, _words(data, self._words.size).reshape(self._words.shape)
        return restored

    def _terms(self, value: F64, probabilities: F64) -> tuple[int, float]:
        truth = int(np.argmax(value))
        loss = -float(log(min(max(float(probabilities[truth]), LEAST), 1.0 - LEAST)))
        return truth * self._classes + int(np.argmax(probabilities)), loss


def _words(data: bytes, size: int) -> F64:
    words = np.frombuffer(data, "<f8").astype(np.float64) if len(data) == 8 * size else np.full(1, np.nan)
    if not np.all(np.isfinite(words)):
        raise StateError(f"stored metrics are not {size} finite words; rebuild them by a refold")
    return words


def _regression_report(sums: F64) -> RegressionReport:
    count = float(sums[COUNT])
    if count <= 0.0:
        return RegressionReport(0.0, *[math.nan] * 5)
    spread = float(sums[VALUE_SQUARED] - sums[VALUE] * sums[VALUE] / count)
    covered = float(sums[COVERED] / sums[INTERVALS]) if sums[INTERVALS] > 0.0 else math.nan
    return RegressionReport(
        count,
        float(sums[ABSOLUTE]) / count,
        math.sqrt(max(float(sums[SQUARED]), 0.0) / count),
        1.0 - float(sums[SQUARED]) / spread if spread > 0.0 else math.nan,
        float(sums[ERROR]) / count,
        covered,
    )


def _class_report(words: F64, classes: int) -> ClassReport:
    confusion = words[:-1].reshape(classes, classes).copy()
    count, right = _sum(confusion.ravel()), np.diag(confusion)
    if count <= 0.0:
        nothing = np.full(classes, math.nan)
        return ClassReport(0.0, math.nan, math.nan, nothing, nothing, nothing, math.nan, math.nan, math.nan, confusion)
    told, true = np.array([_sum(column) for column in confusion.T]), np.array([_sum(row) for row in confusion])
    precision, recall, f1 = _share(right, told), _share(right, true), _share(2.0 * right, told + true)
    return ClassReport(
        count,
        _sum(right) / count,
        float(words[-1]) / count,
        precision,
        recall,
        f1,
        _sum(precision) / classes,
        _sum(recall) / classes,
        _sum(f1) / classes,
        confusion,
    )


def _share(part: F64, whole: F64) -> F64:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0.0)


def _sum(numbers: F64) -> float:
    """Rounded once, whatever the order."""
    return math.fsum(numbers.tolist())
