"""What a prediction costs once the truth is known: the absolute error of a number, the log loss of classes."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.elementary import log

LEAST = 1e-6  # a probability below it counts as this: one sure and wrong prediction must not decide a comparison


def loss_of(value: Sequence[float], prediction: Sequence[float] | None) -> float:
    """Of one prediction (outputs,) on a truth of the same shape, ≥ 0; NaN where there is no prediction of that shape."""
    if prediction is None or len(prediction) != len(value):
        return float("nan")
    if len(value) == 1:
        return abs(float(prediction[0]) - float(value[0]))
    truth = max(range(len(value)), key=value.__getitem__)
    return float(-log(min(max(float(prediction[truth]), LEAST), 1.0)))
