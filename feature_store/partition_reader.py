"""What stands in Redis for one partition, read by commands that own nothing: checkpoint and served vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from contracts.errors import StateError
from feature_store.checkpoint import Checkpoint, Manifest, decode_manifest, join_chunks
from feature_store.redis_connection import binary_only
from feature_store.redis_layout import partition_keys

TRIES = 5  # an owner at work flips its manifest between two of our calls; its chunks are then gone


class PartitionReader:
    """Reads without a fence; `partition` is a number of events, or the name of a one-partition log."""

    def __init__(self, client: redis.asyncio.Redis, feed_name: str, partition: int | str) -> None:
        binary_only(client)
        self._client = client
        self._keys = partition_keys(feed_name, partition)

    async def manifest(self) -> Manifest | None:
        """The newest manifest; None before the first checkpoint. Raises StateError where it cannot be read."""
        stored: Any = await self._client.get(self._keys.manifest)
        return None if stored is None else decode_manifest(stored)

    async def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint whole; None before the first.

        Raises:
            StateError: a chunk is missing or differs, also after looking again.
        """
        for attempt in range(TRIES):
            manifest = await self.manifest()
            if manifest is None:
                return None
            ids = manifest.part_ids
            found: list[Any] = await self._client.mget([self._keys.chunk + name.encode() for name in ids]) if ids else []
            try:
                return Checkpoint(manifest, join_chunks(manifest, dict(zip(ids, found, strict=True))))
            except StateError:
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    async def vectors(self, entities: Sequence[bytes]) -> list[bytes | None]:
        """Served vectors as they stand, None where there is none."""
        found: list[Any] = await self._client.mget([self._keys.vector + entity for entity in entities]) if entities else []
        return found
