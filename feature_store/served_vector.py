"""A feature vector as it is served: a header that says where it came from, then float64 values, NaN where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.columns import F64, I64, U8
from contracts.definition import Feed
from contracts.errors import StateError
from feature_store.redis_layout import HEADER, HEADER_BYTES, LAYOUT_VERSION, MAGIC, MAX_DIMENSION, VALUE_BYTES, vector_dtype


class ServedVector(NamedTuple):
    """One vector and its provenance. Times are µs."""

    generation: int
    offset: int
    event_time: int  # the entity's newest
    kafka_time: int  # of the record at `offset`, −1 where it has none
    partial: int  # bit w: window w has not been filled since the entity was first seen
    present: int  # how many values are not NaN
    definition: str  # hash of the definition
    values: F64  # (dimension,)


class VectorColumns(NamedTuple):
    """Vectors of n keys as columns; rows whose `readable` is false hold zeros and NaN."""

    readable: NDArray[np.bool_]  # (n,) a vector is there, and of this definition
    foreign: NDArray[np.bool_]  # (n,) a vector is there, of another definition or layout
    generation: I64  # (n,)
    offset: I64  # (n,)
    event_time: I64  # (n,)
    kafka_time: I64  # (n,)
    partial: U8  # (n,)
    values: F64  # (n, dimension)


class VectorPacker:
    """Packs vectors of one feed and generation."""

    def __init__(self, feed: Feed, generation: int) -> None:
        self._definition = definition_word(feed.hash)
        self._generation = generation

    def pack(self, offset: I64, event_time: I64, kafka_time: I64, partial: NDArray[np.integer[Any]], values: F64) -> list[bytes]:
        """The bytes of n vectors, shapes (n,) and (n, dimension). Every NaN becomes the one NaN 0x7FF8000000000000.

        Raises:
            StateError: more values than the header can count.
        """
        n, dimension = values.shape
        if dimension > MAX_DIMENSION:
            raise StateError(f"a vector of {dimension} values cannot be served; the layout holds {MAX_DIMENSION}: choose fewer features")
        packed = np.zeros(n, vector_dtype(dimension))
        missing = np.isnan(values)
        packed["magic"], packed["version"] = MAGIC, LAYOUT_VERSION
        packed["partial"], packed["dimension"], packed["present"] = partial, dimension, dimension - missing.sum(axis=1)
        packed["generation"], packed["offset"] = self._generation, offset
        packed["event_time"], packed["kafka_time"] = event_time, kafka_time
        packed["definition"] = self._definition
        packed["values"] = np.where(missing, np.nan, values)  # processors differ in the sign of the NaN that they make
        out: list[bytes] = packed.view(f"V{packed.dtype.itemsize}").tolist()
        return out


def unpack_vector(blob: bytes) -> ServedVector:
    """Reads one vector.

    Raises:
        StateError: these bytes are no vector of a known layout.
    """
    if len(blob) < HEADER_BYTES or blob[:2] != MAGIC:
        raise StateError("these bytes are no served vector: they do not begin with 'SG' and a header of 48 bytes")
    _, version, partial, dimension, present, generation, offset, event_time, kafka_time, word = HEADER.unpack_from(blob)
    if version != LAYOUT_VERSION:
        raise StateError(f"served vector of layout {version}; this version reads {LAYOUT_VERSION}; use the one that wrote it")
    if len(blob) != HEADER_BYTES + VALUE_BYTES * dimension:
        raise StateError(f"served vector says {dimension} values and has {len(blob)} bytes; it was cut or written by another program")
    values = np.frombuffer(blob, "<f8", dimension, HEADER_BYTES).astype(np.float64)
    return ServedVector(generation, offset, event_time, kafka_time, partial, present, word.hex(), values)


def definition_word(definition: str) -> int:
    """The 16 hex digits of a definition's hash as the number whose little-endian bytes are those digits in order."""
    return int.from_bytes(bytes.fromhex(definition), "little")


def vector_columns(blobs: Sequence[bytes | None], definition: int, dimension: int) -> VectorColumns:
    """Decodes the replies of many keys at once, without an object a value; what can't be read is marked, never guessed.

    `definition` is the `definition_word` that a vector must bear.
    """
    dtype = vector_dtype(dimension)
    size = dtype.itemsize
    there = [blob for blob in blobs if blob is not None and len(blob) == size]
    if len(there) == len(blobs):
        packed = np.frombuffer(b"".join(there), dtype)
    else:
        blank = bytes(size)
        packed = np.frombuffer(b"".join(b if b is not None and len(b) == size else blank for b in blobs), dtype)
    known = (packed["magic"] == MAGIC) & (packed["version"] == LAYOUT_VERSION) & (packed["definition"] == definition)
    values = packed["values"]
    if known.all():
        foreign = np.zeros(len(blobs), bool)
    else:
        foreign = np.fromiter((blob is not None for blob in blobs), bool, len(blobs)) & ~known
        values = np.where(known[:, None], values, np.nan)
    return VectorColumns(
        known,
        foreign,
        packed["generation"],
        packed["offset"],
        packed["event_time"],
        packed["kafka_time"],
        packed["partial"],
        values,
    )
