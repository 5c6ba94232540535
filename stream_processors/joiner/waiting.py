"""Labels that have not ended yet, found again by what they wait for; a part of the joiner's state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from contracts.errors import StateError
from contracts.unreadable import UNREADABLE
from stream_processors.joiner.labels import Truth
from stream_processors.joiner.score_index import Heard

LIMIT = 50_000
"""Labels of a partition that wait before no more are read. More would make checkpoints of many megabytes; fewer would let a
few thousand labels that came a day early hold up all others."""

KEPT_BYTES = 1_024  # of a label's original for its dead letter; the rest is read by its offset
_SHARDS = 16
_SHARD_OFFSETS = 1_024  # neighbours share a chunk, so that labels which wait long are not written with every checkpoint


class Waiting(msgspec.Struct, array_like=True):
    """A truth that waits, and how much of it has been joined."""

    offset: int
    kafka_time: int
    since: int  # wall clock at which it was read, µs; −1 where there is none
    truth: Truth
    key: bytes | None
    original: bytes  # at most KEPT_BYTES
    length: int
    sha256: bytes
    examples: int = 0  # numbered so far
    joined: bool = False  # it brought truth to an event that had none
    corrected: bool = False
    repeated: bool = False
    cursor: tuple[int, int, int] | None = None  # event time, partition, offset of the last event of its interval that was met


_DECODER = msgspec.msgpack.Decoder(list[Waiting])


def waiting_label(offset: int, kafka_time: int, since: int, truth: Truth, key: bytes | None, value: bytes) -> Waiting:
    """A truth just read."""
    return Waiting(offset, kafka_time, since, truth, key, value[:KEPT_BYTES], len(value), hashlib.sha256(value).digest())


class WaitingLabels:
    """In the order of their offsets."""

    def __init__(self) -> None:
        self._labels: dict[int, Waiting] = {}
        self._by_entity: dict[str, set[int]] = {}
        self._by_partition: dict[int, set[int]] = {}
        self._changed = set(range(_SHARDS))

    def __len__(self) -> int:
        return len(self._labels)

    def __contains__(self, offset: int) -> bool:
        return offset in self._labels

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._labels.values())

    def add(self, label: Waiting) -> None:
        """Takes a label in."""
        self._labels[label.offset] = label
        self._group(label.truth).add(label.offset)
        self.changed(label)

    def remove(self, label: Waiting) -> None:
        """Lets a label go that has ended."""
        del self._labels[label.offset]
        group = self._group(label.truth)
        group.discard(label.offset)
        if not group:
            if label.truth.score is None:
                del self._by_entity[label.truth.entity]
            else:
                del self._by_partition[label.truth.score.partition]
        self.changed(label)

    def changed(self, label: Waiting) -> None:
        """Notes that the label's chunk is to be written again."""
        self._changed.add(_shard(label.offset))

    def get(self, offsets: Iterable[int]) -> list[Waiting]:
        """Those of these offsets that still wait, in order."""
        return [self._labels[offset] for offset in sorted(set(offsets)) if offset in self._labels]

    def about(self, heard: Heard) -> set[int]:
        """Offsets of labels that wait for something that was heard."""
        out: set[int] = set()
        for entity in heard.entities if len(heard.entities) < len(self._by_entity) else list(self._by_entity):
            if entity in heard.entities:
                out |= self._by_entity.get(entity, set())
        for partition in heard.partitions:
            out |= self._by_partition.get(partition, set())
        return out

    def changed_chunks(self) -> dict[str, bytes]:
        """Chunks that changed since the last call; one of which nothing is left is empty."""
        changed, self._changed = self._changed, set()
        return self._chunks(changed)

    def all_chunks(self) -> dict[str, bytes]:
        """Every chunk."""
        return self._chunks(range(_SHARDS))

    def forget_handed_out(self) -> None:
        """The next `changed_chunks` hands out everything."""
        self._changed = set(range(_SHARDS))

    def restore(self, chunks: Mapping[str, bytes]) -> None:
        """Puts back what `all_chunks` handed out; raises StateError where it cannot be read."""
        found: list[Waiting] = []
        for shard in range(_SHARDS):
            try:
                found += _DECODER.decode(chunks[_chunk_name(shard)])
            except (KeyError, *UNREADABLE) as error:
                raise StateError(f"chunk {_chunk_name(shard)} of the joiner cannot be read: {error}") from error
        for label in sorted(found, key=lambda item: item.offset):
            self.add(label)
        self._changed = set()

    def _chunks(self, shards: Iterable[int]) -> dict[str, bytes]:
        wanted: dict[int, list[Waiting]] = {shard: [] for shard in shards}
        if wanted:
            for label in self._labels.values():
                if (shard := _shard(label.offset)) in wanted:
                    wanted[shard].append(label)
        return {_chunk_name(shard): msgspec.msgpack.encode(labels) for shard, labels in wanted.items()}

    def _group(self, truth: Truth) -> set[int]:
        if truth.score is None:
            return self._by_entity.setdefault(truth.entity, set())
        return self._by_partition.setdefault(truth.score.partition, set())


def _shard(offset: int) -> int:
    return offset // _SHARD_OFFSETS % _SHARDS


def _chunk_name(shard: int) -> str:
    return f"waiting-{shard:02d}"
