"""Any log as it stands (events, labels, switches) into files, cut at fixed multiples of its own offsets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from feature_store.history_files import CUT, HistoryFiles, cut_of
from feature_store.history_rows import TIME, parquet_bytes

_log = logging.getLogger(__name__)

SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("kafka_time", TIME),  # null where the record has none
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
    ]
)


class LogRecord(NamedTuple):
    """One record as it stands."""

    offset: int
    kafka_time: int  # µs, -1 none
    key: bytes | None
    value: bytes | None


class LogCuts:
    """Takes the records of one partition in order and writes each file when its cut has been passed.

    Args:
        cut: first offset that is in no file.
        first: the first offset that Kafka still has; the cut in which it lies is left out unless it begins there.
    """

    def __init__(self, feed: str, log: str, partition: int, files: HistoryFiles, cut: int, first: int) -> None:
        self._feed, self._log, self._partition = feed, log, partition
        self._files = files
        self._rows: list[LogRecord] = []
        self.cut = cut
        self.written = 0
        if first > cut:
            self.cut = cut_of(first + CUT - 1)
            _log.warning("%s.%s/%d: Kafka begins at offset %d; the archive goes on at offset %d", feed, log, partition, first, self.cut)

    def take(self, records: Sequence[LogRecord]) -> None:
        """Takes the next records."""
        for record in records:
            if record.offset < self.cut:
                continue
            while record.offset >= self.cut + CUT:
                self._write()
            self._rows.append(record)

    def _write(self) -> None:
        columns = [
            pa.array([r.offset for r in self._rows], pa.int64()),
            pa.array([None if r.kafka_time < 0 else r.kafka_time for r in self._rows], pa.int64()).cast(TIME),
            pa.array([r.key for r in self._rows], pa.binary()),
            pa.array([r.value for r in self._rows], pa.binary()),
        ]
        path = self._files.log_path(self._feed, self._log, self._partition, self.cut)
        self._files.write(path, parquet_bytes(pa.Table.from_arrays(columns, schema=SCHEMA)))
        self._rows = []
        self.written += 1
        self.cut += CUT
