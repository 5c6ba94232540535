"""The processes under the storm, with a supervisor that starts again what ended by itself."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.settings import Servers
from streamgauge.local_stack import Child, free_port

ROOT = Path(__file__).parents[2]
GRACE_SECONDS = 30.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process:
    """One command of streamgauge under the launcher."""

    def __init__(self, name: str, arguments: Sequence[str], orders: dict[str, object], servers: Servers, directory: Path) -> None:
        self.name, self.arguments, self.orders = name, arguments, orders
        self.web_port = int(arguments[arguments.index("--web-port") + 1]) if "--web-port" in arguments else 0
        command = [sys.executable, "-m", "tests.storm.worker_process", json.dumps(orders), *arguments]
        environment = servers.environment | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self.child = Child(name, command, directory, GRACE_SECONDS, environment, directory)

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self.child.poll() is not None

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        pid = self._pid()
        return pid is not None and Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "T"

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        return int(Path(f"/proc/{self._pid()}/statm").read_text().split()[1]) * PAGE_BYTES

    def kill(self) -> None:
        """SIGKILL, to the guard: the command dies with it."""
        self.child.kill()

    def signal(self, number: signal.Signals) -> None:
        """A signal to the command itself."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, number)

    def _pid(self) -> int | None:
        guard = self.child.pid
        try:
            pids = Path(f"/proc/{guard}/task/{guard}/children").read_text().split()
        except OSError:
            return None
        return int(pids[0]) if pids else None


class Fleet:
    """Workers, an archiver, a trainer.

    `plant` and `newer` are those of processes that are started from now on, also by the supervisor.

    Args:
        without: mechanisms that are turned off in every process.
    """

    def __init__(self, plant: Path, servers: Servers, directory: Path, history: Path | None, without: Sequence[str] = ()) -> None:
        self.plant, self._servers, self._directory, self._history = plant, servers, directory, history
        self.newer: list[str] = []  # folds whose version is one higher than this one's
        self._without = list(without)
        self._count = 0
        self.workers: list[Process] = []  # that should live
        self.others: dict[str, Process] = {}
        self.ended: list[str] = []  # what ended by itself, and its last words

    def start_worker(self, **orders: object) -> Process:
        """A worker; with orders it is not among those that should live."""
        arguments = ["worker", str(self.plant), "--web-port", str(free_port())]
        arguments += ["--history", str(self._history)] if self._history else []
        process = self._start("worker", arguments, orders)
        if not orders:
            self.workers.append(process)
        return process

    def start_migration(self, new: Path) -> Process:
        """`streamgauge migrate` from the present definition to another; it ends by itself."""
        return self._start("migrate", ["migrate", str(self.plant), str(new), "--history", str(self._history)], {})

    def start_other(self, command: str) -> Process:
        """The archiver or the trainer."""
        rest = ["--to", str(self._history)] if command == "archive" else []
        self.others[command] = self._start(command, [command, str(self.plant), *rest], {})
        return self.others[command]

    def dismiss_other(self, command: str) -> int:
        """SIGTERM to the archiver or the trainer, and waits for its end."""
        return self.others.pop(command).child.stop()

    def lose(self, worker: Process) -> None:
        """SIGKILL; the supervisor starts no other in its place."""
        self.workers.remove(worker)
        worker.kill()

    def dismiss(self, worker: Process) -> int:
        """SIGTERM, and waits for its end."""
        self.workers.remove(worker)
        return worker.child.stop()

    def tend(self) -> None:
        """Starts again what ended by itself."""
        for worker in [w for w in self.workers if w.ended]:
            self._note(worker)
            self.workers.remove(worker)
            self.start_worker()
        for command, process in list(self.others.items()):
            if process.ended:
                self._note(process)
                self.start_other(command)

    def stop(self) -> list[int]:
        """Asks all to end, and waits."""
        every = [*self.workers, *self.others.values()]
        for process in every:
            process.child.ask_to_stop()
        self.workers, self.others = [], {}
        return [process.child.stop() for process in every]

    def _note(self, process: Process) -> None:
        self.ended.append(f"{process.name} ended with {process.child.poll()}: {process.child.log_tail()[-1500:]}")

    def _start(self, kind: str, arguments: Sequence[str], orders: dict[str, object]) -> Process:
        self._count += 1
        given = orders | {name: what for name, what in (("without", self._without), ("newer", self.newer)) if what}
        return Process(f"{kind}-{self._count}", arguments, given, self._servers, self._directory)
