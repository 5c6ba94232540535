"""Joined labels as columns: what was true, what was predicted then, and what a baseline would have said."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.event_time import format_event_time
from contracts.records import Example
from feature_store.feature_catalogue import Feature
from feature_store.feature_columns import feature_columns, feature_names
from online_model.baselines import Baselines
from online_model.losses import loss_of

F64 = NDArray[np.float64]
TAG = "tag"
NOBODY = "none"  # the version of what was predicted by nobody


class Joined(NamedTuple):
    """n labels, in the order in which their truth came; o outputs."""

    score: list[str]  # its id
    entity: list[str]
    event_time: NDArray[np.int64]  # (n,) µs
    version: list[str]  # without its revision
    value: F64  # (n, o)
    prediction: F64  # (n, o) NaN where nothing served
    last: F64  # (n, o) of the baselines
    hour: F64
    vector: F64  # (n, features)

    def losses(self, prediction: F64) -> F64:
        """(n,) absolute errors, or log losses; NaN where there is no prediction."""
        return np.array([loss_of(value, p) for value, p in zip(self.value.tolist(), prediction.tolist(), strict=True)])

    def predicted(self) -> Joined:
        """Those that a version served a prediction for."""
        at = np.flatnonzero(~np.isnan(self.prediction[:, 0]))
        score, entity, version = ([column[i] for i in at.tolist()] for column in (self.score, self.entity, self.version))
        return Joined(score, entity, self.event_time[at], version, *(column[at] for column in self[4:]))


def join(feed: Feed, examples: Iterable[Example]) -> Joined:
    """One row an event: of corrected labels the last value, of predictions those that were made, baselines as of then."""
    baselines = Baselines(feed.outputs, feed.label_delay_us, feed.max_entities * feed.partitions)
    rows: dict[str, tuple[Example, list[float], F64, F64]] = {}
    for example in examples:
        value = np.array(example.value)
        previous = None if example.previous is None else np.array(example.previous)
        if example.score in rows:
            first, _, last, hour = rows[example.score]
        else:
            first, (last, hour) = example, baselines.predict(example.entity, example.event_time)
        rows[example.score] = (first, example.value, last, hour)
        baselines.learn(example.entity, example.event_time, value, previous)
    found = list(rows.values())
    nothing = [float("nan")] * feed.outputs
    width = len(feature_names(feed))
    return Joined(
        [example.score for example, *_ in found],
        [example.entity for example, *_ in found],
        np.array([example.event_time for example, *_ in found], np.int64),
        [(example.version or NOBODY).partition(".")[0] for example, *_ in found],
        np.array([value for _, value, _, _ in found]).reshape(-1, feed.outputs),
        np.array([example.predictions.get(example.version or "", nothing) for example, *_ in found]).reshape(-1, feed.outputs),
        np.array([last for *_, last, _ in found]).reshape(-1, feed.outputs),
        np.array([hour for *_, hour in found]).reshape(-1, feed.outputs),
        np.array([np.frombuffer(base64.b64decode(example.vector), "<f8") for example, *_ in found]).reshape(-1, width),
    )


def slice_names(feed: Feed) -> list[str]:
    """What joined labels can be sliced by: entity, hour, version, what people tagged, and categories with stated values."""
    return ["entity", "hour", "version", TAG, *(category.name for category in feed.categories if category.values is not None)]


def slice_of(feed: Feed, joined: Joined, by: str) -> list[str]:
    """The slice of each label, of all but tags: an event may have several of those (tags.py)."""
    if by == "entity":
        return joined.entity
    if by == "version":
        return joined.version
    if by == "hour":
        return [f"{format_event_time(at)[11:13]}:00" for at in joined.event_time.tolist()]
    place = next(i for i, c in enumerate(feature_columns(feed)) if c.entry.feature == Feature.CODE and feed.categories[c.field].name == by)
    values = next(category.values for category in feed.categories if category.name == by) or ()
    codes = joined.vector[:, place]
    return [values[int(code)] if 0 <= code < len(values) else "other" for code in codes.tolist()]
