"""Metrics by scikit-learn, and the table of slices by which errors are analysed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Classification, Feed
from streamgauge.metrics.joined import Joined

F64 = NDArray[np.float64]
MEMORY = 1000  # labels: all older ones together weigh a third of the whole; with fewer the rate of a rare class is noise
FEWEST = 30  # labels of a slice: an error from fewer says nothing about it


class Slice(NamedTuple):
    """One slice of the labels."""

    name: str
    labels: int
    share: float  # of all labels
    loss: float  # mean absolute error, or mean log loss
    gap: float  # to the mean loss of all other labels; NaN where there are none
    gain: float  # what the whole mean loss would fall by if the gap were closed; 0 where the slice is no worse


def metrics(feed: Feed, joined: Joined, half_widths: Mapping[str, float] = MappingProxyType({})) -> dict[str, Any]:
    """Of what was served, in total and lately, and of the two baselines on the same labels; {} of no label.

    *Lately* is fading: a label counts (1 - 1/MEMORY) to the power of its age in labels (Gama, Sebastião & Rodrigues 2013, "On
    evaluating stream learning algorithms", Machine Learning 90, section 4).

    Args:
        half_widths: version -> half of the width of its 90 % interval; coverage is that of the versions that have one.
    """
    served = joined.predicted()
    n = len(served.entity)
    if not n:
        return {}
    everything: F64 = np.ones(n)
    lately: F64 = np.power(1.0 - 1.0 / MEMORY, np.arange(n - 1, -1, -1)).astype(np.float64)
    rows: dict[str, tuple[F64, F64]] = {
        "served": (served.prediction, everything),
        "served, lately": (served.prediction, lately),
        "last value": (served.last, everything),
        "mean of the hour": (served.hour, everything),
    }
    if isinstance(feed.target, Classification):
        return {name: _of_classes(served.value, *row) for name, row in rows.items()}
    found = {name: _of_numbers(served.value, *row) for name, row in rows.items()}
    widths = np.array([half_widths.get(version, np.nan) for version in served.version])
    covered, known = np.abs(served.value - served.prediction)[:, 0] <= widths, ~np.isnan(widths)
    for name in ("served", "served, lately"):
        if known.any():
            found[name]["coverage"] = float(np.average(covered[known], weights=rows[name][1][known]))
    return found


def measures(feed: Feed, value: F64, prediction: F64) -> dict[str, Any]:
    """Of truths and predictions (n, outputs), each counted alike; rows whose prediction is NaN are left out."""
    weight: F64 = np.ones(len(value))
    return _of_classes(value, prediction, weight) if isinstance(feed.target, Classification) else _of_numbers(value, prediction, weight)


def _of_numbers(value: F64, prediction: F64, weight: F64) -> dict[str, float]:
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    known = ~np.isnan(prediction[:, 0])
    truth, told, weight = value[known, 0], prediction[known, 0], weight[known]
    if not len(truth):
        return {"labels": 0}
    return {
        "labels": len(truth),
        "mae": float(mean_absolute_error(truth, told, sample_weight=weight)),
        "rmse": float(root_mean_squared_error(truth, told, sample_weight=weight)),
        "r2": float(r2_score(truth, told, sample_weight=weight)) if len(truth) > 1 else float("nan"),
        "bias": float(np.average(told - truth, weights=weight)),
    }


def _of_classes(value: F64, prediction: F64, weight: F64) -> dict[str, Any]:
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
    answer, by = told.argmax(axis=1), {"sample_weight": weight[known]}
    precision, recall, f1, _ = precision_recall_fscore_support(truth, answer, average="macro", zero_division=0, **by)
    seen = [k for k in classes.tolist() if 0 < (truth == k).sum() < len(truth)]
    return {
        "labels": len(truth),
        "accuracy": float(accuracy_score(truth, answer, **by)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "log_loss": float(log_loss(truth, told, labels=classes, **by)),
        "roc_auc": float(np.mean([roc_auc_score(truth == k, told[:, k], **by) for k in seen])) if seen else float("nan"),
        "pr_auc": float(np.mean([average_precision_score(truth == k, told[:, k], **by) for k in seen])) if seen else float("nan"),
        "confusion": confusion_matrix(truth, answer, labels=classes, **by).tolist(),
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
