"""A trainer that is killed while MLflow makes its tables is followed by one that works."""

from __future__ import annotations

import os
import signal
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


def test_a_database_that_was_begun_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed as soon as its file has its first tables: what was begun stands beside, and nobody opens it."""
    monkeypatch.delenv(URI_VARIABLE, raising=False)
    runs = tmp_path / "mlruns"
    with subprocess.Popen([sys.executable, "-c", BEGIN, str(runs)], stderr=subprocess.DEVNULL) as trainer:
        deadline = time.monotonic() + BEGUN_SECONDS
        while not any(path.stat().st_size for path in runs.glob("mlflow.db*")) and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(trainer.pid, signal.SIGKILL)
    assert [path for path in runs.glob("mlflow.db*") if path.stat().st_size], "it was killed before it had begun"
    tracking = MlflowTracking([], runs)
    assert tracking._client.search_experiments(max_results=1)
