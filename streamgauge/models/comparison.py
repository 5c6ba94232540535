"""Two versions side by side: the predictions of both on the same events, and what each was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.definition import Classification, Feed
from contracts.errors import ModelError
from contracts.records import Example, Snapshot
from online_model import paired_test
from online_model.losses import loss_of
from streamgauge.metrics.report import measures
from streamgauge.models.listing import whole

F64 = NDArray[np.float64]


def compare(feed: Feed, snapshots: dict[str, Snapshot], examples: Iterable[Example], first: str, second: str) -> dict[str, Any]:
    """Figures of both versions over the events that both predicted and whose label has come, revisions as one.

    Of corrected labels the last value counts. `difference` is mean loss of `first` − `second` (above 0 `second` is better), with wild
    losses held and the 95 % confidence sequence of online_model/paired_test.py; `interval` is null of too few labels.

    Raises:
        ModelError: a version is not on `<feed>.models`.
    """
    made = {name: _made(feed, snapshots, name) for name in (first, second)}
    values, one, other = _paired(feed, examples, first, second)
    losses = np.array([[loss_of(v, p) for p in pair] for v, *pair in zip(values.tolist(), one.tolist(), other.tolist(), strict=True)])
    found: dict[str, Any] = {"feed": feed.name, "labels": len(values), "loss": loss_name(feed), "difference": None}
    found["versions"] = {name: part | {"metrics": {}} for name, part in made.items()}
    if not len(values):
        return found
    for name, prediction, own in ((first, one, losses[:, 0]), (second, other, losses[:, 1])):
        found["versions"][name]["metrics"] = measures(feed, values, prediction) | {"mean_loss": float(own.mean())}
    state = paired_test.new_paired_test()
    paired_test.update_many(state, losses[:, 0].copy(), losses[:, 1].copy(), paired_test.LEVEL)
    paired = paired_test.compare(state)
    interval = [paired.low, paired.high] if math.isfinite(paired.low) else None
    mean = paired.difference if interval else float((losses[:, 0] - losses[:, 1]).mean())
    return found | {"difference": {"mean": mean, "interval": interval, "better": _better(interval, first, second)}}


def loss_name(feed: Feed) -> str:
    """What is compared: of a number the absolute error, of classes the log loss."""
    return "log loss" if isinstance(feed.target, Classification) else "absolute error"


def _better(interval: list[float] | None, first: str, second: str) -> str | None:
    """The version that the interval leaves no doubt about."""
    if interval is None or interval[0] <= 0.0 <= interval[1]:
        return None
    return second if interval[0] > 0.0 else first


def _made(feed: Feed, snapshots: dict[str, Snapshot], version: str) -> dict[str, Any]:
    """How a version came to be, as its newest snapshot says."""
    found = [snapshot for name, snapshot in snapshots.items() if whole(name) == version]
    if not found:
        known = ", ".join(dict.fromkeys(whole(name) for name in snapshots))
        raise ModelError(f"feed '{feed.name}' has no version '{version}'; it has {known or 'none yet'}")
    newest = found[-1]
    return {
        "snapshot": newest.version,
        "request": newest.request,
        "pin": msgspec.to_builtins(newest.pin),
        "parameters": newest.parameters,
        "held_out": newest.metrics,
    }


def _paired(feed: Feed, examples: Iterable[Example], first: str, second: str) -> tuple[F64, F64, F64]:
    """(n, outputs) truths and predictions of both, in the order in which the truth came."""
    rows: dict[str, tuple[list[float], list[float], list[float]]] = {}
    for example in examples:
        told = {whole(version): prediction for version, prediction in example.predictions.items()}
        if first in told and second in told and len(example.value) == feed.outputs:
            rows[example.score] = (example.value, told[first], told[second])
    columns = [np.array([row[k] for row in rows.values()]).reshape(-1, feed.outputs) for k in range(3)]
    known = np.isfinite(np.hstack(columns)).all(axis=1)
    return columns[0][known], columns[1][known], columns[2][known]
