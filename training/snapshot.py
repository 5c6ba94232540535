"""A trained model as the record that stands on `<feed>.models`."""

from __future__ import annotations

import base64

from crc32c import crc32c

from contracts.definition import Feed
from contracts.records import DatasetPin, Snapshot
from feature_store.feature_columns import feature_names
from training.search import Trained


def make_snapshot(feed: Feed, trained: Trained, version: str, record_id: str, request: str, pin: DatasetPin) -> Snapshot:
    """The version, named and checksummed; equal inputs give equal records."""
    return Snapshot(
        id=record_id,
        version=version,
        family=trained.family,
        definition=feed.hash,
        features=list(feature_names(feed)),
        outputs=feed.outputs,
        state=base64.b64encode(trained.state).decode(),
        crc32c=crc32c(trained.state),
        half_width=trained.half_width,
        reference=trained.reference,
        request=request,
        pin=pin,
        parameters=trained.parameters,
        metrics=trained.metrics,
    )
