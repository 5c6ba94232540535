"""Plots of held-out predictions, as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def save_plots(truths: F64, predicted: F64, directory: Path) -> None:
    """Of rows (m, outputs): truth against prediction and the errors in order for a number; the confusion matrix for classes.

    Nothing where matplotlib is missing, which MLflow's smaller packages leave out.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    if truths.shape[1] == 1:
        left.plot(truths[:, 0], predicted[:, 0], ".", markersize=2)
        left.set(xlabel="truth", ylabel="prediction")
        right.plot(predicted[:, 0] - truths[:, 0], linewidth=0.5)
        right.set(xlabel="held-out example, in the order of time", ylabel="prediction − truth")
    else:
        truth, chosen = truths.argmax(axis=1), predicted.argmax(axis=1)
        matrix = np.zeros((truths.shape[1], truths.shape[1]))
        np.add.at(matrix, (truth, chosen), 1.0)
        left.imshow(matrix)
        left.set(xlabel="class predicted", ylabel="true class")
        right.hist(predicted[np.arange(len(truth)), truth], bins=20)
        right.set(xlabel="probability given to the true class", ylabel="examples")
    figure.tight_layout()
    figure.savefig(directory / "held_out.png", dpi=90)
