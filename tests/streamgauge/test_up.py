"""`streamgauge up` as a process: its servers and a plant's workers, and that they end with it."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import ServerUnavailable
from contracts.settings import KAFKA_VARIABLE, REDIS_VARIABLE, Servers
from stream_processors.waiting import wait_for_kafka, wait_for_redis

pytestmark = pytest.mark.integration
UP = [sys.executable, "-m", "streamgauge", "up"]
CLEAN = {name: value for name, value in os.environ.items() if name not in (KAFKA_VARIABLE, REDIS_VARIABLE)}


@pytest.fixture
def running() -> Iterator["subprocess.Popen[str]"]:
    """``streamgauge up`` in a process of its own."""
    with subprocess.Popen(UP, stdout=subprocess.PIPE, text=True, env=CLEAN) as process:
        yield process
        process.kill()


def exported(process: "subprocess.Popen[str]") -> dict[str, str]:
    """What the two export lines say."""
    out: dict[str, str] = {}
    for line in process.stdout:
        if line.startswith("export "):
            name, _, value = shlex.split(line)[1].partition("=")
            out[name] = value
        if len(out) == 2:
            break
    return out


def line_with(process: "subprocess.Popen[str]", text: str) -> str:
    """The first line of output that holds a text."""
    return next(line for line in process.stdout if text in line)


def eventually_answers(url: str) -> bool:
    """Ask a page every 0.2 s for a minute."""
    never = threading.Event()
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
        never.wait(0.2)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_prints_where_its_servers_are_and_ends_them(running: "subprocess.Popen[str]", number: int) -> None:
    """The printed lines lead to servers that answer; Ctrl-C and SIGTERM end them, with exit code 0."""
    lines = exported(running)
    servers = Servers.resolve(lines[KAFKA_VARIABLE], lines[REDIS_VARIABLE])
    wait_for_kafka(servers.kafka, 5.0)
    wait_for_redis(servers.redis, 5.0)
    running.send_signal(number)
    assert (running.wait(10), running.stdout.read()) == (0, "ended\n")
    with pytest.raises(ServerUnavailable):
        wait_for_kafka(servers.kafka, 0.1)
    with pytest.raises(ServerUnavailable):
        wait_for_redis(servers.redis, 0.1)


def descendants(pid: int) -> list[int]:
    children = [int(found) for task in Path(f"/proc/{pid}/task").iterdir() for found in (task / "children").read_text().split()]
    return children + [found for child in children for found in descendants(child)]


def test_up_with_a_plant_runs_its_processes_and_ends_them(tmp_path: Path) -> None:
    """With a definition the worker comes up on the page that is named, and one SIGTERM ends everything."""
    plant = Path(__file__).parent.parent.parent / "deploy" / "plant" / "plant.py"
    with subprocess.Popen([*UP, str(plant)], stdout=subprocess.PIPE, text=True, env=CLEAN, cwd=tmp_path) as process:
        try:
            page = re.search(r"http://127\.0\.0\.1:\d+", line_with(process, " run for ")).group()
            assert eventually_answers(f"{page}/ready/")
            run = descendants(process.pid)
            process.terminate()
            assert (process.wait(60), process.stdout.read()) == (0, "ended\n")
            assert len(run) > 4 and not [pid for pid in run if Path(f"/proc/{pid}").exists()]
        finally:
            process.kill()


def test_a_worker_that_dies_leaves_its_log(tmp_path: Path) -> None:
    """A worker that cannot load its plant ends `up` with exit code 1, the log's path and its last line."""
    plant = tmp_path / "plant.py"
    text = """
import sys
from streamgauge import Feed, Number

if "worker" in sys.argv:
    raise SystemError("the worker's last line")
pumps = Feed("pumps", entity="pump", time="ts", fields=[Number("flow")])
"""
    plant.write_text(text)
    done = subprocess.run([*UP, str(plant)], capture_output=True, text=True, env=CLEAN, cwd=tmp_path, timeout=120)
    log = Path(re.search(r"worker ended with exit code 1; the end of its log (\S+):", done.stderr)[1])
    assert done.returncode == 1
    assert "the worker's last line" in done.stderr
    assert "the worker's last line" in log.read_text()
    shutil.rmtree(log.parent)
