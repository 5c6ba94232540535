"""A backtest from files to files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from contracts.columns import I64, U8
from contracts.definition import Feed
from contracts.records import Alert
from stream_processors.backtest.alarm_rows import alarm_rows, open_times
from stream_processors.backtest.backtest import Backtest
from stream_processors.backtest.partition_folds import RowResults, place_entities
from streamgauge.backtest.history import History
from streamgauge.backtest.report import report
from streamgauge.backtest.scores_file import write_scores_file

ROWS_AT_ONCE = 131_072  # vectors of so many rows take some tens of megabytes


class Tested(NamedTuple):
    """What a backtest found; rows in the order of the files."""

    rows: RowResults
    alarm: U8  # (n,) 1 while an incident on the row's entity or on the whole feed is open
    alerts: list[Alert]
    report: dict[str, Any]


def run_backtest(feed: Feed, history: History, partitions: int | None, say: Callable[[int], None], placed: I64 | None = None) -> Tested:
    """Folds the history in its order; `say` is told the number of rows of each slice.

    `placed`: the partition of each row where it is recorded; else entities go where Kafka's clients would place their keys.
    """
    n = history.columns.n
    results = RowResults(np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, np.nan), np.full(n, np.nan))
    began = time.perf_counter()
    with Backtest(feed, partitions) as backtest:
        recorded = placed is not None
        if placed is None:  # a row that names no entity has no key; it counts in the first partition
            placed = np.append(place_entities(history.names, backtest.partitions), 0)[history.entity]
        for first in range(0, n, ROWS_AT_ONCE):
            rows = history.order[first : first + ROWS_AT_ONCE]
            found = backtest.fold(history.columns, rows, placed[rows])
            for whole, part in zip(results, found, strict=True):
                whole[rows] = part
            say(len(rows))
        backtest.finish()
    seconds = time.perf_counter() - began
    counts = report(backtest, history, results, seconds, recorded)
    return Tested(results, _alarms(history, backtest.alerts), backtest.alerts, counts)


def write_outputs(out: Path, history: History, tested: Tested) -> None:
    """scores.csv, alerts.jsonl and report.json."""
    write_scores_file(out / "scores.csv", history, tested.rows, tested.alarm)
    (out / "alerts.jsonl").write_bytes(b"".join(msgspec.json.encode(alert) + b"\n" for alert in tested.alerts))
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(tested.report), indent=2) + b"\n")


def _alarms(history: History, alerts: list[Alert]) -> U8:
    codes = {name.decode(): code for code, name in enumerate(history.names)}
    rows = history.order
    out = np.zeros(len(rows), np.uint8)
    # rows that name no time stand where their file has them, so the running maximum is in order
    times = np.maximum.accumulate(history.columns.event_time[rows])
    out[rows] = alarm_rows(open_times(alerts), times, history.entity[rows], codes)
    return out
