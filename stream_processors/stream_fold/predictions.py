"""The versions that predict in a stream fold: put in place at recorded offsets, and asked row by row."""

from __future__ import annotations

from collections import deque

import msgspec
import numba
import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from contracts.errors import StateError
from contracts.hashing import hash_text, mix
from contracts.records import Snapshot
from online_model.online_predictor import CompiledPredictor, ServedPredictor, load_snapshot
from online_model.placement import Placement, snapshot_state
from online_model.predictor import predict

F64 = NDArray[np.float64]
Predicted = list[tuple[str, F64]]  # (version, (n, outputs)); the champion's first, where there is one
_UNIT = 2.0**-53


class Predictions:
    """What a stream fold knows of models. Placements are scheduled in the order of their offsets, before rows behind them are folded."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._due: deque[tuple[int, Placement]] = deque()
        self._models: list[tuple[str, ServedPredictor]] = []  # champion first
        self._champion: str | None = None
        self._challenger: str | None = None
        self._share = 0.0

    def schedule(self, from_offset: int, placement: Placement) -> None:
        """From the record at `from_offset` on, this placement predicts."""
        self._due.append((from_offset, placement))

    def next_offset(self, last: int) -> int | None:
        """The offset ≤ `last` at which another placement is due, if any."""
        return self._due[0][0] if self._due and self._due[0][0] <= last else None

    def put_in_place(self) -> None:
        """The placement that is due predicts from here on."""
        _, placement = self._due.popleft()
        champion, challenger = self._load(placement.champion), self._load(placement.challenger)
        self._models = [model for model in (champion, challenger) if model is not None]
        self._champion = champion[0] if champion else None
        self._challenger = challenger[0] if challenger else None
        self._share = placement.share

    def _load(self, snapshot: Snapshot | None) -> tuple[str, ServedPredictor] | None:
        """A version that cannot be read predicts nothing: its score records say so, and no partition stops for it."""
        if snapshot is None or (state := snapshot_state(self._feed, snapshot)) is None:
            return None
        try:
            return snapshot.version, load_snapshot(self._feed, snapshot.family, state)
        except StateError:
            return None

    @property
    def champion(self) -> str | None:
        """The version whose prediction counts, but for the challenger's share."""
        return self._champion

    def predict(self, vectors: F64) -> Predicted:
        """What each version in place predicts of n vectors; none while nothing is in place."""
        return [(version, _predict(model, vectors)) for version, model in self._models]

    def texts(self, predicted: Predicted, entity_hashes: NDArray[np.uint64]) -> list[bytes]:
        """What each of n score records says of predictions, as the end of its JSON object."""
        named = [(version, values.tolist()) for version, values in predicted]
        texts = [[b'"%b":%b' % (version.encode(), msgspec.json.encode(row)) for row in rows] for version, rows in named]
        return [head + b",".join(parts) + b"}}" for head, *parts in zip(self._heads(entity_hashes), *texts, strict=True)]

    def _heads(self, entity_hashes: NDArray[np.uint64]) -> list[bytes]:
        """The part before the numbers: whose prediction counts."""
        own, other = (b"" if v is None else b',"version":"%b"' % v.encode() for v in (self._champion, self._challenger))
        own, other = own + b',"predictions":{', other + b',"predictions":{'
        if self._challenger is None or self._share <= 0.0:
            return [own] * len(entity_hashes)
        served = in_share(entity_hashes, np.uint64(hash_text(self._challenger.partition(".")[0])), self._share)
        return [other if by_challenger else own for by_challenger in served.tolist()]


def _predict(model: ServedPredictor, vectors: F64) -> F64:
    """(n, outputs), a row at a time: no prediction depends on the rows around it."""
    if isinstance(model, CompiledPredictor):
        return predict(model.predictor, vectors)
    return np.array([model.predict(vector) for vector in vectors])


@numba.njit(cache=True, nogil=True)
def in_share(entity_hashes: NDArray[np.uint64], salt: np.uint64, share: float) -> NDArray[np.bool_]:
    """Whether each entity belongs to the share that a version serves; `salt` makes it another share for another version."""
    out = np.zeros(len(entity_hashes), np.bool_)
    for i in range(len(entity_hashes)):
        out[i] = float(mix(entity_hashes[i] ^ salt) >> np.uint64(11)) * _UNIT < share
    return out
