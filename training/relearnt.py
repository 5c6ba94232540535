"""The feed's online model, learnt anew from the change onward: what it forgets by itself in time, it has never seen here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from online_model.online_predictor import CompiledPredictor, OnlinePredictor, load_snapshot, make_online_predictor
from online_model.predictor import predict

F64 = NDArray[np.float64]

MOST_ROWS = 3_000  # the newest: forests of river's take milliseconds a row, and the search fits four times


class Relearnt(NamedTuple):
    """An online model that has learnt a window's rows, one at a time, in the order of time."""

    model: OnlinePredictor

    def original(self, vectors: F64) -> F64:
        """Predictions (n, outputs) by the model itself."""
        return np.array([self.model.predict(vector) for vector in vectors])

    def served(self) -> tuple[str, bytes]:
        """(family, state) as a Snapshot carries them."""
        return self.model.snapshot()


def relearn(feed: Feed, vectors: F64, values: F64) -> Relearnt:
    """Learns vectors (n, features) with their truths (n, outputs), in rising order of event time."""
    model = make_online_predictor(feed)
    for vector, value in zip(vectors[-MOST_ROWS:], values[-MOST_ROWS:], strict=True):
        model.learn(vector, value)
    return Relearnt(model)


def predict_served(feed: Feed, family: str, state: bytes, vectors: F64) -> F64:
    """Predictions (n, outputs) of vectors (n, features) as workers make them; raises StateError for a state that cannot be read."""
    served = load_snapshot(feed, family, state)
    if isinstance(served, CompiledPredictor):
        return predict(served.predictor, vectors)
    return np.array([served.predict(vector) for vector in vectors])
