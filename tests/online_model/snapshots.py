"""Linear models as snapshots that a learner and a stream fold put in place."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from crc32c import crc32c

from contracts.definition import Feed
from contracts.records import Arrival, Snapshot
from feature_store.feature_plan import feature_names
from online_model.predictor import IDENTITY, Predictor
from online_model.predictor_bytes import predictor_to_bytes


def linear_snapshot(feed: Feed, version: str, weights: dict[str, float], intercept: float = 0.0, **changed: Any) -> Snapshot:
    """The sum of weights · features of the feed's vector; a missing feature counts 0. Any part of the record may be `changed`."""
    names, n = feature_names(feed), len(weights)
    nothing, no_nodes = np.zeros(0), np.zeros(0, np.int64)
    predictor = Predictor(
        source=np.array([names.index(name) for name in weights], np.int64),
        equals=np.full(n, np.nan),
        fill=np.zeros(n),
        center=np.zeros(n),
        scale=np.ones(n),
        coefficients=np.array([list(weights.values())]),
        intercepts=np.array([intercept]),
        feature=no_nodes,
        threshold=nothing,
        left=no_nodes,
        right=no_nodes,
        leaf=nothing,
        roots=no_nodes,
        root_output=no_nodes,
        link=IDENTITY,
        reach=1e100,
    )
    state = predictor_to_bytes(predictor)
    given: dict[str, Any] = {
        "id": f"{feed.name}/0/retrain/0/snapshot/0",
        "version": version,
        "family": "compiled",
        "definition": feed.hash,
        "features": list(names),
        "outputs": feed.outputs,
        "state": base64.b64encode(state).decode(),
        "crc32c": crc32c(state),
    }
    return Snapshot(**(given | changed))


def arrival_of(snapshot: Snapshot) -> Arrival:
    """The version asks to be tried."""
    return Arrival(id=f"f/0/retrain/0/arrival/{snapshot.version}", version=snapshot.version, request="r", snapshot=snapshot)
