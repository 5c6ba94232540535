"""One partition of a store, written as its owner does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.asyncio

from feature_store.checkpoint import Manifest
from feature_store.partition_store import PartitionStore
from feature_store.redis_connection import async_client
from feature_store.redis_layout import partition_keys
from feature_store.served_vector import unpack_vector

KEYS = partition_keys("pumps", 0)
Client = redis.asyncio.Redis


def run(url: str, body: Callable[[Client], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with connected(url) as client:
            await body(client)

    asyncio.run(inside())


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    client = await async_client(url)
    try:
        yield client
    finally:
        await client.aclose()


def manifest(offset: int = 7, generation: int = 1, **more: Any) -> Manifest:
    return Manifest(generation=generation, offset=offset, definition="0123456789abcdef", fold_version=1, epoch=1, **more)


async def taken(client: Client, epoch: int = 1) -> PartitionStore:
    store = PartitionStore(client, "pumps", 0)
    await store.take(epoch)
    return store


async def stored_offset(client: Client, entity: str = "a") -> tuple[int, int]:
    vector = unpack_vector(await client.get(KEYS.vector + entity.encode()))
    return vector.generation, vector.offset


async def part_ids(client: Client) -> set[str]:
    """Ids of the chunks there are, after proving that the set of ids and the keys agree."""
    keys = {key.removeprefix(KEYS.chunk).decode() async for key in client.scan_iter(KEYS.chunk.replace(b"{", b"\\{") + b"*")}
    assert keys == {part.decode() for part in await client.smembers(KEYS.chunks)}
    return keys
