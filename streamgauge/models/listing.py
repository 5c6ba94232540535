"""Versions of a feed, and what the learner and people have made of them."""

from __future__ import annotations

from typing import Any

from contracts.event_time import format_event_time
from contracts.records import Rollout, Snapshot
from stream_processors.models_log import Models


def versions(models: Models) -> list[dict[str, Any]]:
    """Each version, oldest first: its role now, how it was made, held-out metrics, and what became of it, by whom and why."""
    revisions: dict[str, list[Snapshot]] = {}
    for snapshot in models.snapshots.values():
        revisions.setdefault(whole(snapshot.version), []).append(snapshot)
    return [
        {
            "version": name,
            "role": role(models.rollout, name),
            "family": found[-1].family,
            "revisions": len(found) if found[-1].version != name else 0,
            "request": found[-1].request,
            "parameters": found[-1].parameters,
            "metrics": found[-1].metrics,
            "rollouts": [told(rollout) for rollout in models.rollouts if whole(rollout.version) == name and rollout.stage != "revision"],
        }
        for name, found in revisions.items()
    ]


def whole(version: str | None) -> str:
    """A version without its revision; "" of none."""
    return (version or "").partition(".")[0]


def role(rollout: Rollout | None, version: str) -> str:
    """champion, beside (on trial, in a split, or the champion before), or ""."""
    if rollout is None or version not in (whole(rollout.champion), whole(rollout.challenger)):
        return ""
    return "champion" if version == whole(rollout.champion) else "beside"


def decisions(models: Models) -> list[dict[str, Any]]:
    """What became of versions, in the order of the log, by the gate or by a person; revisions left out."""
    return [told(rollout) for rollout in models.rollouts if rollout.stage != "revision"]


def told(rollout: Rollout) -> dict[str, Any]:
    """A rollout for people: times as text, `decided` by the wall clock where a person did."""
    return {
        "event_time": format_event_time(rollout.event_time) if rollout.event_time >= 0 else None,
        "decided": format_event_time(rollout.when) if rollout.when else None,
        "version": rollout.version,
        "stage": rollout.stage,
        "by": rollout.by,
        "why": rollout.why,
        "share": rollout.share,
        "champion": rollout.champion,
        "challenger": rollout.challenger,
    }
