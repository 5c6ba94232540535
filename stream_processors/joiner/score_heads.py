"""What the index keeps of a score record, read from the bytes in compiled code: a worker begins with up to half a million a partition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numba
import numpy as np

from contracts.columns import I64, U8, RawBatch, read_only
from contracts.definition import Feed
from stream_processors.archive.score_decoding import ScoreRecord, decode_scores
from stream_processors.decoding.batches import keys_and_values
from stream_processors.record_sources import after_text, number_before

PARTITION, GENERATION, OFFSET, EVENT_TIME, ENTITY, ENTITY_END = range(6)  # columns of what the kernel finds
_SCORE = np.frombuffer(b'score/0","entity":"', np.uint8)
_EVENT_TIME = np.frombuffer(b'","event_time":', np.uint8)
_QUOTE, _BACKSLASH, _SLASH, _COMMA, _BRACE = np.frombuffer(b'"\\/,}', np.uint8).tolist()


class ScoreHead(NamedTuple):
    """Which reading a score is of, and where on the topic it stands."""

    partition: int
    generation: int
    offset: int  # of the event
    entity: str
    event_time: int
    position: int


def head_of(record: ScoreRecord) -> ScoreHead:
    """Of a record that is decoded as a whole."""
    score = record.score
    return ScoreHead(record.partition, record.generation, record.offset, score.entity, score.event_time, record.position)


def score_heads(feed: Feed, batch: RawBatch) -> Iterator[ScoreHead]:
    """Of each score of the feed in a batch, in order; a record that is not spelled as a worker writes it is decoded as a whole."""
    found = np.empty((batch.n, 6), np.int64)
    prefix = np.frombuffer(f'{{"id":"{feed.name}/'.encode(), np.uint8)
    _heads(read_only(batch.values), read_only(batch.value_end), prefix, found)
    text = batch.values.tobytes()
    positions = batch.offset.tolist()
    others = None
    for at, (partition, generation, offset, time, entity, end) in enumerate(found.tolist()):
        if partition >= 0:
            yield ScoreHead(partition, generation, offset, text[entity:end].decode(), time, positions[at])
            continue
        others = [value for _, value in keys_and_values(batch)] if others is None else others
        for record in decode_scores(feed, [others[at]], [None], [positions[at]]):
            yield head_of(record)


@numba.njit(cache=True, nogil=True)
def _heads(values: U8, ends: I64, prefix: U8, found: I64) -> None:
    """Fills a row of `found` for each record; PARTITION is −1 where it is spelled otherwise."""
    at = 0
    for row, end in enumerate(ends):
        found[row, PARTITION] = -1
        _head(values, at, end, prefix, found[row])
        at = end


@numba.njit(cache=True, nogil=True)
def _head(values: U8, at: int, end: int, prefix: U8, found: I64) -> None:
    """``{"id":"<feed>/<generation>/<partition>/<offset>/score/0","entity":"…","event_time":…,`` at the beginning of a value."""
    if at >= end or values[end - 1] != _BRACE:
        return
    found[GENERATION], at = number_before(values, after_text(values, at, end, prefix), end, _SLASH)
    partition, at = number_before(values, at, end, _SLASH)
    found[OFFSET], at = number_before(values, at, end, _SLASH)
    found[ENTITY] = at = after_text(values, at, end, _SCORE) if at >= 0 else -1
    if at < 0:
        return
    while at < end and 32 <= values[at] < 128 and values[at] != _QUOTE and values[at] != _BACKSLASH:
        at += 1
    found[ENTITY_END] = at
    found[EVENT_TIME], at = number_before(values, after_text(values, at, end, _EVENT_TIME), end, _COMMA)
    if at >= 0:
        found[PARTITION] = partition
