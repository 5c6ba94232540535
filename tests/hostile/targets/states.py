"""Stored bytes: state codec, models, manifests, full copies, archive cuts. What is not as it was written is a StateError."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from crc32c import crc32c

from contracts.errors import HistoryError, StateError
from feature_store.checkpoint import Manifest, decode_manifest, describe_part, encode_manifest
from feature_store.full_copies import decode_copy, encode_copy
from online_model import paired_test, risk_test
from online_model.half_space_trees import make_trees
from online_model.half_space_trees_bytes import trees_from_bytes, trees_to_bytes
from online_model.predictor_bytes import predictor_from_bytes
from online_model.rollout import RolloutState
from online_model.state_codec import decode_state, encode_state
from stream_processors.archive.raw_rows import decode_rows, encode_rows
from stream_processors.decoding.batches import plain_fetched, raw_batch
from tests.hostile import samples
from tests.hostile.target import Target
from tests.hostile.targets.events import adds_up
from tests.online_model.snapshots import linear_snapshot

_BINARY = [b"\x00", b"\xff", b"\x00" * 8, b"\xff" * 8, struct.pack("<I", 2**32 - 1), struct.pack("<I", 2**31), struct.pack("<q", -1)]


class StateCodec(Target):
    """States of river models: what is read back can be written again."""

    name = "state-codec"
    refuses = (StateError,)
    tokens: ClassVar[list[bytes]] = [*_BINARY, *(bytes([tag]) for tag in b"NTFIJDSBYCOKltdocfszqarvi")]

    def corpus(self) -> list[bytes]:
        import collections

        generator = random.Random(3)
        shared = [1, 2.5, "x"]
        plain: Any = {"a": shared, "b": (shared, None, True), "c": {1, 2}, "d": collections.deque([1], 5), "e": 2**80, "f": b"raw"}
        plain |= {"g": np.arange(6.0).reshape(2, 3), "h": generator, "i": collections.Counter("aab"), "j": np.float32(1.5)}
        return [encode_state(plain), encode_state([]), *map(encode_state, _river_models())]

    def take(self, data: bytes, draw: random.Random) -> None:
        encode_state(decode_state(data))


def _river_models() -> list[Any]:
    from river import anomaly, linear_model, neighbors

    models: list[Any] = [linear_model.LinearRegression(), neighbors.KNNRegressor(engine=neighbors.LazySearch(window_size=8))]
    for i in range(12):
        x = {"a": float(i), "b": i * 0.5}
        for model in models:
            model.learn_one(x, float(i))
    detector = anomaly.LocalOutlierFactor(n_neighbors=3)
    for i in range(12):
        detector.learn_one({"a": float(i)})
    return [*models, detector]


class Stored(Target):
    """One format of our own."""

    refuses = (StateError,)
    tokens: ClassVar[list[bytes]] = _BINARY

    def __init__(self, read: Callable[[bytes], object], written: Callable[[], list[bytes]]) -> None:
        self._read, self._written = read, written

    def corpus(self) -> list[bytes]:
        return self._written()

    def take(self, data: bytes, draw: random.Random) -> None:
        self._read(data)


class Predictors(Stored):
    name = "predictors"

    def __init__(self) -> None:
        import base64

        snapshot = linear_snapshot(samples.SMALL, "v1", {"heat_last": 2.0, "flow_last": 1.0})
        width = len(snapshot.features)
        super().__init__(lambda data: predictor_from_bytes(data, width, 1), lambda: [base64.b64decode(snapshot.state)])


class HalfSpaceTrees(Stored):
    name = "half-space-trees"
    share = 0.3

    def __init__(self) -> None:
        super().__init__(trees_from_bytes, lambda: [trees_to_bytes(make_trees(["a", "b", "c"], 1, 2, 3, 16))])


class Tests(Stored):
    """The numbers of paired test and risk test, and a rollout's state around them."""

    name = "tests"

    def __init__(self) -> None:
        def read(data: bytes) -> object:
            for reader in (paired_test.paired_test_from_bytes, risk_test.risk_test_from_bytes, RolloutState.from_bytes):
                try:
                    reader(data)
                except StateError:
                    continue
            return None

        super().__init__(read, lambda: [RolloutState().to_bytes(), risk_test.risk_test_to_bytes(risk_test.new_risk_test())])


class Manifests(Stored):
    """Manifests with a checksum that fits whatever stands behind it."""

    name = "manifests"
    tokens: ClassVar[list[bytes]] = Target.tokens

    def __init__(self) -> None:
        manifest = Manifest(generation=1, offset=5, definition="d", fold_version=1, epoch=3, counters={"read": 5})
        manifest.output_ends[("t", 0)] = 7
        manifest.chunks["partition"] = [describe_part("3-1-0", b"abc")]
        super().__init__(self._decode, lambda: [encode_manifest(manifest).partition(b" ")[2]])

    @staticmethod
    def _decode(data: bytes) -> object:
        decode_copy(b"SGCOPY1\n" + struct.pack("<Q", len(data)) + data) if len(data) % 7 == 0 else None
        return decode_manifest(b"%08x %s" % (crc32c(data), data))


class FullCopies(Stored):
    """A full copy, also one whose manifest has been signed anew by whoever changed it."""

    name = "full-copies"

    def __init__(self) -> None:
        manifest = Manifest(generation=1, offset=5, definition="d", fold_version=1, epoch=3)
        super().__init__(decode_copy, lambda: [encode_copy(manifest, {"partition": bytes(2_000), "rows": b"abc" * 50})])

    def take(self, data: bytes, draw: random.Random) -> None:
        if draw.random() < 0.7:
            data = _signed(data)
        super().take(data, draw)


def _signed(data: bytes) -> bytes:
    """The copy with the checksum that its manifest's text has."""
    head, end = data[:16], 16 + int.from_bytes(data[8:16], "little")
    _, space, text = data[16:end].partition(b" ")
    return head + (b"%08x" % crc32c(text) + space + text if space else data[16:end]) + data[end:]


class ArchivedLogs(Stored):
    """Parquet of the log as it stood: a HistoryError, or records whose offsets add up."""

    name = "archived-logs"
    share = 0.1
    refuses = (HistoryError,)

    def __init__(self) -> None:
        batch = raw_batch([3, 4, 6], [-1, 5, 6], [b"k", None, b""], [b"v", b"w" * 40, None])
        super().__init__(lambda data: adds_up(decode_rows(data, 3, "a test")), lambda: [encode_rows([plain_fetched(batch)], 7)])


STATE_TARGETS = [StateCodec, Predictors, HalfSpaceTrees, Tests, Manifests, FullCopies, ArchivedLogs]
