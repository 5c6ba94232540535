"""scores.csv: one line an input row, in input order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from contracts.columns import F64, U8
from contracts.outcomes import Outcome
from stream_processors.backtest.partition_folds import RowResults
from streamgauge.backtest.history import History

ROWS_AT_ONCE = 262_144  # texts of so many rows are made at a time


def write_scores_file(path: Path, history: History, rows: RowResults, alarm: U8) -> None:
    """row (from 1, over all files), entity, event_time (ISO 8601, UTC), outcome, score, p_value, alarm.

    Score and p-value are the texts of the score records: six decimals at the most; empty where there is none. A row of
    which entity or time could not be read has none.
    """
    names = pa.array([name.decode() for name in history.names], pa.string())
    outcomes = pa.array([outcome.name.lower() for outcome in Outcome])
    schema = pa.schema(
        [("row", pa.int64()), ("entity", pa.string()), ("event_time", pa.string()), ("outcome", pa.string()),
         ("score", pa.float64()), ("p_value", pa.float64()), ("alarm", pa.uint8())]
    )  # fmt: skip
    # Arrow quotes all texts or none, and none is what people expect to see where it can be had
    quoting = "needed" if any(sign in name for name in history.names for sign in b',"\r\n') else "none"
    options = pyarrow.csv.WriteOptions(quoting_style=quoting, include_header=False)
    with path.open("wb") as file:
        file.write((",".join(schema.names) + "\n").encode())
        with pyarrow.csv.CSVWriter(file, schema, write_options=options) as writer:
            for first in range(0, len(alarm), ROWS_AT_ONCE):
                part = slice(first, min(first + ROWS_AT_ONCE, len(alarm)))
                code = history.entity[part]
                writer.write_table(
                    pa.Table.from_arrays(
                        [
                            pa.array(np.arange(part.start + 1, part.stop + 1)),
                            names.take(pa.array(code, mask=code < 0)),
                            _iso(history, part),
                            outcomes.take(pa.array(rows.outcome[part])),
                            _numbers(rows.score[part]),
                            _numbers(rows.p_value[part]),
                            pa.array(alarm[part]),
                        ],
                        schema=schema,
                    )
                )


def _iso(history: History, part: slice) -> pa.Array:
    times = history.columns.event_time[part]
    texts = np.datetime_as_string(times.astype("M8[us]"), unit="us", timezone="UTC")
    return pa.array(texts, pa.string(), mask=history.columns.reason[part] != 0)


def _numbers(values: F64) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))
