"""A disk that is full while the archiver or a full copy writes: nothing half written stands, and it goes on when there is room."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.settings import Servers
from feature_store.history_files import HistoryFiles
from streamgauge.local_stack.processes import command_child
from tests.stream_processors.archive.test_archiver import archive, contents
from tests.stream_processors.scores_log import begin_generation, events, fold_scores, make_feed, publish

pytestmark = pytest.mark.integration
ROOM = 30_000  # bytes that a file may have; a file of the test has some hundred thousand
PLANT = """
from tests.stream_processors.scores_log import make_feed

feed = make_feed("disk-full")
"""
WRITES_TWO_COPIES = """
import resource, sys
import numpy as np
from contracts.errors import StateError
from contracts.records import Switch
from feature_store.checkpoint import Manifest
from feature_store.full_copies import FullCopies

begun = Switch(kind="generation", log="a.events", partition=0, generation=1, from_offset=0, topic_id="t", definition="d", fold_version=1)
copies = FullCopies(sys.argv[1], "a", begun)

def manifest(offset):
    return Manifest(generation=1, offset=offset, definition="d", fold_version=1, epoch=1, counters={"start_offset": 0})

noise = np.random.default_rng(1).bytes(200_000)
copies.write(manifest(100), {"state": noise})
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
for offset in (100, 200):
    try:
        copies.write(manifest(offset), {"state": noise[::-1]})
    except OSError as error:
        print("refused", error.errno)
assert copies.offsets() == [100]
assert copies.newest(0).chunks == {"state": noise}
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
copies.write(manifest(200), {"state": noise[::-1]})
assert copies.newest(0).chunks == {"state": noise[::-1]}
print("whole")
"""


def eventually(done: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_an_archiver_waits_for_room(stack: Servers, tmp_path: Path) -> None:
    """It says what is wrong, leaves no part of a file, and then writes the bytes that it would have written."""
    feed = make_feed("disk-full")
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT)
    begin_generation(feed, stack.kafka, 1, 0)
    child = command_child(["archive", str(plant), "--to", str(tmp_path / "full")], stack, tmp_path)
    try:
        eventually(lambda: "archiving disk-full (scores)" in child.log_path.read_text(), child.log_path)
        (pid,) = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        resource.prlimit(int(pid), resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))
        publish(feed, stack.kafka, fold_scores(feed, events(25_000)))
        eventually(lambda: "waiting for the history at" in child.log_path.read_text(), child.log_path)
        assert "File too large" in child.log_path.read_text()
        time.sleep(1.0)  # some tries more
        assert [path for path in (tmp_path / "full").rglob("*") if path.is_file() and path.suffix in (".parquet", ".part")] == []
        assert child.poll() is None
        resource.prlimit(int(pid), resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        eventually(lambda: len(HistoryFiles(str(tmp_path / "full")).scores(feed.name)) == 2, child.log_path)
        eventually(lambda: "is back after" in child.log_path.read_text(), child.log_path)
        assert child.stop() == 0
        assert "Traceback" not in child.log_path.read_text()
    finally:
        child.stop()
    archive(feed, stack.kafka, tmp_path / "roomy")
    assert contents(tmp_path / "full") == contents(tmp_path / "roomy")


def test_a_copy_that_found_no_room_leaves_the_one_before(tmp_path: Path) -> None:
    """Neither a new copy nor one in the place of another is there half; with room it is written."""
    found = subprocess.run(
        [sys.executable, "-c", WRITES_TWO_COPIES, str(tmp_path)], capture_output=True, text=True, timeout=60, cwd=Path.cwd()
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["refused", "27", "refused", "27", "whole"]
    assert list(tmp_path.rglob("*.part")) == []
