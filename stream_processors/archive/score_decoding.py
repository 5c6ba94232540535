"""Records of `<feed>.scores` as columns of the history."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from contracts.definition import Feed
from contracts.ids import parse_id
from contracts.outcomes import MAX_DEPTH
from contracts.record_reader import RecordReader, is_deeper
from contracts.records import Score
from contracts.unreadable import UNREADABLE
from feature_store.history_rows import HistoryRows, vectors_of
from stream_processors.stream_fold.outputs import VECTOR_HEADER

_MANY = msgspec.json.Decoder(list[Score])
_ONE = RecordReader[Score](Score)


class ScoreRecord(NamedTuple):
    """One record and where its id says that it comes from."""

    generation: int
    partition: int
    offset: int  # of the event
    score: Score
    vector: bytes | None
    position: int  # on the topic


def decode_scores(
    feed: Feed, values: Sequence[bytes | None], vectors: Sequence[bytes | None], positions: Sequence[int]
) -> list[ScoreRecord]:
    """Records in their order; what is no score of this feed (a stranger's record) is passed over."""
    out = []
    for score, vector, position in zip(_decoded(values), vectors, positions, strict=True):
        if score is None:
            continue
        try:
            name = parse_id(score.id)
            partition = int(name.partition)
        except ValueError:
            continue
        if name.feed == feed.name and name.kind == "score":
            out.append(ScoreRecord(name.generation, partition, name.offset, score, vector, position))
    return out


def vector_of(headers: Sequence[tuple[str, bytes]]) -> bytes | None:
    """The packed vector of a score record, None where it was thinned out."""
    for name, value in headers:
        if name == VECTOR_HEADER:
            return value
    return None


def history_rows(feed: Feed, records: Sequence[ScoreRecord], where: str) -> HistoryRows:
    """Records of one generation and partition as columns; raises HistoryError where a vector does not fit the definition."""
    scores = [record.score for record in records]
    n = len(scores)
    values, logged = vectors_of(feed, [record.vector for record in records], where)
    event_time = np.fromiter((score.event_time for score in scores), np.int64, n)
    as_of = np.fromiter((score.event_time if score.as_of is None else score.as_of for score in scores), np.int64, n)
    return HistoryRows(
        [score.entity for score in scores],
        event_time,
        as_of,
        np.fromiter((record.offset for record in records), np.int64, n),
        np.array([score.score for score in scores], np.float64),
        np.array([score.p_value for score in scores], np.float64),
        [score.model for score in scores],
        [",".join(score.flags) for score in scores],
        logged,
        values,
    )


def _decoded(values: Sequence[bytes | None]) -> list[Score | None]:
    """One decode of all; one by one where a record is no score, or holds several."""
    if not any(value is None or is_deeper(value, MAX_DEPTH) for value in values):  # else they would pass here, and alone they would not
        with contextlib.suppress(*UNREADABLE):
            found = _MANY.decode(b"[" + b",".join(values) + b"]")  # type: ignore[arg-type]
            if len(found) == len(values):
                return list(found)
    return [_ONE.read(value) for value in values]
