"""A short demo, as people run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_nothing_differs_after_a_worker_was_killed_and_the_store_emptied(tmp_path: Path) -> None:
    """Feeds and labels balance, what counters judge is as planned, the logs folded again are the same, and values came back."""
    path = tmp_path / "demo.json"
    command = [sys.executable, "-m", "streamgauge", "demo", "--seconds", "20", "--seed", "3", "--report", str(path), "--no-browser"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(path.read_text())
    assert report["verify"] == "same"
    assert all(feed["balanced"] for feed in report["feeds"].values())
    assert report["learning"]["labels"]["balanced"]
    assert all(item["found"] for item in report["planted"] if item["kind"] in ("duplicates", "disorder", "malformed", "clock_ahead"))
    faults = report["faults"]
    assert (faults["kills"], faults["flushes"]) == (1, 1)
    assert 0.0 < faults["recovery_s"] < 200.0
