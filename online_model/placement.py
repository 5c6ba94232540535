"""Which versions predict from an offset on, as a rollout puts them in place."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from crc32c import crc32c

from contracts.definition import Feed
from contracts.errors import StateError
from contracts.records import Snapshot
from feature_store.feature_plan import feature_names
from online_model.online_predictor import load_snapshot


class Placement(NamedTuple):
    """The version whose prediction counts, and the one that runs beside it; `share` of the entities is served by the latter."""

    champion: Snapshot | None = None
    challenger: Snapshot | None = None
    share: float = 0.0


def snapshot_state(feed: Feed, snapshot: Snapshot) -> bytes | None:
    """The state that a snapshot carries; None where it is damaged, or was made for other features or another target."""
    return None if _other_schema(feed, snapshot) else _state_bytes(snapshot)


def refusal(feed: Feed, snapshot: Snapshot) -> str | None:
    """Why a version must not be put in place, in words for its record: a skew of schema, or a state that cannot be read; None: it may."""
    if other := _other_schema(feed, snapshot):
        return f"skew of schema: {other}; train it anew"
    if snapshot.definition != feed.hash:
        return f"skew of schema: trained under definition {snapshot.definition or 'unknown'}, served under {feed.hash}; train it anew"
    data = _state_bytes(snapshot)
    if data is None:
        return "its state is damaged: the checksum does not fit; train it anew"
    try:
        load_snapshot(feed, snapshot.family, data)
    except StateError as error:
        return f"its state cannot be read: {error}"
    return None


def _other_schema(feed: Feed, snapshot: Snapshot) -> str:
    """What differs in features and outputs; "" where nothing does."""
    names = list(feature_names(feed))
    if snapshot.features != names:
        if len(snapshot.features) != len(names):
            return f"trained on {len(snapshot.features)} features, served {len(names)}"
        place = next(i for i, name in enumerate(names) if snapshot.features[i] != name)
        return f"feature {place + 1} was {snapshot.features[place]} in training and is {names[place]}"
    return "" if snapshot.outputs == feed.outputs else f"predicts {snapshot.outputs} numbers where the target has {feed.outputs}"


def _state_bytes(snapshot: Snapshot) -> bytes | None:
    try:
        data = base64.b64decode(snapshot.state, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if crc32c(data) == snapshot.crc32c else None
