"""Rows of a history, made by hand or from a seed, and written as the archiver writes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from contracts.definition import Feed, Number
from feature_store.history_files import CUT, HistoryFiles, cut_of
from feature_store.history_rows import HistoryRows, frame_of, history_table, parquet_bytes

START = 1_767_225_600_000_000  # 2026-01-01


def make_feed(name: str = "pumps") -> Feed:
    return Feed(name, entity="pump", time="ts", fields=[Number("x", features=["last", "since"])], windows=["1m"], time_features=False)


def rows_at(entity: Sequence[str], event_time: Sequence[int], as_of: Sequence[int] | None = None, first: int = 0) -> HistoryRows:
    """n rows whose feature `x_last` is the row's own offset."""
    n = len(entity)
    offset = np.arange(first, first + n, dtype=np.int64)
    times = np.asarray(event_time, np.int64)
    vector = np.stack([offset.astype(float), np.full(n, np.nan)], axis=1)
    return HistoryRows(
        list(entity), times, times if as_of is None else np.asarray(as_of, np.int64), offset, np.linspace(0, 1, n), np.full(n, np.nan),
        ["m/1"] * n, [""] * n, np.ones(n, bool), vector,
    )  # fmt: skip


def frame_at(feed: Feed, rows: HistoryRows, generation: int = 1, partition: int = 0) -> pd.DataFrame:
    return frame_of(history_table(feed, rows, generation, partition, 0))


def write_rows(url: str, feed: Feed, rows: HistoryRows, generation: int = 1, partition: int = 0, revision: int = 0) -> None:
    """Files of all cuts that the rows touch, as if the log had gone on behind them."""
    files = HistoryFiles(url)
    for cut in range(cut_of(int(rows.offset[0])), int(rows.offset[-1]) + 1, CUT):
        chosen = np.flatnonzero((rows.offset >= cut) & (rows.offset < cut + CUT))
        part = HistoryRows(*(np.asarray(column)[chosen] for column in rows))
        table = history_table(feed, part, generation, partition, revision)
        files.write(files.scores_path(feed.name, revision, generation, partition, cut), parquet_bytes(table))


def mark_complete(url: str, feed: Feed, revision: int, generation: int) -> None:
    files = HistoryFiles(url)
    files.write(files.mark_path(feed.name, revision, generation), b"{}")
