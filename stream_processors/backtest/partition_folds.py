"""One stream fold a partition over rows in the order of a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import numpy as np
from kafka.partitioner.default import murmur2

from contracts.columns import F64, I64, Columns
from contracts.definition import Feed
from stream_processors.backtest.column_rows import take_rows
from stream_processors.log_fold import OutRecord
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.stream_fold.fold_kernel import RowOutputs
from stream_processors.stream_fold.score_text import DIGITS

GENERATION = 1  # a backtest begins one, as a first start does
THREADS = 2  # the kernels release the interpreter's lock; more threads wait for the few steps that do not


class RowResults(NamedTuple):
    """What n rows came to."""

    outcome: I64  # (n,) Outcome
    reason: I64  # (n,) Reason, 0 none
    score: F64  # (n,) as a score record says it, NaN none
    p_value: F64  # (n,) likewise


class _Dated(msgspec.Struct):
    event_time: int


class TimedEvidence(NamedTuple):
    """A record for `<feed>.evidence`; sorts as a backtest orders evidence."""

    event_time: int  # µs, the partition clock
    partition: int
    offset: int
    n: int
    value: bytes


def place_entities(names: Sequence[bytes], partitions: int) -> I64:
    """The partition of each name as Kafka's clients place a key: murmur2 & 0x7fffffff modulo the number of partitions."""
    return np.array([(murmur2(name) & 0x7FFFFFFF) % partitions for name in names], np.int64)


class PartitionFolds:
    """The stream folds of all partitions of a feed.

    Args:
        feed: the definition.
        partitions: how many folds; scores depend on it, as an anomaly model belongs to its partition.
    """

    def __init__(self, feed: Feed, partitions: int) -> None:
        self.folds = [StreamFold(feed, partition, GENERATION) for partition in range(partitions)]
        self._ends = [0] * partitions
        self._threads = ThreadPoolExecutor(THREADS)

    def fold(self, columns: Columns, rows: I64, partition: I64) -> tuple[RowResults, list[TimedEvidence]]:
        """Folds the next n rows of the logs: `rows` (n,) of the columns; `partition` (n,) says whose each row is.

        Evidence comes in the order of partitions.
        """
        n = len(rows)
        results = RowResults(np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, np.nan), np.full(n, np.nan))
        chosen = [np.flatnonzero(partition == p) for p in range(len(self.folds))]
        done = self._threads.map(lambda p: self._fold_partition(p, columns, rows[chosen[p]]), range(len(self.folds)))
        evidence: list[TimedEvidence] = []
        for places, (out, found) in zip(chosen, done, strict=True):
            results.outcome[places] = out.outcome
            results.reason[places] = out.reason
            results.score[places] = as_recorded(out.score)
            results.p_value[places] = as_recorded(out.p_value)
            evidence += found
        return results, evidence

    def counters(self) -> Counter[str]:
        """Counters of all partitions together."""
        total: Counter[str] = Counter()
        for fold in self.folds:
            total.update(fold.counters())
        return total

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown()

    def _fold_partition(self, partition: int, columns: Columns, rows: I64) -> tuple[RowOutputs, list[TimedEvidence]]:
        first = self._ends[partition]
        self._ends[partition] += len(rows)
        taken = take_rows(columns, rows, first)
        fold = self.folds[partition]
        out = fold.fold_rows(taken)
        return out, [_timed(partition, record) for record in fold.writer.hand_out_evidence()]


def as_recorded(values: F64) -> F64:
    """Numbers rounded as score records write them: half away from zero, six decimals, cut at ±1e9."""
    size = np.floor(np.minimum(np.abs(values), 1e9) * DIGITS + 0.5) / DIGITS
    return np.where(values < 0, -size, size)


def _timed(partition: int, record: OutRecord) -> TimedEvidence:
    clock = msgspec.json.decode(record.value, type=_Dated).event_time  # the row that caused it may be late, or bear no time
    return TimedEvidence(clock, partition, record.offset, record.n, record.value)
