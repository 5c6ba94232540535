"""A checkpoint: a manifest that names what a fold knew at an offset, and the chunks of state that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from crc32c import crc32c

from contracts.errors import StateError
from contracts.unreadable import UNREADABLE

FORMAT = 1  # of the manifest; a reader refuses what it does not know
MAX_CHUNK_BYTES = 1_000_000  # one above it would block the server's other clients for more than a millisecond


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A stored piece of a chunk of state; a chunk above MAX_CHUNK_BYTES has several."""

    id: str
    length: int  # bytes
    crc32c: int


class Manifest(msgspec.Struct, kw_only=True):
    """What a checkpoint covers. `chunks` is filled in by the store; the rest is the owner's."""

    generation: int
    offset: int  # of the next record to fold
    definition: str  # hash
    fold_version: int
    epoch: int
    counters: dict[str, int] = {}
    output_ends: dict[tuple[str, int], int] = {}  # (topic, partition) -> acknowledged end offset
    topic_id: str | None = None
    extra: dict[str, Any] = {}  # plain JSON
    chunks: dict[str, list[Part]] = {}

    @property
    def part_ids(self) -> list[str]:
        """Ids of all parts that this manifest names."""
        return [part.id for parts in self.chunks.values() for part in parts]


class Checkpoint(NamedTuple):
    """A restored checkpoint. `fell_back` says why the newest one could not be used; empty where it could."""

    manifest: Manifest
    chunks: dict[str, bytes]
    fell_back: str = ""


class _Stored(msgspec.Struct, kw_only=True):
    """The manifest's JSON; keys of objects are texts there."""

    format: int
    generation: int
    offset: int
    definition: str
    fold_version: int
    epoch: int
    counters: dict[str, int]
    output_ends: list[tuple[str, int, int]]
    topic_id: str | None
    extra: dict[str, Any]
    chunks: dict[str, list[Part]]


def encode_manifest(manifest: Manifest) -> bytes:
    """CRC-32C of the rest in 8 hex digits, a space, JSON. The same manifest gives the same bytes."""
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    fields["output_ends"] = sorted((topic, partition, end) for (topic, partition), end in manifest.output_ends.items())
    text = msgspec.json.encode(_Stored(format=FORMAT, **fields), order="deterministic")
    return b"%08x %s" % (crc32c(text), text)


def decode_manifest(stored: bytes) -> Manifest:
    """Reads a manifest back.

    Raises:
        StateError: a byte differs from what was written, or another version of streamgauge wrote it.
    """
    checksum, _, text = stored.partition(b" ")
    if checksum != b"%08x" % crc32c(text):
        raise StateError("the manifest's checksum differs: a byte of it was changed after it was written")
    try:
        version = msgspec.json.decode(text)["format"]
        if version != FORMAT:
            raise StateError(f"the manifest has format {version}, this version reads {FORMAT}; use the one that wrote it")
        fields = msgspec.structs.asdict(msgspec.json.decode(text, type=_Stored))
    except (KeyError, TypeError, *UNREADABLE) as error:
        raise StateError(f"the manifest cannot be read ({error}); another program wrote it") from error
    del fields["format"]
    fields["output_ends"] = {(topic, partition): end for topic, partition, end in fields["output_ends"]}
    return Manifest(**fields)


def cut_chunk(data: bytes) -> list[bytes]:
    """The parts that a chunk is stored as: one, or as many as MAX_CHUNK_BYTES makes necessary."""
    return [data[at : at + MAX_CHUNK_BYTES] for at in range(0, max(len(data), 1), MAX_CHUNK_BYTES)]


def describe_part(part_id: str, data: bytes) -> Part:
    """What the manifest says of a part."""
    return Part(part_id, len(data), crc32c(data))


def join_chunks(manifest: Manifest, stored: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """The chunks of a manifest out of their stored parts.

    Raises:
        StateError: a part is missing, or differs from what was written.
    """
    return {name: b"".join(_verified(name, part, stored.get(part.id)) for part in parts) for name, parts in manifest.chunks.items()}


def _verified(name: str, part: Part, data: bytes | None) -> bytes:
    if data is None:
        raise StateError(f"chunk {name} (part {part.id}) is missing")
    if len(data) != part.length or crc32c(data) != part.crc32c:
        raise StateError(f"chunk {name} (part {part.id}) differs from what was written ({len(data)} of {part.length} bytes)")
    return data


def in_calls(sizes: Sequence[int]) -> list[slice]:
    """Cuts consecutive parts into calls of at most MAX_CHUNK_BYTES together."""
    calls, first, total = [], 0, 0
    for at, size in enumerate(sizes):
        if at > first and total + size > MAX_CHUNK_BYTES:
            calls.append(slice(first, at))
            first, total = at, 0
        total += size
    if len(sizes) > first:
        calls.append(slice(first, len(sizes)))
    return calls
