"""Prequential metrics: parity with scikit-learn on the same records, in total and fading, with corrections and through bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from contracts.errors import StateError
from online_model.prequential import ClassMetrics, ClassReport, RegressionMetrics, RegressionReport

MEMORY = 50.0


def numbers(n: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values, predictions, half widths; NaN none) far from 0."""
    rng = np.random.default_rng(seed)
    values = rng.normal(5e6, 3.0, n)
    return values, values + rng.normal(0.3, 1.0, n), np.where(rng.uniform(size=n) < 0.3, np.nan, rng.uniform(0.5, 2.0, n))


def classes(k: int, n: int = 400, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """(truths as places, probabilities); the last class is never the truth, and some probabilities are 0 and 1."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(k) * 0.5, n)
    probabilities[:5] = np.eye(k)[rng.integers(0, k, 5)]
    return rng.integers(0, max(k - 1, 2), n), probabilities


def check_regression(report: RegressionReport, values: np.ndarray, predictions: np.ndarray, widths: np.ndarray, weight: np.ndarray) -> None:
    given = ~np.isnan(widths)
    covered = np.abs(predictions - values)[given] <= widths[given]
    np.testing.assert_allclose(report.records, weight.sum())
    np.testing.assert_allclose(report.mae, metrics.mean_absolute_error(values, predictions, sample_weight=weight))
    np.testing.assert_allclose(report.rmse, metrics.root_mean_squared_error(values, predictions, sample_weight=weight))
    np.testing.assert_allclose(report.r2, metrics.r2_score(values, predictions, sample_weight=weight), rtol=1e-6)
    np.testing.assert_allclose(report.bias, np.average(predictions - values, weights=weight), rtol=1e-6)
    np.testing.assert_allclose(report.coverage, np.average(covered, weights=weight[given]))


def check_classes(report: ClassReport, truth: np.ndarray, probabilities: np.ndarray, weight: np.ndarray) -> None:
    labels = list(range(probabilities.shape[1]))
    told = probabilities.argmax(axis=1)
    by_class = metrics.precision_recall_fscore_support(truth, told, labels=labels, sample_weight=weight, zero_division=0.0)
    macro = metrics.precision_recall_fscore_support(truth, told, labels=labels, sample_weight=weight, zero_division=0.0, average="macro")
    np.testing.assert_allclose(report.accuracy, metrics.accuracy_score(truth, told, sample_weight=weight))
    np.testing.assert_allclose(report.log_loss, metrics.log_loss(truth, probabilities, labels=labels, sample_weight=weight))
    np.testing.assert_allclose(np.array([report.precision, report.recall, report.f1]), np.array(by_class[:3]), atol=1e-12)
    np.testing.assert_allclose([report.macro_precision, report.macro_recall, report.macro_f1], macro[:3])
    np.testing.assert_allclose(report.confusion, metrics.confusion_matrix(truth, told, labels=labels, sample_weight=weight))


def test_regression_is_scikit_learns() -> None:
    """Total and fading MAE, RMSE, R², bias and coverage are scikit-learn's on the same records, weighed by their age."""
    mine, records = RegressionMetrics(MEMORY), numbers()
    for value, prediction, width in zip(*records, strict=True):
        mine.take(value, prediction, None if math.isnan(width) else width)
    check_regression(mine.total(), *records, weight=np.ones(400))
    check_regression(mine.fading(), *records, weight=(1 - 1 / MEMORY) ** np.arange(399, -1, -1))


@pytest.mark.parametrize("k", [2, 3, 6])
def test_classes_are_scikit_learns(k: int) -> None:
    """Total and fading accuracy, precision, recall, F1, log loss and confusion are scikit-learn's, weighed by age."""
    mine, (truth, probabilities) = ClassMetrics(k, MEMORY), classes(k)
    for value, probability in zip(np.eye(k)[truth], probabilities, strict=True):
        mine.take(value, probability)
    check_classes(mine.total(), truth, probabilities, np.ones(400))
    check_classes(mine.fading(), truth, probabilities, (1 - 1 / MEMORY) ** np.arange(399, -1, -1))


def test_corrections_replace() -> None:
    """After corrections the totals are those of the later values; the fading ones keep what was told first."""
    values, predictions, widths = numbers(100)
    mine, first = RegressionMetrics(), RegressionMetrics()
    for value, prediction, width in zip(values, predictions, np.nan_to_num(widths, nan=1.0), strict=True):
        mine.take(value - 2.0, prediction, width)
        first.take(value - 2.0, prediction, width)
        mine.correct(value - 2.0, value, prediction, width)
    check_regression(mine.total(), values, predictions, np.nan_to_num(widths, nan=1.0), np.ones(100))
    assert mine.fading() == first.fading()
    k, (truth, probabilities) = 3, classes(3, 100)
    by_class = ClassMetrics(k)
    for place, probability in zip(truth, probabilities, strict=True):
        by_class.take(np.eye(k)[(place + 1) % k], probability)
        by_class.correct(np.eye(k)[(place + 1) % k], np.eye(k)[place], probability)
    check_classes(by_class.total(), truth, probabilities, np.ones(100))


def test_nothing_yet() -> None:
    """Before the first record, and of one whose prediction is not finite, every metric is NaN and the count 0."""
    regression, by_class = RegressionMetrics(), ClassMetrics(3)
    regression.take(1.0, math.nan)
    regression.take(math.inf, 1.0)
    by_class.take(np.eye(3)[0], np.full(3, np.nan))
    for report in (regression.total(), regression.fading(), by_class.total(), by_class.fading()):
        assert report[0] == 0.0
        assert all(np.all(np.isnan(part)) for part in report[1:6])


def test_bytes_mid_stream() -> None:
    """Saved and restored, metrics go on with the same bytes; other bytes are a StateError."""
    values, predictions, _ = numbers(60)
    regression, by_class = RegressionMetrics(MEMORY), ClassMetrics(3, MEMORY)
    truth, probabilities = classes(3, 60)
    restored = (RegressionMetrics(MEMORY), ClassMetrics(3, MEMORY))
    for i in range(60):
        if i in (0, 1, 30):
            restored = (restored[0].from_bytes(regression.to_bytes()), restored[1].from_bytes(by_class.to_bytes()))
        for number_metrics, class_metrics in ((regression, by_class), restored):
            number_metrics.take(values[i], predictions[i], 1.0)
            class_metrics.take(np.eye(3)[truth[i]], probabilities[i])
    assert restored[0].to_bytes() == regression.to_bytes()
    assert restored[1].to_bytes() == by_class.to_bytes()
    for damaged in (b"", regression.to_bytes()[:-1], regression.to_bytes() + b"\0" * 8, by_class.to_bytes()):
        with pytest.raises(StateError):
            regression.from_bytes(damaged)
    with pytest.raises(StateError):
        by_class.from_bytes(np.full(20, np.nan).tobytes())
