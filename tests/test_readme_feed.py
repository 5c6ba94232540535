"""The README's first own feed, typed as it stands there."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.settings import KAFKA_VARIABLE, REDIS_VARIABLE
from tests.doc_pages import ROOT, section

pytestmark = pytest.mark.integration

TITLE = "Your own feed in five minutes"
ROWS = 21_600
FOLD_SECONDS = 150.0  # on a machine where the kernels are not compiled yet


class Reader:
    """Someone who types the README's lines into a shell, in an empty directory."""

    def __init__(self, directory: Path) -> None:
        text = section(ROOT / "README.md", TITLE)
        self.lines = [line for part in text.split("```sh\n")[1:] for line in part.split("```")[0].splitlines()]
        self.outputs = [part.split("```")[0] for part in text.split("```text\n")[1:]]
        self.directory = directory
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        servers = (KAFKA_VARIABLE, REDIS_VARIABLE)
        self.environment = {k: v for k, v in os.environ.items() if k not in servers} | {"PATH": path, "COLUMNS": "200"}

    def line(self, beginning: str) -> str:
        """The one line of the section that begins so."""
        (found,) = [line for line in self.lines if line.startswith(beginning)]
        return found

    def types(self, line: str) -> str:
        """Standard output of a line, which must succeed."""
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return done.stdout

    def wait_until_folded(self) -> None:
        """Some seconds later."""
        deadline = time.monotonic() + FOLD_SECONDS
        while json.loads(self.types(self.line("streamgauge status") + " --json"))["feeds"]["pumps"]["totals"]["folded"] < ROWS:
            assert time.monotonic() < deadline


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """The reader, with `up` in another terminal from which the export lines were pasted."""
    reader = Reader(tmp_path)
    for line in reader.lines[: reader.lines.index(reader.line("streamgauge up"))]:
        reader.types(line)
    command = shlex.split(reader.line("streamgauge up"))
    with subprocess.Popen(command, cwd=tmp_path, env=reader.environment, stdout=subprocess.PIPE, text=True) as terminal:
        assert terminal.stdout
        try:
            while len(reader.environment.keys() & {KAFKA_VARIABLE, REDIS_VARIABLE}) < 2:
                line = terminal.stdout.readline()
                assert line, "up ended"
                if line.startswith("export "):
                    name, _, value = shlex.split(line)[1].partition("=")
                    reader.environment[name] = value
            yield reader
        finally:
            terminal.send_signal(signal.SIGINT)
            assert terminal.wait(60) == 0


def test_the_first_own_feed_works_as_written(reader: Reader) -> None:
    """Typed line by line, the section ends with what it says: all rows folded, balanced, alerts on pump-2, same."""
    assert f"{ROWS:,} events" in reader.types(reader.line("streamgauge replay"))
    reader.wait_until_folded()
    assert "balanced" in reader.types(reader.line("streamgauge status"))
    alerts = reader.types(reader.line("streamgauge alerts")).splitlines()
    assert alerts[0].split()[1] == "opened"
    assert "2026-01-03T12:00" < alerts[0] < "2026-01-03T13:00"  # the order of evidence of several partitions may differ from run to run
    assert all("pump-2: temperature" in line for line in alerts + reader.outputs[0].splitlines())
    assert "stale" in reader.types(reader.line("streamgauge features"))
    assert reader.types(reader.line("streamgauge verify")).splitlines()[-1] == "same"
    told = [line for line in reader.lines if line.startswith("streamgauge")]
    assert len(told) == 8, "a line of the section is not typed by this test"
