"""A pool's process and the end of the one that it works for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PARENT = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
from stream_processors.end_with_parent import end_with_parent

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    input()
"""


def test_a_process_that_waits_for_a_job_ends_with_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no chance to tell it; their standard output, which they share, comes to its end."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline().strip().isdigit()
    parent.kill()
    parent.communicate(timeout=30.0)  # comes to the end of what both write to
