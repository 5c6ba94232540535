"""What the demo's learning loop came to: labels, requests, versions, and the error before, during and after the change of concept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.ids import parse_id
from contracts.records import Example, Switch
from producers.plan import Planted
from stream_processors.models_log import Models
from streamgauge.metrics.joined import join

LABEL_COUNTS = ("joined", "duplicate", "correction", "too_late", "unmatched")


class Learning(NamedTuple):
    """Read from the topics when the run is over."""

    labels: dict[str, Any]  # of `streamgauge status`
    examples: list[Example]
    models: Models
    switches: list[Switch]
    requests: int


def learning_report(feed: Feed, learning: Learning, planted: Sequence[Planted], live_start: int) -> dict[str, Any]:
    """The part "learning" of the report. Errors are null where no label falls into their time.

    *before* runs from the live start to the change, *during* from there to the promotion that follows, *after* from that to the
    end. A promotion holds from the offset on that the recorded switch of each partition names. Labels within a planted fault of
    their entity, or of the whole feed, are left out.
    """
    rollouts = learning.models.rollouts
    changed = next((item.start for item in planted if item.kind == "concept"), live_start)
    promoted = [rollout for rollout in rollouts if rollout.stage == "champion" and rollout.event_time > changed]
    joined = join(feed, learning.examples).predicted()
    times = joined.event_time
    clean = np.array([not _in_fault(planted, e, t) for e, t in zip(joined.entity, times.tolist(), strict=True)], np.bool_)
    after = _since(learning.switches, promoted[0].version, joined.score) if promoted else np.zeros(len(times), np.bool_)
    before = clean & (times >= live_start) & (times < changed)
    losses = joined.losses(joined.prediction)
    newest = learning.models.rollout
    return {
        "labels": {name: learning.labels[name] for name in LABEL_COUNTS} | {"balanced": learning.labels["balanced"]},
        "requests": learning.requests,
        "trained": sum(a.outcome == "trained" for answers in learning.models.answers.values() for a in answers),
        "promoted": len(promoted),
        "rolled_back": sum(rollout.stage == "rolled_back" for rollout in rollouts),
        "mae_before": _mean(losses, before),
        "mae_during": _mean(losses, clean & (times >= changed) & ~after),
        "mae_after": _mean(losses, clean & after),
        "mae_baseline": _mean(np.fmin(joined.losses(joined.last), joined.losses(joined.hour)), before),
        "champion": newest.champion if newest else None,
    }


def _since(switches: Sequence[Switch], version: str, scores: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) whether each score was made under the first switch to `version` of its partition, or behind it."""
    first: dict[str, int] = {}
    for switch in switches:
        if switch.kind == "model" and (switch.version or "").partition(".")[0] == version.partition(".")[0]:
            first.setdefault(str(switch.partition), switch.from_offset)
    ids = [parse_id(score) for score in scores]
    return np.array([i.partition in first and i.offset >= first[i.partition] for i in ids], np.bool_)


def _mean(losses: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float | None:
    return round(float(np.nanmean(losses[chosen])), 4) if chosen.any() else None


def _in_fault(planted: Sequence[Planted], entity: str, time: int) -> bool:
    """Whether a fault other than the change of concept touches the entity then."""
    return any(
        item.entity in (entity, None) and item.start <= time <= item.end
        for item in planted
        if item.judged_by == "incident" and item.kind != "concept"
    )
