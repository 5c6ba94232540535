"""Metrics by scikit-learn, and the table of slices by which errors are analysed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Classification, Feed
from streamgauge.metrics.joined import Joined

F64 = NDArray[np.float64]
FEWEST = 30  # labels of a slice: an error from fewer says nothing about it


class Slice(NamedTuple):
    """One slice of the labels."""

    name: str
    labels: int
    share: float  # of all labels
    loss: float  # mean absolute error, or mean log loss
    gap: float  # to the mean loss of all other labels; NaN where there are none
    gain: float  # what the whole mean loss would fall by if the gap were closed; 0 where the slice is no worse


def metrics(feed: Feed, joined: Joined) -> dict[str, Any]:
    """Of what was served, and of the two baselines on the same labels; {} of no label."""
    served = joined.predicted()
    if not served.entity:
        return {}
    named = {"served": served.prediction, "last value": served.last, "mean of the hour": served.hour}
    return {name: measures(feed, served.value, prediction) for name, prediction in named.items()}


def measures(feed: Feed, value: F64, prediction: F64) -> dict[str, Any]:
    """Of truths and predictions (n, outputs); rows whose prediction is NaN are left out."""
    return _of_classes(value, prediction) if isinstance(feed.target, Classification) else _of_numbers(value, prediction)


def _of_numbers(value: F64, prediction: F64) -> dict[str, float]:
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    known = ~np.isnan(prediction[:, 0])
    truth, told = value[known, 0], prediction[known, 0]
    if not len(truth):
        return {"labels": 0}
    return {
        "labels": len(truth),
        "mae": float(mean_absolute_error(truth, told)),
        "rmse": float(root_mean_squared_error(truth, told)),
        "r2": float(r2_score(truth, told)) if len(truth) > 1 else float("nan"),
        "bias": float(np.mean(told - truth)),
    }


def _of_classes(value: F64, prediction: F64) -> dict[str, Any]:
    from sklearn.metrics import (
        accuracy_score,
        average_precision_score,
        confusion_matrix,
        log_loss,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    known = ~np.isnan(prediction[:, 0])
    told, truth, classes = prediction[known], value[known].argmax(axis=1), np.arange(value.shape[1])
    if not len(truth):
        return {"labels": 0}
    answer = told.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(truth, answer, labels=classes, average="macro", zero_division=0)
    seen = [k for k in classes.tolist() if 0 < (truth == k).sum() < len(truth)]
    return {
        "labels": len(truth),
        "accuracy": float(accuracy_score(truth, answer)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "log_loss": float(log_loss(truth, told, labels=classes)),
        "roc_auc": float(np.mean([roc_auc_score(truth == k, told[:, k]) for k in seen])) if seen else float("nan"),
        "pr_auc": float(np.mean([average_precision_score(truth == k, told[:, k]) for k in seen])) if seen else float("nan"),
        "confusion": confusion_matrix(truth, answer, labels=classes).tolist(),
    }


def slices(losses: F64, names: list[str], fewest: int = FEWEST) -> list[Slice]:
    """`overlapping_slices` of labels of which each has one; `names` (n,)."""
    return overlapping_slices(losses, {name: np.array([other == name for other in names]) for name in set(names)}, fewest)


def overlapping_slices(losses: F64, masks: Mapping[str, NDArray[np.bool_]], fewest: int = FEWEST) -> list[Slice]:
    """Slices of FEWEST labels or more, that of the largest gain first; `losses` (n,) without NaN, `masks` (n,) by name."""
    found = []
    for name, mine in masks.items():
        n = int(mine.sum())
        if n < fewest:
            continue
        loss, share = float(losses[mine].mean()), n / len(losses)
        gap = loss - float(losses[~mine].mean()) if n < len(losses) else float("nan")
        found.append(Slice(name, n, share, loss, gap, share * gap if gap > 0.0 else 0.0))
    return sorted(found, key=lambda item: (-item.gain, item.name))
