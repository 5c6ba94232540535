"""A trainer that is killed while MLflow makes its tables is followed by one that works."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream_processors.trainer.mlflow_tracking import URI_VARIABLE, MlflowTracking

BEGIN = """
import sys
from pathlib import Path
from stream_processors.trainer.mlflow_tracking import MlflowTracking
MlflowTracking([], Path(sys.argv[1]))
"""
BEGUN_SECONDS = 240.0  # MLflow takes some ten to load, on a busy machine many times that


def has_tables(database: Path) -> bool:
    """Whether the last tables are there that a second beginning would want to make again."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        return bool(opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'assessments'").fetchall())
    return False


def test_a_database_that_was_begun_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed as soon as its file has tables: what was begun stands beside, and nobody opens it."""
    monkeypatch.delenv(URI_VARIABLE, raising=False)
    runs = tmp_path / "mlruns"
    with subprocess.Popen([sys.executable, "-c", BEGIN, str(runs)], stderr=subprocess.DEVNULL) as trainer:
        deadline = time.monotonic() + BEGUN_SECONDS
        while not (begun := any(map(has_tables, runs.glob("mlflow.db*")))) and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(trainer.pid, signal.SIGKILL)
    assert begun, "it was killed before it had begun"
    tracking = MlflowTracking([], runs)
    assert tracking._client.search_experiments(max_results=1)
