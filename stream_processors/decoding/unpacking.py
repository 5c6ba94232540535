"""Compressed records, unpacked within a bound: a megabyte on the wire may be made to stand for gigabytes.

The formats are Kafka's: gzip, snappy (raw, or in xerial's blocks), frames of lz4, zstd. Other libraries than gzip's are optional.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from aiokafka.errors import CorruptRecordException

try:
    import cramjam  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    cramjam = None

Bytes = bytes | memoryview

MAX_UNPACKED_BYTES = 64_000_000
"""Of one record batch. Brokers take batches of 1 MB, and 15 KB of zstd can hold 500 MB of zeros, which would end the worker."""

_GZIP = 31  # zlib's word for a gzip header and a window of any size
_XERIAL = b"\x82SNAPPY\0"  # then two versions of four bytes, and blocks, each behind its length in four bytes
_XERIAL_BYTES = 16


def unpack(kind: int, packed: memoryview) -> Bytes:
    """The bytes that were compressed in Kafka's way number `kind`, 1 to 4.

    Raises:
        CorruptRecordException: they are more than MAX_UNPACKED_BYTES.
        NotImplementedError: the library for it is not installed.
        Exception: of any other kind, where the bytes are damaged.
    """
    if kind != 1 and cramjam is None:
        raise NotImplementedError("snappy, lz4 and zstd need cramjam")
    return _UNPACKED[kind](packed)


def _too_large() -> CorruptRecordException:
    return CorruptRecordException(f"a record batch unpacks to more than {MAX_UNPACKED_BYTES:,} bytes; have its producer send less at once")


def _gzip(packed: memoryview) -> bytes:
    """All members, one after the other."""
    parts: list[bytes] = []
    rest, left = bytes(packed), MAX_UNPACKED_BYTES
    while rest:
        member = zlib.decompressobj(_GZIP)
        parts.append(member.decompress(rest, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise _too_large()
        if not member.eof:
            raise EOFError("a gzip member is cut short")
        rest = member.unused_data
    return b"".join(parts)


def _snappy(packed: memoryview) -> bytes:
    if bytes(packed[: len(_XERIAL)]) != _XERIAL:
        return _snappy_block(packed, MAX_UNPACKED_BYTES)
    parts: list[bytes] = []
    at, left = _XERIAL_BYTES, MAX_UNPACKED_BYTES
    while at < len(packed):
        size = int.from_bytes(packed[at : at + 4], "big")
        parts.append(_snappy_block(packed[at + 4 : at + 4 + size], left))
        at, left = at + 4 + size, left - len(parts[-1])
    return b"".join(parts)


def _snappy_block(packed: memoryview, most: int) -> bytes:
    """A block says how much it holds, for which room is made before it is looked at."""
    if cramjam.snappy.decompress_raw_len(packed) > most:
        raise _too_large()
    return bytes(cramjam.snappy.decompress_raw(packed))


def _within_bound(unpack_into: Callable[[memoryview, object], int], packed: memoryview) -> memoryview:
    """Into room of the bound's size, of which pages not written to cost nothing."""
    room = np.empty(MAX_UNPACKED_BYTES, np.uint8)
    try:
        size = unpack_into(packed, room)
    except cramjam.DecompressionError as error:
        raise _too_large() if "whole buffer" in str(error) else error from error
    return room[:size].data


_UNPACKED: dict[int, Callable[[memoryview], Bytes]] = {
    1: _gzip,
    2: _snappy,
    3: lambda packed: _within_bound(cramjam.lz4.decompress_into, packed),
    4: lambda packed: _within_bound(cramjam.zstd.decompress_into, packed),
}
