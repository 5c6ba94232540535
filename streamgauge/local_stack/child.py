"""A child process that cannot outlive this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamgauge.local_stack import guard

TAIL_BYTES = 4_000  # of a log, shown when a server fails to start; more would bury the message


class Child:
    """A command under a guard (guard.py), with its output in a log file.

    A terminal's Ctrl-C does not reach it: whoever started it decides in what order things end.

    Args:
        name: for messages and the log's file name.
        command: program and arguments.
        directory: where the log ``<name>.log`` is written; the command runs there unless `cwd` says otherwise.
        grace: seconds between SIGTERM and SIGKILL when it is stopped.
        environment: variables on top of this process's own.
        cwd: working directory.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        grace: float,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log_path = directory / f"{name}.log"
        self.grace = grace
        read_end, self._alive = os.pipe()
        try:
            with self.log_path.open("ab") as log:
                self._guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard.__file__, str(read_end), str(grace), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[read_end],
                    env=os.environ | dict(environment or {}),
                    cwd=cwd or directory,
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._alive)
            raise
        finally:
            os.close(read_end)

    @property
    def pid(self) -> int:
        """Process id of the guard."""
        return self._guard.pid

    def poll(self) -> int | None:
        """Exit code of the command, 128 + signal where a signal ended it; None while it runs."""
        return self._guard.poll()

    def ask_to_stop(self) -> None:
        """Let the guard send SIGTERM, without waiting; harmless when repeated."""
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1

    def stop(self) -> int:
        """End the command and wait for it; returns its exit code."""
        self.ask_to_stop()
        try:
            return self._guard.wait(self.grace + 5.0)  # the guard itself needs a moment after SIGKILL
        except subprocess.TimeoutExpired:
            self._guard.kill()  # the command dies with its guard
            return self._guard.wait()

    def kill(self) -> None:
        """End the command at once, as a crash would: SIGKILL to the guard, with which it dies."""
        self._guard.kill()
        self.stop()

    def log_tail(self) -> str:
        """The last lines of the log."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()

    def last_words(self) -> str:
        """For a message: how a command that ended by itself did so, where its log is, and the log's end."""
        return f"{self.name} ended with exit code {self.poll()}; the end of its log {self.log_path}:\n{self.log_tail()}"
