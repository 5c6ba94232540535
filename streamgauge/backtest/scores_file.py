"""scores.csv: one line an input row, in input order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contracts.columns import U8
from stream_processors.backtest.partition_folds import RowResults
from stream_processors.backtest.score_lines import HEADER, LineWriter
from streamgauge.backtest.history import History

ROWS_AT_ONCE = 16_384  # texts of so many rows are made at a time: with more they leave the processor's cache before they are written


def write_scores_file(path: Path, history: History, rows: RowResults, alarm: U8) -> None:
    """row (from 1, over all files), entity, event_time (ISO 8601, UTC), outcome, score, p_value, alarm.

    Score and p-value are the numbers of the score records: six decimals at the most; empty where there is none. A row of
    which entity or time could not be read has none.
    """
    writer = LineWriter(history.names)
    times, has_time = history.columns.event_time, (history.columns.reason == 0).view(np.uint8)
    with path.open("wb") as file:
        file.write(f"{HEADER}\n".encode())
        for first in range(0, len(alarm), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            lines = writer.lines(
                first + 1,
                history.entity[part],
                times[part],
                has_time[part],
                rows.outcome[part],
                rows.score[part],
                rows.p_value[part],
                alarm[part],
            )
            file.write(lines.data)
