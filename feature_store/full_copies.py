"""Full copies of checkpoints beside the history: what a place goes on from when Redis has lost its state.

``<url>/<feed>/checkpoints/<log>/<topic id>/partition-0/generation-1/000000012300.checkpoint`` holds the whole state before
the source offset 12,300: the manifest of the checkpoint of which it is the copy, and every chunk, each with its checksum.
The topic's id keeps a log that was created anew apart from the one before, whose offsets mean other records.
"""

from __future__ import annotations

import contextlib
import logging
import re
import struct
from collections.abc import Iterator, Mapping

import msgspec
import pyarrow as pa

from contracts.errors import HistoryError, StateError
from contracts.records import Switch
from feature_store.checkpoint import Checkpoint, Manifest, decode_manifest, describe_part, encode_manifest, join_chunks
from feature_store.history_files import NO_TOPIC_ID, HistoryFiles

KEPT = 3  # a damaged newest one leaves two; more would cost their bytes and save nothing but time
MAGIC = b"SGCOPY1\n"
_LENGTH = struct.Struct("<Q")
_ZSTD_LEVEL = 1  # of a partition's state; higher levels cost several times the processor time for a few per cent of size
_MOST_CHUNK_BYTES = 256_000_000  # a length is believed before the bytes are there, and a damaged one would ask for any memory
_NAME = re.compile(r"(\d{12})\.checkpoint")

_log = logging.getLogger(__name__)


class FullCopies:
    """The copies of one generation of one place. All calls block: the worker makes them in a thread.

    Args:
        url: of the history.
        feed: its name.
        generation: the switch with which the generation began.

    Raises:
        SettingsError: no such kind of URL.
    """

    def __init__(self, url: str, feed: str, generation: Switch) -> None:
        self._files = HistoryFiles(url)
        self._generation = generation
        log, topic_id = generation.log, generation.topic_id or NO_TOPIC_ID
        self._place = f"{self._files.root}/{feed}/checkpoints/{log}/{topic_id}/partition-{generation.partition}"
        self._directory = f"{self._place}/generation-{generation.generation}"

    @property
    def url(self) -> str:
        """Where the history is, as it may be shown."""
        return self._files.shown

    def offsets(self) -> list[int]:
        """Offsets of all copies of the generation, rising.

        Raises:
            HistoryError: the history cannot be reached.
        """
        names = [path.rpartition("/")[2] for path in self._files.listed(self._directory)]
        return sorted(int(match[1]) for match in map(_NAME.fullmatch, names) if match)

    def read(self, offset: int) -> Checkpoint:
        """The copy at an offset.

        Raises:
            StateError: it is gone, damaged, or not of this generation.
            HistoryError: the history cannot be reached.
        """
        path = self._path(offset)
        try:
            data = self._files.read(path)
        except FileNotFoundError as error:
            raise StateError(f"{path} is gone") from error
        except OSError as error:
            raise HistoryError(f"{path} cannot be read ({error}); see to it that the history can be reached") from error
        try:
            copy = decode_copy(data)
        except StateError as error:
            raise StateError(f"{path}: {error}") from error
        found, begun = copy.manifest, self._generation
        ours = (begun.generation, begun.definition, begun.fold_version, begun.state_begins, offset)
        if (found.generation, found.definition, found.fold_version, found.counters.get("start_offset"), found.offset) != ours:
            raise StateError(f"{path} is not of generation {begun.generation} as it began at offset {begun.from_offset}")
        return copy

    def newest(self, start: int) -> Checkpoint | None:
        """The newest usable copy at or beyond the offset `start`; damaged ones are passed over, aloud."""
        return next(self._usable(reversed(self.offsets()), start), None)

    def oldest(self, start: int) -> Checkpoint | None:
        """The oldest usable one."""
        return next(self._usable(iter(self.offsets()), start), None)

    def _usable(self, offsets: Iterator[int], start: int) -> Iterator[Checkpoint]:
        for offset in offsets:
            if offset >= start:
                try:
                    yield self.read(offset)
                except StateError as error:
                    _log.warning("a full copy is passed over: %s", error)

    def write(self, manifest: Manifest, chunks: Mapping[str, bytes]) -> int:
        """Puts a copy whole, then takes away all but the newest ones and those of lower generations; returns its bytes.

        Two owners may write the same offset: a fold's state there is the same, whoever folded.
        """
        for path in self._files.listed(self._directory):
            if path.endswith(".part"):  # of a worker that was killed while it wrote
                self._take_away(path)
        data = encode_copy(manifest, chunks)
        self._files.write(self._path(manifest.offset), data)
        for offset in self.offsets()[:-KEPT]:
            self._take_away(self._path(offset))
        for path in self._files.listed(self._place):
            number = path.rpartition("-")[2]
            if number.isdigit() and int(number) < self._generation.generation:
                self._files.remove_directory(path)
        return len(data)

    def _take_away(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # another owner was faster
            self._files.remove(path)

    def _path(self, offset: int) -> str:
        return f"{self._directory}/{offset:012d}.checkpoint"


def encode_copy(manifest: Manifest, chunks: Mapping[str, bytes]) -> bytes:
    """MAGIC, the length of the manifest, the manifest, then each chunk in the order of names as length and zstd frame."""
    names = sorted(chunks)
    stored = encode_manifest(msgspec.structs.replace(manifest, chunks={name: [describe_part(name, chunks[name])] for name in names}))
    codec = pa.Codec("zstd", _ZSTD_LEVEL)
    pieces = [MAGIC, _LENGTH.pack(len(stored)), stored]
    for name in names:
        frame = codec.compress(chunks[name], asbytes=True)
        pieces += [_LENGTH.pack(len(frame)), frame]
    return b"".join(pieces)


def decode_copy(data: bytes) -> Checkpoint:
    """Reads a copy back.

    Raises:
        StateError: it is cut short, a byte of it was changed, or another version of streamgauge wrote it.
    """
    if not data.startswith(MAGIC):
        raise StateError("this is no full copy of this version of streamgauge")
    pieces = _pieces(memoryview(data)[len(MAGIC) :])
    manifest = decode_manifest(bytes(next(pieces)))
    codec = pa.Codec("zstd", _ZSTD_LEVEL)
    found: dict[str, bytes | None] = {}
    for name, (part,) in sorted(manifest.chunks.items()):
        if not 0 <= part.length <= _MOST_CHUNK_BYTES:
            raise StateError(f"chunk {name} cannot have {part.length:,} bytes")
        try:
            found[part.id] = codec.decompress(next(pieces), part.length, asbytes=True)
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise StateError(f"chunk {name} cannot be unpacked ({error})") from error
    return Checkpoint(manifest, join_chunks(manifest, found))


def _pieces(data: memoryview) -> Iterator[memoryview]:
    at = 0
    while True:
        end = at + _LENGTH.size
        size = _LENGTH.unpack(data[at:end])[0] if end <= len(data) else 0
        if end + size > len(data):
            raise StateError("the file is cut short")
        yield data[end : end + size]
        at = end + size
