"""All that a stream fold knows of its partition, as arrays; and those arrays as the chunks of a checkpoint."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.definition import MAX_CATEGORIES, Feed
from contracts.hashing import hash_text
from contracts.outcomes import MAX_CATEGORY_BYTES
from feature_store.rows import WORD, new_rows
from online_model.consistency import new_consistency
from stream_processors.stream_fold.entity_index import WAYS, new_index
from stream_processors.stream_fold.partition_words import CLOCK, FIRST_CLOCK, UNKNOWN_FLOOR, WORDS

CHUNK_BYTES = 262_144  # rows of a chunk: smaller costs round trips, larger writes unchanged entities again
FIRST_SLOTS = 64  # a small feed stays small; slots double until the cap
MAX_BUCKETS = 8_192  # of evicted entities: half a megabyte, so that the partition stays one chunk of a checkpoint


class Categories(NamedTuple):
    """Values seen of each category field, by code; the last code means "another value"."""

    known: NDArray[np.int64]  # (c,) values that have a code
    hash: NDArray[np.uint64]  # (c, MAX_CATEGORIES)
    length: NDArray[np.int64]  # (c, MAX_CATEGORIES)
    text: NDArray[np.uint8]  # (c, MAX_CATEGORIES, MAX_CATEGORY_BYTES)


class EvictionOrder(NamedTuple):
    """Slots by rising offset of last reading as of when it was made; no part of the state."""

    slot: NDArray[np.int64]
    offset: NDArray[np.int64]
    next: NDArray[np.int64]  # (1,)


class Entities(NamedTuple):
    """Rows and the index over them; replaced by larger ones as entities come."""

    F: NDArray[np.float64]  # (slots, width)
    W: NDArray[np.int64]  # the same memory
    slots: NDArray[np.int64]  # the index over names (entity_index.py)
    last_row: NDArray[np.int64]  # (slots,) row of the batch in which it was last folded, -1 none
    changed: NDArray[np.uint8]  # (chunks,) rows touched since the last checkpoint


class Partition(NamedTuple):
    """The partition's own words and tables."""

    P: NDArray[np.int64]  # (WORDS,)
    PF: NDArray[np.float64]  # the same memory
    evicted: NDArray[np.int64]  # (buckets, WAYS, 2): name hash, floor
    categories: Categories
    settled: NDArray[np.int64]  # (c,) codes of each category that are usual (online_model/consistency.py)
    consistency: NDArray[np.float64]  # the statistic on records that do not fit


def chunk_rows(width: int) -> int:
    """Rows in one chunk."""
    return max(1, CHUNK_BYTES // (width * WORD))


def new_entities(slots: int, width: int) -> Entities:
    """Room for `slots` entities."""
    floats, words = new_rows(slots, width)
    chunks = -(-slots // chunk_rows(width))
    return Entities(floats, words, new_index(slots), np.full(slots, -1, np.int64), np.zeros(chunks, np.uint8))


def new_partition(feed: Feed) -> Partition:
    """A partition that has seen nothing; category values that the definition names have their codes."""
    words = np.zeros(WORDS, np.int64)
    words[CLOCK] = words[FIRST_CLOCK] = -1
    words[UNKNOWN_FLOOR] = 0
    c = len(feed.categories)
    categories = Categories(
        np.zeros(c, np.int64),
        np.zeros((c, MAX_CATEGORIES), np.uint64),
        np.zeros((c, MAX_CATEGORIES), np.int64),
        np.zeros((c, MAX_CATEGORIES, MAX_CATEGORY_BYTES), np.uint8),
    )
    for i, category in enumerate(feed.categories):
        for code, value in enumerate(category.values or ()):
            raw = value.encode()[:MAX_CATEGORY_BYTES]
            categories.known[i] = code + 1
            categories.hash[i, code] = hash_text(value)
            categories.length[i, code] = len(raw)
            categories.text[i, code, : len(raw)] = np.frombuffer(raw, np.uint8)
    buckets = min(MAX_BUCKETS, max(16, feed.max_entities // WAYS))
    evicted = np.zeros((buckets, WAYS, 2), np.int64)
    return Partition(words, words.view(np.float64), evicted, categories, np.zeros(c, np.int64), new_consistency())


def make_eviction_order(entities: Entities, count: int, last_offset_word: int) -> EvictionOrder:
    """The order as of now."""
    offsets = entities.W[:count, last_offset_word]
    order = np.argsort(offsets, kind="stable")
    return EvictionOrder(order.astype(np.int64), offsets[order].copy(), np.zeros(1, np.int64))
