"""The compiled writer of scores.csv against Arrow's."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from contracts.event_time import MAX_EVENT_TIME
from contracts.outcomes import Outcome
from stream_processors.backtest.partition_folds import as_recorded
from stream_processors.backtest.score_lines import HEADER, LineWriter

N = 20_000


@pytest.mark.parametrize("names", [[b"pump-1", "ÿ€😀".encode(), b"x" * 128], [b'a"b', b"c,d", b"plain", b"e\nf", b'""""']])
def test_lines_are_those_that_arrow_writes(names: list[bytes]) -> None:
    """Every kind of entity, time, outcome and number gives Arrow's bytes, quoted where a name needs it."""
    rng = np.random.default_rng(7)
    entity, outcome = rng.integers(-1, len(names), N), rng.integers(0, len(Outcome), N)
    time = rng.integers(0, MAX_EVENT_TIME, N, endpoint=True)
    time[:4] = 0, MAX_EVENT_TIME, 951_782_400_000_000, 4_107_542_400_000_000  # a leap day; 2100-03-01, after a day that was none
    has_time = rng.random(N) < 0.9
    score = as_recorded(rng.standard_normal(N) * 10.0 ** rng.integers(-8, 12, N))
    score[:8] = 0.0, -0.0, 1.0, 1e-6, -1e-6, 1e9, -1e9, np.nan
    p_value, alarm = as_recorded(rng.random(N)), rng.integers(0, 2, N).astype(np.uint8)
    p_value[rng.random(N) < 0.1] = np.nan

    table = pa.table(
        [
            pa.array(np.arange(5, 5 + N)),
            pa.array([name.decode() for name in names]).take(pa.array(entity, mask=entity < 0)),
            pa.array(np.datetime_as_string(time.astype("M8[us]"), unit="us", timezone="UTC"), pa.string(), mask=~has_time),
            pa.array([item.name.lower() for item in Outcome]).take(pa.array(outcome)),
            pa.array(score, mask=np.isnan(score)),
            pa.array(p_value, mask=np.isnan(p_value)),
            pa.array(alarm),
        ],
        names=HEADER.split(","),
    )
    quoting = "needed" if any(b'"' in name for name in names) else "none"
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink, pyarrow.csv.WriteOptions(include_header=False, quoting_style=quoting))
    lines = LineWriter(names).lines(5, entity, time, has_time.view(np.uint8), outcome, score, p_value, alarm)
    assert lines.tobytes() == sink.getvalue()


def test_no_line_is_longer_than_its_room() -> None:
    """Rows of the longest texts and numbers fit."""
    name = b'"' * 128
    rows = np.zeros(3, np.int64)
    longest = np.full(3, -1e9 + 1e-6)
    last = rows + Outcome.DEAD_LETTERED
    lines = LineWriter([name]).lines(2**62, rows, rows + MAX_EVENT_TIME, np.ones(3, np.uint8), last, longest, longest, np.ones(3, np.uint8))
    assert lines.tobytes().splitlines()[2].decode() == (
        f'{2**62 + 2},"{name.decode() * 2}","2255-06-05T23:47:34.740991Z","dead_lettered",-999999999.999999,-999999999.999999,1'
    )
