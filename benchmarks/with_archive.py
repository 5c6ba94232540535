"""A worker with its archiver beside it, as one client of a benchmark: `python -m benchmarks.with_archive PLANT PORT HISTORY`."""

from __future__ import annotations

import signal
import subprocess
import sys


def main() -> None:
    """Starts both and ends both at SIGTERM."""
    plant, port, history = sys.argv[1:]
    commands = (["worker", plant, "--web-port", port], ["archive", plant, "--to", history])
    both = [subprocess.Popen([sys.executable, "-m", "streamgauge", *command]) for command in commands]
    signal.signal(signal.SIGTERM, lambda *_: [process.terminate() for process in both])
    sys.exit(max(abs(process.wait()) for process in both))


if __name__ == "__main__":
    main()
