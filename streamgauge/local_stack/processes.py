"""The project's own commands as child processes, pointed at given servers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.settings import Servers
from streamgauge.local_stack.child import Child

# A worker flushes, checkpoints and leaves its group at SIGTERM; killed earlier, its successor waits for the session timeout.
COMMAND_GRACE = 20.0


def command_child(arguments: Sequence[str], servers: Servers, directory: Path, name: str | None = None) -> Child:
    """Start ``streamgauge ARGUMENTS…`` in the current directory, its output in ``directory/<name>.log``.

    Args:
        arguments: command and its arguments, such as ``["worker", "plant.py"]``.
        servers: where Kafka and Redis are; handed over by the environment, so that no password shows in a process list.
        directory: where the log is written.
        name: the command, where left out.
    """
    return Child(
        name or arguments[0],
        [sys.executable, "-m", "streamgauge", *arguments],
        directory,
        COMMAND_GRACE,
        environment=servers.environment,
        cwd=Path.cwd(),
    )
