"""Values in Redis that are damaged, or another program's: a reader marks what it cannot read, and guesses nothing."""

from __future__ import annotations

import random
import struct
from typing import Any, ClassVar

from contracts.errors import StateError
from feature_store.feature_table import FeatureTable
from feature_store.readers import Command, _Reading, answered
from feature_store.redis_layout import DIRECTORY_ENTRY
from feature_store.served_vector import unpack_vector
from tests.hostile import samples
from tests.hostile.target import Target

_NAMES = ["pump-01", "pump-02", "gone"]


class RedisValues(Target):
    """Replies to the commands of a read: vectors, directory entries and generations, any of which may be hostile.

    The commands are answered here, in the place of a server, which would only hand back the same bytes.
    """

    name = "redis-values"
    refuses = (StateError,)
    tokens: ClassVar[list[bytes]] = [
        b"SG",
        b"\x01",
        b"\x00" * 8,
        b"\xff" * 8,
        b"-1",
        b"1e3",
        b"9" * 30,
        b" 1",
        b"_",
        struct.pack("<d", float("nan")),
    ]

    def corpus(self) -> list[bytes]:
        entries = [DIRECTORY_ENTRY.pack(partition, 1, 1_767_225_600_000_000) for partition in (0, 1)]
        return [*samples.vectors(), *entries, b"1", b"2"]

    def begin(self, draw: random.Random) -> None:
        self._reading = _Reading(samples.SMALL, one_node=draw.random() < 0.5)

    def take(self, data: bytes, draw: random.Random) -> None:
        table = self._read(data, draw)
        assert table.values.shape[0] == len(_NAMES)
        unpack_vector(data)

    def _read(self, data: bytes, draw: random.Random) -> FeatureTable:
        def send(commands: list[Command]) -> list[Any]:
            return [[self._value(key, data, draw) for key in command[2 if command[0] == "HMGET" else 1 :]] for command in commands]

        return answered(self._reading.rounds(_NAMES, None, None, 1_767_225_600_000_000), send)

    def _value(self, key: Any, data: bytes, draw: random.Random) -> bytes | None:
        """The hostile value now and then, else what belongs there."""
        if draw.random() < 0.3:
            return data
        if isinstance(key, bytes) and key.endswith(b":generation"):
            return draw.choice((b"1", None))
        if isinstance(key, bytes):
            return draw.choice((*samples.vectors(), None))
        return draw.choice((DIRECTORY_ENTRY.pack(draw.randrange(2), 1, 5), None))


REDIS_TARGETS = [RedisValues]
