"""Which versions predict from an offset on, as a rollout puts them in place."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from crc32c import crc32c

from contracts.definition import Feed
from contracts.records import Snapshot
from feature_store.feature_plan import feature_names


class Placement(NamedTuple):
    """The version whose prediction counts, and the one that runs beside it; `share` of the entities is served by the latter."""

    champion: Snapshot | None = None
    challenger: Snapshot | None = None
    share: float = 0.0


def snapshot_state(feed: Feed, snapshot: Snapshot) -> bytes | None:
    """The state that a snapshot carries; None where it is damaged, or was made for other features or another target."""
    if list(feature_names(feed)) != snapshot.features or snapshot.outputs != feed.outputs:
        return None
    try:
        data = base64.b64decode(snapshot.state, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if crc32c(data) == snapshot.crc32c else None
