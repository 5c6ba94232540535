"""A whole feed over rows in memory: stream folds, their evidence in one fixed order, and the judge."""

from __future__ import annotations

from typing import Self

import msgspec
import numpy as np

from contracts.columns import I64, Columns
from contracts.definition import Feed
from contracts.outcomes import Outcome
from contracts.records import Alert
from stream_processors.backtest.partition_folds import GENERATION, PartitionFolds, RowResults, TimedEvidence
from stream_processors.decoding.batches import raw_batch
from stream_processors.judge_fold import JudgeFold


class Backtest:
    """The folds of a worker over rows in order of event time.

    The evidence of all partitions is put into the order of event time, partition, offset and n: a live worker has it in
    the order in which it happened to be written, which is another but near one. How the rows are cut into calls changes
    nothing. Rows of files have no Kafka timestamp, so none of them is `clock_ahead`.

    Args:
        feed: the definition.
        partitions: that of the topic to compare with; the definition's when left out.
    """

    def __init__(self, feed: Feed, partitions: int | None = None) -> None:
        self.feed = feed
        self.partitions = partitions or feed.partitions
        self.folds = PartitionFolds(feed, self.partitions)
        self.alerts: list[Alert] = []
        self.retrain_requests = 0
        self._judge = JudgeFold(feed, GENERATION)
        self._waiting: list[TimedEvidence] = []  # of the newest event time, to which another partition may still add
        self._judged = 0
        self._clock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.folds.close()

    def fold(self, columns: Columns, rows: I64, partition: I64) -> RowResults:
        """Folds the next n rows, not older than those before: `rows` (n,) of the columns; `partition` (n,) says whose each row is."""
        results, evidence = self.folds.fold(columns, rows, partition)
        good = columns.event_time[rows][results.outcome != Outcome.DEAD_LETTERED]  # one stamped ahead would judge what is not complete
        self._clock = max(self._clock, int(np.max(good, initial=-1)))
        self._waiting += evidence
        self._judge_before(self._clock)
        return results

    def finish(self) -> None:
        """Judges what still waits."""
        self._judge_before(None)

    def _judge_before(self, clock: int | None) -> None:
        due = sorted(e for e in self._waiting if clock is None or e.event_time < clock)
        if not due:
            return
        self._waiting = [e for e in self._waiting if clock is not None and e.event_time >= clock]
        offsets = range(self._judged, self._judged + len(due))
        self._judged += len(due)
        records = self._judge.fold(raw_batch(offsets, [-1] * len(due), [None] * len(due), [e.value for e in due])).records
        self.alerts += [msgspec.json.decode(record.value, type=Alert) for record in records.get("alerts", [])]
        self.retrain_requests += len(records.get("retrain", []))
