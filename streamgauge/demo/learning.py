"""What the demo's learning loop came to: labels, requests, versions, and the error before, during and after the change of concept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from contracts.definition import Feed
from contracts.records import Example
from producers.plan import Planted
from stream_processors.models_log import Models
from streamgauge.metrics.joined import join

LABEL_COUNTS = ("joined", "duplicate", "correction", "too_late", "unmatched")


class Learning(NamedTuple):
    """Read from the topics when the run is over."""

    labels: dict[str, Any]  # of `streamgauge status`
    examples: list[Example]
    models: Models
    requests: int


def learning_report(feed: Feed, learning: Learning, planted: Sequence[Planted], live_start: int) -> dict[str, Any]:
    """The part "learning" of the report. Errors are null where no label falls into their time.

    *before* runs from the live start to the change, *during* from there to the promotion that follows, *after* from that to the
    end; labels of an entity within a fault of its own are left out.
    """
    changes = [item.start for item in planted if item.kind == "concept"]
    changed = changes[0] if changes else live_start
    champions = [r.event_time for r in learning.models.rollouts if r.stage == "champion" and r.event_time > changed]
    promoted = champions[0] if champions else None
    joined = join(feed, learning.examples).predicted()
    clean = np.array([not _in_fault(planted, e, t) for e, t in zip(joined.entity, joined.event_time.tolist(), strict=True)], np.bool_)
    losses, times = joined.losses(joined.prediction), joined.event_time
    baseline = np.fmin(joined.losses(joined.last), joined.losses(joined.hour)) if len(losses) else losses
    stages = [rollout.stage for rollout in learning.models.rollouts]

    def mean(errors: Any, first: int, end: int | None) -> float | None:
        chosen = errors[clean & (times >= first) & (times < (end if end is not None else 2**62))] if len(errors) else errors
        return round(float(np.nanmean(chosen)), 4) if len(chosen) else None

    newest = learning.models.rollout
    return {
        "labels": {name: learning.labels[name] for name in LABEL_COUNTS} | {"balanced": learning.labels["balanced"]},
        "requests": learning.requests,
        "trained": sum(a.outcome == "trained" for answers in learning.models.answers.values() for a in answers),
        "promoted": sum(r.stage == "champion" and r.event_time > changed for r in learning.models.rollouts),
        "rolled_back": stages.count("rolled_back"),
        "mae_before": mean(losses, live_start, changed),
        "mae_during": mean(losses, changed, promoted),
        "mae_after": None if promoted is None else mean(losses, promoted, None),
        "mae_baseline": mean(baseline, live_start, changed),
        "champion": newest.champion if newest else None,
    }


def _in_fault(planted: Sequence[Planted], entity: str, time: int) -> bool:
    """Whether the entity's own readings are wrong then."""
    return any(item.entity == entity and item.start <= time <= item.end for item in planted if item.judged_by == "incident")
