"""Calls of partition_store.lua by one owner: each carries its epoch and a rising counter, and tells whether the server forgot.

A call may be made again, also where the server did what it says and only the reply was lost: vectors and chunks are
absolute, a flip knows its own id, and the counter stays behind until the owner has been told of a loss.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import redis

from contracts.errors import Fenced, ServerUnavailable
from contracts.outage import Outage
from feature_store.redis_addresses import CLIENT_ERRORS, AnyAsyncClient
from feature_store.redis_connection import binary_only, client_address, drop_connections, in_words

SCRIPT = Path(__file__).with_name("partition_store.lua").read_bytes()
SCRIPT_NAME = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()  # how Redis names scripts

Reply = Sequence[Any]  # epoch found, counter found, then what the call says; None where there was nothing


class Unexpected(Exception):
    """The store holds another manifest, or fewer chunks, than its only writer left there."""


class FencedCalls:
    """The calls of one owner of `name`, such as "partition 0 of feed 'pumps'". `epoch` is set by taking.

    Args:
        outage: of the server, which is then waited for and asked again; without one a call fails with ServerUnavailable.
    """

    def __init__(self, client: AnyAsyncClient, name: str, outage: Outage | None = None) -> None:
        binary_only(client)
        self._client = client
        self._name = name
        self._outage = outage
        self._known = 0  # the last counter that the server is known to have had
        self.lock = asyncio.Lock()  # vectors are served while chunks are staged; counters must come in their order
        self.epoch = -1
        self.counter = 0

    def begin(self, epoch: int, known: int = 0) -> None:
        """Calls from here on are those of the owner with this epoch."""
        self.epoch, self.counter, self._known = epoch, 0, known

    async def fenced(self, call: bytes, keys: Sequence[bytes], arguments: Sequence[Any]) -> tuple[Reply, bool]:
        """A call with the next counter, and whether the server had lost what was acknowledged before it."""
        async with self.lock:
            self.counter += 1
            counter = self.counter
            reply = await self.call((call, self.epoch, counter, self._known, *arguments), keys)
            forgot = self.forgot(reply)
            if not forgot:
                self._known = counter
            return reply, forgot

    def forgot(self, reply: Reply) -> bool:
        """Whether a reply shows another epoch than ours, or a counter below the last acknowledged. It is then known."""
        found = int(reply[1] or -1) if reply[0] == b"%d" % self.epoch else -1
        if reply[0] == b"%d" % self.epoch and found >= self._known:
            return False
        self._known = found
        return True

    async def call(self, arguments: Sequence[Any], keys: Sequence[bytes]) -> Reply:
        """Runs the script by its name, or with its text where the server does not know it (any more).

        Raises:
            Fenced: the server knows a greater epoch.
            Unexpected: the server says that it is not as it was left.
            ServerUnavailable: it does not answer, and is not waited for.
            SettingsError, StateError: it refuses, and would again.
        """
        rest = (len(keys), *keys, *arguments)
        return await self._answered(lambda: self._evaluate(rest), keys[0])

    async def values(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of keys of one slot."""
        return await self._answered(lambda: self._client.mget(keys), keys[0] if keys else b"")

    async def _answered(self, ask: Callable[[], Awaitable[Any]], key: bytes) -> Any:
        """The answer; where a server is gone that is to be waited for, when it is back."""
        while True:
            try:
                answer = await self._asked(ask, key)
            except ServerUnavailable as error:
                if self._outage is None:
                    raise
                await drop_connections(self._client)  # a name may lead to another server by now
                await self._outage.wait(error)
            else:
                if self._outage is not None:
                    self._outage.over()
                return answer

    async def _asked(self, ask: Callable[[], Awaitable[Any]], key: bytes) -> Any:
        try:
            return await ask()
        except redis.ResponseError as error:
            raise self._refusal(error, key) from error
        except CLIENT_ERRORS as error:
            raise in_words(error, client_address(self._client)) from error

    async def _evaluate(self, rest: Sequence[Any]) -> Reply:
        try:
            return await self._client.execute_command("EVALSHA", SCRIPT_NAME, *rest)
        except redis.exceptions.NoScriptError:
            return await self._client.execute_command("EVAL", SCRIPT, *rest)

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
