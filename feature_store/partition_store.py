"""The fenced writer of one partition: takes it over, serves vectors, keeps checkpoints. One server-side call each.

Every call carries the owner's epoch and a rising counter, and returns those that it found. An epoch above the owner's
raises Fenced. Another epoch, or a counter below the last acknowledged, means that the server has forgotten (restarted
empty, flushed, failed over to a replica that lagged): the call reports `forgot`, and the owner writes everything anew.
The directory, which on a cluster stands on a node of its own, has a counter of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from contracts.errors import StateError
from contracts.outage import Outage
from feature_store import checkpoint as chunks
from feature_store.checkpoint import Checkpoint, Manifest, Part
from feature_store.fenced_calls import FencedCalls, Reply, Unexpected
from feature_store.redis_addresses import AnyAsyncClient
from feature_store.redis_layout import DIRECTORY_ENTRY, UNKNOWN, WEEK_S, directory_keys, generation_of, partition_keys

SLICE_VECTORS = 256  # in one call, some 0.7 ms of the server's time: with more, a reader's p99 passes 1 ms while a batch is served
SLICE_BYTES = 524_288  # the same bound for long vectors


class Taken(NamedTuple):
    """What stood in the store when the partition was taken."""

    manifest: bytes | None
    previous: bytes | None
    generation: int | None
    forgot: bool  # no owner before is known, or the directory lost its entries: serve every vector and entry anew


class Served(NamedTuple):
    """What a call came to."""

    written: int  # vectors, entries or manifests; older ones than stored are left out
    forgot: bool  # the server has lost what was acknowledged: hand in all chunks, vectors and entries anew


class PartitionStore:
    """One partition of events by its number, or a one-partition log by its name. Use it from one event loop.

    All calls raise Fenced when a later owner has taken the partition. A server that does not answer is waited for where
    `outage` is given; else they raise ServerUnavailable.

    Args:
        client: without `decode_responses`.
        feed_name: of the definition.
        partition: number of a partition of events, which has directory entries; or a log's name, which has none.
        lifetime_s: seconds after which a vector that nobody wrote again is collected (`redis_layout.vector_lifetime_s`).
        outage: of the server.
    """

    def __init__(
        self,
        client: AnyAsyncClient,
        feed_name: str,
        partition: int | str,
        lifetime_s: int = WEEK_S,
        outage: Outage | None = None,
    ) -> None:
        self._name = f"partition {partition} of feed '{feed_name}'"
        self._calls = FencedCalls(client, self._name, outage)
        self._directory_calls = FencedCalls(client, self._name, outage)
        self._partition = int(partition) if str(partition).isdigit() else None
        self._keys = partition_keys(feed_name, partition)
        self._directory = directory_keys(feed_name)
        self._lifetime = lifetime_s
        self._current: Manifest | None = None  # the newest usable manifest
        self._rotate = False  # the stored manifest is usable, so a flip makes it the previous one
        self._flip = b""  # id of the stored manifest's flip
        self._attempted: tuple[bytes, Manifest] | None = None
        self._stored: set[str] = set()  # ids of all parts there may be
        self._doubtful = False  # a reply was lost: look before the next checkpoint
        self._owed: frozenset[str] = frozenset()  # chunks lost by a server that forgot

    async def take(self, epoch: int) -> Taken:
        """Becomes the owner. An epoch is an offset of `switches`, so an equal one is this owner's own repeat after a lost reply."""
        self._calls.begin(epoch)
        self._directory_calls.begin(epoch, -1)
        self._owed, self._doubtful, self._attempted = frozenset(), False, None
        reply = await self._look()
        manifest, previous, generation = reply[3], reply[4], reply[6]
        self._current, self._rotate = None, False
        if manifest is not None:
            try:
                self._current, self._rotate = chunks.decode_manifest(manifest), True
            except StateError:
                self._current = None  # `restore` says why
        known = self._partition is None or (await self._direct([]))[0][0] is not None
        if (found := generation_of(generation)) == UNKNOWN:
            raise StateError(f"{self._keys.generation.decode()} holds no generation: another program wrote it; delete that key")
        return Taken(manifest, previous, None if generation is None else found, reply[0] is None or not known)

    async def restore(self, taken: Taken) -> Checkpoint | None:
        """The newest checkpoint whose chunks are all there and unchanged; None where there never was one.

        Raises:
            StateError: there are manifests, and none can be used.
        """
        if taken.manifest is None and taken.previous is None:
            return None
        reasons: list[str] = []
        for stored in (taken.manifest, taken.previous):
            try:
                if stored is None:
                    raise StateError("there is no manifest")
                manifest = chunks.decode_manifest(stored)
                found = chunks.join_chunks(manifest, await self._fetch(manifest))
            except StateError as error:
                reasons.append(str(error))
                continue
            self._current, self._rotate = manifest, not reasons
            return Checkpoint(manifest, found, "; ".join(reasons))
        self._current, self._rotate = None, False
        why = "; the one before: ".join(reasons)
        raise StateError(f"{self._name}: no checkpoint can be used: {why}. Restore the full copy, or begin a new generation")

    async def serve(self, generation: int, entities: Sequence[bytes], blobs: Sequence[bytes]) -> Served:
        """Writes the packed vector of each entity unless a greater (generation, offset) stands there.

        Raises the partition's generation to `generation`, also with no entity, so that readers stop believing older values.
        """
        keys, size = self._keys, max(1, min(SLICE_VECTORS, SLICE_BYTES // max(map(len, blobs), default=1)))
        written, forgot = 0, False
        for first in range(0, max(len(entities), 1), size):
            names = [keys.vector + entity for entity in entities[first : first + size]]
            values = blobs[first : first + size]
            assert len(names) == len(values), "one blob an entity"
            reply, lost = await self._fenced(b"serve", (keys.fence, keys.generation, *names), (generation, self._lifetime, *values))
            written, forgot = written + reply[2], forgot or lost
        return Served(written, forgot)

    async def serve_directory(self, generation: int, entries: Sequence[tuple[bytes, int]]) -> Served:
        """Says that entities, each with its event time (µs), live in this partition. An entry belongs to the greatest event time."""
        assert self._partition is not None, "a log by name has no entities"
        written, forgot = 0, False
        for first in range(0, max(len(entries), 1), SLICE_VECTORS):
            part = entries[first : first + SLICE_VECTORS]
            reply, lost = await self._direct([(entity, DIRECTORY_ENTRY.pack(self._partition, generation, time)) for entity, time in part])
            written, forgot = written + reply[2], forgot or lost
        return Served(written, forgot)

    async def checkpoint(self, manifest: Manifest, changed: Mapping[str, bytes], kept: Iterable[str] | None = None) -> Served:
        """Stages the changed chunks under new ids and flips the manifest to name them and the kept ones.

        `kept` names chunks of the checkpoint before; left out, all that `changed` does not replace, of the same generation.
        With ``written == 0`` nothing was flipped: the server has forgotten, and each call says so until every chunk of the
        checkpoint before is handed in as `changed`. `forgot` beside ``written == 1``: only the directory was lost.

        Raises:
            StateError: `kept` names a chunk that the checkpoint before does not have.
        """
        had_forgotten = self._doubtful and await self._look_again()
        if self._goes_on(manifest) and not self._owed <= changed.keys():
            return Served(0, True)
        named = self._kept(manifest, changed, kept)
        self._doubtful = True
        parts: list[tuple[Part, bytes]] = []
        for name in sorted(changed):
            pieces = [(self._part(len(parts) + n, data), data) for n, data in enumerate(chunks.cut_chunk(changed[name]))]
            named[name] = [part for part, _ in pieces]
            parts += pieces
        if not await self._stage(parts) or not await self._flip_to(msgspec.structs.replace(manifest, chunks=named)):
            self._owe()
            return Served(0, True)
        self._doubtful, self._owed = False, frozenset()
        # The directory's node may forget alone, which no call on the partition's own would show.
        return Served(1, (self._partition is not None and (await self._direct([]))[1]) or had_forgotten)

    def _goes_on(self, manifest: Manifest) -> bool:
        """Whether a manifest is of the generation of the one before; a new generation begins without its chunks."""
        return self._current is not None and self._current.generation == manifest.generation

    def _kept(self, manifest: Manifest, changed: Mapping[str, bytes], kept: Iterable[str] | None) -> dict[str, list[Part]]:
        before = self._current.chunks if self._current else {}
        if kept is None:
            kept = before.keys() if self._goes_on(manifest) else ()
        kept = sorted(set(kept) - changed.keys())
        for name in kept:
            if name not in before:
                raise StateError(f"{self._name}: chunk {name} is in no checkpoint, so it cannot be kept; hand it in as changed")
        return {name: before[name] for name in kept}

    def _part(self, n: int, data: bytes) -> Part:
        return chunks.describe_part(f"{self._calls.epoch}-{self._calls.counter}-{n}", data)

    async def _stage(self, parts: Sequence[tuple[Part, bytes]]) -> bool:
        for call in chunks.in_calls([len(data) for _, data in parts]):
            some = parts[call]
            self._stored.update(part.id for part, _ in some)
            keys = (self._keys.fence, self._keys.chunks, *self._chunk_keys(part.id for part, _ in some))
            _, forgot = await self._fenced(b"stage", keys, [item for part, data in some for item in (part.id, data)])
            if forgot:
                return False
        return True

    async def _flip_to(self, manifest: Manifest) -> bool:
        """False where the store is not as it was left: it has forgotten."""
        named = sorted(set(manifest.part_ids))
        doomed = sorted(self._stored.difference(named, self._current.part_ids if self._current else ()))
        flip = b"%d-%d" % (self._calls.epoch, self._calls.counter + 1)
        self._attempted = flip, manifest
        fixed = (self._keys.fence, self._keys.manifest, self._keys.previous, self._keys.chunks)
        arguments = (flip, self._flip, int(self._rotate), len(named), chunks.encode_manifest(manifest), *doomed)
        try:
            _, forgot = await self._fenced(b"flip", (*fixed, *self._chunk_keys(named), *self._chunk_keys(doomed)), arguments)
        except Unexpected:
            return False
        self._flip, self._current, self._rotate = flip, manifest, True
        self._stored.difference_update(doomed)
        return not forgot

    async def _look_again(self) -> bool:
        """After a lost reply: was the flip done, was it not, or does the store know something else altogether? Says whether it forgot."""
        believed = self._flip
        async with self._calls.lock:  # a vector served meanwhile would make the counter that was found look like one of long ago
            forgot = self._calls.forgot(await self._look())
        if forgot:
            self._owe()
        if self._attempted and self._flip == self._attempted[0] != believed:
            self._current, self._rotate = self._attempted[1], True
        elif self._flip != believed:
            self._owe()
            self._rotate = False
        self._doubtful = False
        return forgot

    def _owe(self) -> None:
        """All chunks of the checkpoint before are to be handed in anew."""
        self._owed |= frozenset(self._current.chunks if self._current else ())
        self._doubtful = True

    async def _look(self) -> Reply:
        keys = self._keys
        reply = await self._calls.call(
            (b"take", self._calls.epoch), (keys.fence, keys.manifest, keys.previous, keys.chunks, keys.generation)
        )
        self._flip = reply[2] or b""
        self._stored = {part.decode() for part in reply[5] if part.isascii()}  # ours are
        return reply

    async def _direct(self, pairs: Sequence[tuple[bytes, bytes]]) -> tuple[Reply, bool]:
        assert self._partition is not None
        entries = [item for pair in pairs for item in pair]
        return await self._directory_calls.fenced(b"direct", self._directory, (self._partition, *entries))

    async def _fetch(self, manifest: Manifest) -> dict[str, bytes | None]:
        parts = [part for parts in manifest.chunks.values() for part in parts]
        found: dict[str, bytes | None] = {}
        for call in chunks.in_calls([part.length for part in parts]):
            ids = [part.id for part in parts[call]]
            found |= zip(ids, await self._calls.values(self._chunk_keys(ids)), strict=True)
        return found

    def _chunk_keys(self, part_ids: Iterable[str]) -> list[bytes]:
        return [self._keys.chunk + part_id.encode() for part_id in part_ids]

    async def _fenced(self, call: bytes, keys: Sequence[bytes], arguments: Sequence[Any]) -> tuple[Reply, bool]:
        reply, forgot = await self._calls.fenced(call, keys, arguments)
        if forgot:
            self._owe()
        return reply, forgot
