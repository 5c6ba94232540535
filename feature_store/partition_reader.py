"""What stands in Redis for one partition, read by commands that own nothing: checkpoint and served vectors."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import StateError
from feature_store.checkpoint import Checkpoint, Manifest, decode_manifest, join_chunks
from feature_store.redis_addresses import CLIENT_ERRORS, AnyAsyncClient
from feature_store.redis_connection import binary_only, client_address, in_words
from feature_store.redis_layout import partition_keys

TRIES = 5  # an owner at work flips its manifest between two of our calls; its chunks are then gone


class PartitionReader:
    """Reads without a fence; `partition` is a number of events, or the name of a one-partition log.

    All calls raise ServerUnavailable where the server does not answer, and SettingsError where it refuses.
    """

    def __init__(self, client: AnyAsyncClient, feed_name: str, partition: int | str) -> None:
        binary_only(client)
        self._client = client
        self._keys = partition_keys(feed_name, partition)

    async def manifest(self) -> Manifest | None:
        """The newest manifest; None before the first checkpoint. Raises StateError where it cannot be read."""
        (stored,) = await self._values([self._keys.manifest])
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
            found = await self._values([self._keys.chunk + name.encode() for name in ids])
            try:
                return Checkpoint(manifest, join_chunks(manifest, dict(zip(ids, found, strict=True))))
            except StateError:
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    async def vectors(self, entities: Sequence[bytes]) -> list[bytes | None]:
        """Served vectors as they stand, None where there is none."""
        return await self._values([self._keys.vector + entity for entity in entities])

    async def _values(self, keys: list[bytes]) -> list[bytes | None]:
        try:
            return await self._client.mget(keys) if keys else []  # type: ignore[return-value]
        except CLIENT_ERRORS as error:
            raise in_words(error, client_address(self._client)) from error
