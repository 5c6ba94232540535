"""What a model is worth on examples that it has not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

F64 = NDArray[np.float64]


def held_out_metrics(truths: F64, predicted: F64) -> dict[str, float]:
    """Of rows (n, outputs): MAE, RMSE and R² of a number; log loss, accuracy and macro F1, of the classes that are there or were told."""
    if truths.shape[1] == 1:
        truth, value = truths[:, 0], predicted[:, 0]
        return {
            "mae": float(metrics.mean_absolute_error(truth, value)),
            "rmse": float(metrics.root_mean_squared_error(truth, value)),
            "r2": float(metrics.r2_score(truth, value)),
        }
    places = np.arange(truths.shape[1])
    truth, chosen = truths.argmax(axis=1), predicted.argmax(axis=1)
    return {
        "log_loss": float(metrics.log_loss(truth, predicted, labels=places)),
        "accuracy": float(metrics.accuracy_score(truth, chosen)),
        "f1": float(metrics.f1_score(truth, chosen, average="macro", zero_division=0.0)),
    }
