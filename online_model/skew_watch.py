"""The skew of the versions that serve or may serve: each is compared with its own training from its arrival on.

What cannot be right in any vector, its schema, is refused at once (`placement.refusal`); shares and values need blocks of what is
served, for the champion and for who runs beside it, so that a new champion comes with what its trial has shown.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.columns import read_only
from contracts.definition import Feed
from contracts.errors import StateError
from contracts.records import FeatureReference, Snapshot
from contracts.unreadable import UNREADABLE
from online_model import skew
from online_model.cell_evidence import decade
from online_model.e_detector import log_of
from online_model.skew import SkewState

F64 = NDArray[np.float64]
KEPT = 8  # versions whose reference is remembered; one that a person promotes after so many others is put in place unwatched
LEADING = 5  # features that evidence names


class SkewLevel(NamedTuple):
    """What there is to say of the champion's skew."""

    log10_e: float
    since: int  # µs
    since_offset: int
    psi: float | None  # of the leading feature
    contributions: dict[str, float]  # "feature (kind)" -> share of the evidence


class _Version(NamedTuple):
    reference: dict[str, FeatureReference]
    features: tuple[str, ...]
    state: SkewState


class _Wire(msgspec.Struct):
    watched: str | None
    top: float
    versions: list[tuple[str, dict[str, FeatureReference], bytes]]


class SkewWatch:
    """Tests of the KEPT newest versions that came with a reference. Versions are named without their revision."""

    def __init__(self, feed: Feed) -> None:
        self._feed, self._block = feed, skew.block_us(feed)
        self._versions: dict[str, _Version] = {}
        self._watched: str | None = None  # the champion of which `_top` was told
        self._top = 0.0

    def arrive(self, snapshot: Snapshot, placed: tuple[str | None, ...]) -> None:
        """A version comes with what its inputs looked like in training; the oldest makes room for it unless it is `placed`."""
        if not snapshot.reference or snapshot.version in self._versions:
            return
        self._versions[snapshot.version] = _new_version(self._feed, snapshot.reference)
        for version in [name for name in self._versions if name not in (*placed, snapshot.version)][: len(self._versions) - KEPT]:
            del self._versions[version]

    def watches(self, *versions: str | None) -> bool:
        """Whether any of these came with a reference: else there is nothing to compare with."""
        return any(version in self._versions for version in versions)

    def take(
        self, vector: F64 | None, clock: int, offset: int, champion: str | None, challenger: str | None
    ) -> SkewLevel | None:  # fmt: skip
        """Takes in the vector of one example, None where it has another length; what is due to be told of the champion, if anything."""
        closed, seen = False, read_only(_NONE if vector is None else vector)
        for version in {champion: None, challenger: None}:
            if version is not None and version in self._versions:
                state = self._versions[version].state
                bet = skew.update(state, seen, vector is not None, self._block, clock, offset)
                closed = closed or (bet and version == champion)
        return self._tell() if closed else None

    def put_in_place(self, champion: str | None) -> list[SkewLevel]:
        """Another version counts: the evidence on the one before ends, and what its trial has shown of the new one is told."""
        ended = [SkewLevel(0.0, 0, 0, None, {})] if self._top > 0.0 else []
        self._watched, self._top = champion, 0.0
        begun = self._tell()
        return ended + ([begun] if begun else [])

    def _tell(self) -> SkewLevel | None:
        """The champion's evidence where it has reached another decade, or has fallen back."""
        if self._watched not in self._versions:
            return None
        _, features, state = self._versions[self._watched]
        mean = float(state.words[skew.MEAN])
        top = decade(self._top, mean)
        if top == self._top:
            return None
        self._top = top
        wealth = [skew.feature_wealth(state, f) for f in range(len(features) + 1)]
        order = sorted(range(len(wealth)), key=lambda f: (-wealth[f], f))[:LEADING]
        names = (*features, "vector")
        leading = {f"{names[f]} ({skew.kind_of(state, f)})": wealth[f] / sum(wealth) for f in order if wealth[f] > 1.0}
        psi = skew.feature_psi(state, order[0]) if order[0] < len(features) else None
        since, offset = int(state.words[skew.SINCE]), int(state.words[skew.SINCE_OFFSET])
        return SkewLevel(log_of(mean), since, offset, psi, leading)

    def to_bytes(self) -> bytes:
        """The same state, the same bytes."""
        versions = [(name, each.reference, skew.skew_state_to_bytes(each.state)) for name, each in self._versions.items()]
        return msgspec.msgpack.encode(_Wire(self._watched, self._top, versions))

    def from_bytes(self, data: bytes) -> SkewWatch:
        """The watch of the same feed whose bytes these are.

        Raises:
            StateError: they are not.
        """
        try:
            wire = msgspec.msgpack.decode(data, type=_Wire)
        except UNREADABLE as error:
            raise StateError(f"feed '{self._feed.name}': the skew's state cannot be read ({error}); fold the examples anew") from error
        watch = SkewWatch(self._feed)
        watch._watched, watch._top = wire.watched, wire.top
        for name, reference, state in wire.versions:
            watch._versions[name] = _new_version(self._feed, reference)
            skew.put_skew_state(watch._versions[name].state, state)
        return watch


_NONE = np.zeros(0)


def _new_version(feed: Feed, reference: dict[str, FeatureReference]) -> _Version:
    features, state = skew.new_skew_state(feed, reference)
    return _Version(reference, features, state)
