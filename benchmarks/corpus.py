"""A corpus of files through the backtest: one definition for all, inferred and with every default, and one run a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from contracts.columns import F64, I64
from contracts.definition import Feed
from contracts.plant import load_plant
from contracts.records import Alert
from producers.files import Source
from producers.inference import guess
from producers.plant_text import plant_text
from streamgauge.backtest.history import read_history
from streamgauge.backtest.run import run_backtest


class FileRun(NamedTuple):
    """What a run over one file gave; n rows in the file's order."""

    name: str
    event_time: I64  # (n,) µs
    openings: I64  # row numbers at which incidents opened
    alarm: NDArray[np.bool_]  # (n,) an incident is open
    score: F64  # (n,) NaN none
    p_value: F64  # (n,) NaN none
    alerts: list[Alert]


def infer_feed(sources: Sequence[Source], name: str) -> Feed:
    """The definition that `streamgauge init` writes for the corpus."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "plant.py"
        path.write_text(plant_text(guess(sources, from_path=True), name), encoding="utf-8")
        return load_plant(path)[0]


def run_files(feed: Feed, sources: Sequence[Source], bar: Progress) -> Iterator[FileRun]:
    """Each file as a feed of its own, from an empty state."""
    for source in bar.track(sources, description=feed.name):
        history = read_history(feed, [source], None, None, True, lambda rows: None)
        tested = run_backtest(feed, history, 1, lambda rows: None)
        times = history.columns.event_time
        opened = np.array([alert.event_time for alert in tested.alerts if alert.status == "opened"], np.int64)
        rows = history.order[np.searchsorted(times[history.order], opened, "right") - 1]
        yield FileRun(source.name, times, rows, tested.alarm == 1, tested.rows.score, tested.rows.p_value, tested.alerts)
