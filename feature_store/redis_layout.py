"""Where everything stands in Redis: names of keys, and the fixed header of a served vector (docs/redis-layout.md)."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from contracts.definition import Feed

MAGIC = b"SG"
LAYOUT_VERSION = 1  # raised when a byte of the header changes its meaning; a reader refuses what it does not know
MAX_DIMENSION = 65_535  # the header counts values in 16 bits
VALUE_BYTES = 8

# magic, version, partial, dimension, present, generation, offset, event time, Kafka time, definition.
HEADER = struct.Struct("<2sBBHHqqqq8s")
HEADER_BYTES = HEADER.size  # 48, a multiple of 8, so that the values can be read in place

HEADER_FIELDS = [
    ("magic", "S2"),
    ("version", "u1"),
    ("partial", "u1"),
    ("dimension", "<u2"),
    ("present", "<u2"),
    ("generation", "<i8"),
    ("offset", "<i8"),
    ("event_time", "<i8"),
    ("kafka_time", "<i8"),
    ("definition", "<u8"),
]

DIRECTORY_ENTRY = struct.Struct("<IIq")  # partition, generation, event time


MAX_DIGITS = 18  # of a generation; more may not fit 64 bits
UNKNOWN = 2**63 - 1

WEEK_S = 7 * 86_400  # a shorter life would drop the last value of a device that is off for a few days


def vector_dtype(dimension: int) -> np.dtype[np.void]:
    """A served vector of `dimension` values as a numpy record of HEADER_BYTES + 8 × dimension bytes, little-endian."""
    return np.dtype([*HEADER_FIELDS, ("values", "<f8", (dimension,))])


def vector_lifetime_s(feed: Feed) -> int:
    """Seconds after its last write at which Redis collects a vector: a week, or longer where the definition looks further back."""
    return max(WEEK_S, 2 * max(*feed.window_us, feed.max_age_us) // 1_000_000)


def entry_of(stored: bytes | None) -> tuple[int, int, int] | None:
    """(partition, generation, event time in µs) of a directory entry; None where there is none, or another program's value."""
    return None if stored is None or len(stored) != DIRECTORY_ENTRY.size else DIRECTORY_ENTRY.unpack(stored)


def generation_of(stored: bytes | None) -> int:
    """A partition's generation as it stands in Redis, 0 where none does; UNKNOWN, with which no vector is believed, where it is damaged."""
    if stored is None:
        return 0
    return int(stored) if len(stored) <= MAX_DIGITS and stored.isdigit() else UNKNOWN


class PartitionKeys(NamedTuple):
    """Keys of one partition; all carry its hash tag, so one server-side call may touch them together."""

    fence: bytes  # hash: epoch, counter, flip
    generation: bytes  # the partition's generation, decimal
    manifest: bytes
    previous: bytes
    chunks: bytes  # set of the ids of all chunks there are
    vector: bytes  # prefix of the vectors' keys; the entity follows
    chunk: bytes  # prefix of the chunks' keys; the id follows


def partition_keys(feed: str, partition: int | str) -> PartitionKeys:
    """Keys of a partition of events, or of a one-partition log by its name: ``sg:{pumps:0}:…``, ``sg:{pumps:evidence}:…``."""
    names = ("fence", "generation", "manifest", "manifest:previous", "chunks", "v:", "chunk:")
    return PartitionKeys(*(f"sg:{{{feed}:{partition}}}:{name}".encode() for name in names))


class DirectoryKeys(NamedTuple):
    """Keys of a feed's directory, in a slot of their own."""

    entries: bytes  # hash: entity -> DIRECTORY_ENTRY
    epochs: bytes  # hash: partition -> epoch of the owner that wrote last, partition:counter -> the counter of its last call


def directory_keys(feed: str) -> DirectoryKeys:
    """Keys of the directory: ``sg:{pumps}:directory``."""
    return DirectoryKeys(f"sg:{{{feed}}}:directory".encode(), f"sg:{{{feed}}}:directory:epochs".encode())
