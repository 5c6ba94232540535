"""Calls of partition_store.lua by one owner: each carries its epoch and a rising counter, and tells whether the server forgot."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from contracts.errors import Fenced
from feature_store.redis_connection import binary_only, client_address, in_words

SCRIPT = Path(__file__).with_name("partition_store.lua").read_bytes()
SCRIPT_NAME = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()  # how Redis names scripts

Reply = Sequence[Any]  # epoch found, counter found, then what the call says; None where there was nothing


class Unexpected(Exception):
    """The store holds another manifest, or fewer chunks, than its only writer left there."""


class FencedCalls:
    """The calls of one owner of `name`, such as "partition 0 of feed 'pumps'". `epoch` is set by taking."""

    def __init__(self, client: redis.asyncio.Redis, name: str) -> None:
        binary_only(client)
        self._client = client
        self._name = name
        self._acknowledged = 0
        self.epoch = -1
        self.counter = 0

    def begin(self, epoch: int) -> None:
        """Calls from here on are those of the owner with this epoch."""
        self.epoch, self.counter, self._acknowledged = epoch, 0, 0

    async def fenced(self, call: bytes, keys: Sequence[bytes], arguments: Sequence[Any]) -> tuple[Reply, bool]:
        """A call with the next counter, and whether the server had lost what was acknowledged before it."""
        self.counter += 1
        counter, acknowledged = self.counter, self._acknowledged
        reply = await self.call((call, self.epoch, counter, *arguments), keys)
        self._acknowledged = max(self._acknowledged, counter)
        return reply, self._lost(reply, acknowledged)

    def forgot(self, reply: Reply) -> bool:
        """Whether a reply shows another epoch than ours, or a counter below the last acknowledged."""
        return self._lost(reply, self._acknowledged)

    def _lost(self, reply: Reply, acknowledged: int) -> bool:
        return reply[0] != b"%d" % self.epoch or int(reply[1] or -1) < acknowledged

    async def call(self, arguments: Sequence[Any], keys: Sequence[bytes]) -> Reply:
        """Runs the script by its name, or with its text where the server does not know it (any more).

        Raises:
            Fenced: the server knows a greater epoch.
            Unexpected: the server says that it is not as it was left.
            ServerUnavailable, SettingsError: it does not answer, or refuses.
        """
        rest = (len(keys), *keys, *arguments)
        try:
            try:
                return await self._client.execute_command("EVALSHA", SCRIPT_NAME, *rest)  # type: ignore[no-untyped-call]
            except redis.exceptions.NoScriptError:
                return await self._client.execute_command("EVAL", SCRIPT, *rest)  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            raise self._refusal(error, keys[0]) from error
        except (redis.RedisError, OSError) as error:
            raise in_words(error, client_address(self._client)) from error

    async def values(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of keys of one slot."""
        try:
            return await self._client.mget(keys)  # type: ignore[return-value]
        except (redis.RedisError, OSError) as error:
            raise in_words(error, client_address(self._client)) from error

    def _refusal(self, error: redis.ResponseError, key: bytes) -> Exception:
        word, _, rest = str(error).partition(" ")
        if word == "FENCED":
            return Fenced(
                f"{self._name} was taken by a later owner (epoch {rest}, ours is {self.epoch}); this one must stop writing. "
                f"Where the topic of switches was created anew, delete the keys that begin like {key.decode()}"
            )
        if word == "UNEXPECTED":
            return Unexpected(rest)
        return in_words(error, client_address(self._client))
