"""Tags that people put on events and incidents, as slices of the joined labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.records import Label, Remark
from online_model.raised import Raised
from stream_processors.joiner.labels import times_of
from streamgauge.metrics.joined import Joined

Mask = NDArray[np.bool_]


def tag_masks(feed: Feed, joined: Joined, remarks: Iterable[Remark], raised: Mapping[str, Raised]) -> dict[str, Mask]:
    """Tag -> (n,) which labels' events it is on. A tag on an incident is on its entity's events, or all, from its start to its end."""
    entity, score = np.array(joined.entity, dtype=object), np.array(joined.score, dtype=object)
    found: dict[str, Mask] = {}
    for label in (remark.label for remark in remarks if remark.label.tags):
        mask = _events(feed, joined, entity, score, label, raised)
        for tag in label.tags:
            found[tag] = found[tag] | mask if tag in found else mask
    return found


def _events(
    feed: Feed, joined: Joined, entity: NDArray[np.object_], score: NDArray[np.object_], label: Label, raised: Mapping[str, Raised]
) -> Mask:
    nothing = np.zeros(len(joined.entity), np.bool_)
    if label.incident:
        incident = raised.get(label.incident)
        if incident is None:
            return nothing
        within = joined.event_time >= incident.start
        within &= incident.end is None or joined.event_time <= incident.end
        return within if incident.entity is None else within & (entity == incident.entity)
    if label.score is not None:
        return nothing | (score == label.score)
    times = times_of(feed, label)
    if times is None:
        return nothing
    return (entity == label.entity) & (joined.event_time >= times[0]) & (joined.event_time < times[1])
