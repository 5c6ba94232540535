"""Runs one command and ends it when the process that asked for it is gone, even if that was killed -9.

Run as a script of its own, without the project or site-packages: ``python -I -S guard.py ALIVE_FD GRACE COMMAND…``.
The asker holds the other end of the pipe ALIVE_FD; the kernel closes it however the asker ends. A death signal alone
would not do: it is tied to the thread that started the child, and fires when that thread ends in a living process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Guard the command; returns its exit code, 128 + signal where a signal ended it, as a shell does."""
    alive, grace, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    os.set_inheritable(alive, False)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _only_wake)
    child = _start(command)
    while True:
        ready, _, _ = select.select([alive, wake], [], [])
        asked_to_end = alive in ready
        if wake in ready:
            asked_to_end |= any(number != signal.SIGCHLD for number in os.read(wake, 4096))
        code = _exit_code(child)
        if code is None and asked_to_end:
            code = _end(child, grace)
        if code is not None:
            return code


def _start(command: list[str]) -> int:
    """Start the command in a process group of its own; it also dies with this single-threaded process."""
    guard = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guard:  # it was killed before prctl took effect
                os._exit(1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.execvp(command[0], command)  # noqa: S606  # no shell is wanted
    except BaseException as error:
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    os._exit(127)


def _end(child: int, grace: float) -> int:
    """SIGTERM, then SIGKILL to the whole group after `grace` seconds; returns the exit code."""
    _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (code := _exit_code(child)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    _signal_group(child, signal.SIGKILL)
    if code is None:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 128 - code if code < 0 else code


def _exit_code(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    if not pid:
        return None
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _only_wake(number: int, frame: object) -> None:
    """A handler must exist for the wake-up pipe to be written."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
