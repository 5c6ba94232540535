"""One storm: servers, a fleet, traffic all through, a fault a step, and after each step the question what it has cost."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from contracts.definition import Feed
from contracts.errors import StateError, StreamgaugeError
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import Child
from tests.storm import faults, oracle
from tests.storm.fleet import ROOT, Fleet
from tests.storm.generations import judge_those_before
from tests.storm.plants import PARTITIONS, write_plant
from tests.storm.servers import StormServers
from tests.storm.settings import Setting
from tests.storm.steps import Step
from tests.storm.tally import Tally
from tests.storm.traffic import Flow

FOLD_SECONDS = 120.0  # until everything sent is folded after a fault: many times what it takes on two idle cores
QUIET_SECONDS = 1.2  # checkpoints that have not moved for longer than an idle partition waits with its own
BEFORE_SECONDS = 2.0  # of traffic, so that a fault hits work under way
WORKERS = 2


class Storm:
    """Context manager around everything; `run` does steps.

    Args:
        seed: of the traffic.
        setting: what it runs on.
        say: takes a line for people.
        without: mechanisms turned off in every process.
        others: also run the archiver and the trainer.
    """

    def __init__(
        self,
        seed: int,
        setting: Setting,
        say: Callable[[str], None] = print,
        without: Sequence[str] = (),
        others: bool = True,
        name: str = "",
    ) -> None:
        self.seed, self.setting, self.say = seed, setting, say
        self.tally = Tally()
        self._without, self._others, self.name = without, others, name or f"storm-{seed}"
        self._stack = ExitStack()
        self._told = 0  # falls
        self.partitions = PARTITIONS  # of events, now
        self.gone_events = 0  # that were sent to a log which is no more
        self.generations: dict[str, int] = {}  # that places must be in, where it is not the first
        self.definitions: dict[str, Feed] = {}  # by hash, of the generations that are over
        self.keep = False  # the directory, after an error

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.directory = Path(tempfile.mkdtemp(prefix="storm-"))
            stack.callback(self._remove)
            self.servers = stack.enter_context(StormServers(self.setting))
            self.history = self.directory / "history"
            self.plant, self.feed = write_plant(self.directory / "plants" / "first" / "plant.py", self.name)
            ensure_topics(self.feed, self.servers.servers.kafka)
            self.fleet = Fleet(self.plant, self.servers.for_fleet, self.directory, self.history, self._without)
            stack.callback(self.fleet.stop)
            for _ in range(WORKERS):
                self.fleet.start_worker()
            for command in ("archive", "trainer") if self._others else ():
                self.fleet.start_other(command)
            self.flow = Flow(self.feed, self.servers.servers.kafka, self.seed)
            stack.callback(self.flow.stop)
            self.falls = self.directory / "falls.jsonl"
            self._watcher = self._watch()
            stack.callback(self._watcher.stop)
            self.flow.resume()
            self.wait("the first values", lambda: min(self.served().values()) >= 0)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.keep |= kind is not None
        self._stack.close()

    def step(self, step: Step) -> None:
        """Does a fault amid traffic, waits until all is folded, and asks what it has cost."""
        self.do(step)
        self.ask()

    def do(self, step: Step) -> None:
        """Does a fault amid traffic, which goes on."""
        began = time.monotonic()
        self.flow.resume()
        time.sleep(BEFORE_SECONDS)
        faults.FAULTS[step.kind](self, step)
        self.tally.did(step.kind)
        self.tally.ended += len(self.fleet.ended)
        at = " ".join(["", *(f"{name}:{n}" for name, n in step.seams)])
        self.say(f"{self.setting.name} seed {self.seed} step {step.number}: {step.kind}{at} ({time.monotonic() - began:.0f} s)")

    def ask(self) -> None:
        """Waits until all is folded, and judges what the steps since the last question have cost."""
        began = time.monotonic()
        self.settle()
        settled = time.monotonic()
        verdict = self.judge()
        self.say(f"  ({settled - began:.0f} + {time.monotonic() - settled:.0f} s): {verdict}")

    def settle(self) -> None:
        """Stops the traffic, and waits until every place has folded all of it and stands still."""
        self.flow.pause()
        last: list[Any] = [None, 0.0]

        def still() -> bool:
            lines, stand = asyncio.run(oracle.progress(self.feed, self.servers.servers, self.partitions))
            if lines or stand != last[0]:
                last[:] = [stand, time.monotonic()]
            return not lines and time.monotonic() - last[1] > QUIET_SECONDS

        self.wait("all to be folded", still)

    def judge(self) -> str:
        """Verifies, adds to the tally, and says it in words."""
        expected = oracle.Expected(self.flow.events - self.gone_events, self.flow.labels, self.generations)
        verdict = oracle.judge(self.feed, self.servers.servers, str(self.history), self.setting.transactions, expected)
        falls = self.read_falls()
        if self.definitions:
            verdict += judge_those_before(self.feed, self.definitions, self.servers.servers, self.begun(), self.setting.transactions)
        self.tally.judged(verdict, len(falls))
        lines = [*verdict.lines[:20], *(json.dumps(fall) for fall in falls[:10])]
        bad = verdict.lost or verdict.doubled or verdict.changed or falls
        return "\n  ".join(["FAULT" if bad else "same", *lines])

    def served(self) -> dict[int, int]:
        """The newest offset served of each partition; nothing where the store does not answer."""
        try:
            return asyncio.run(oracle.served(self.feed, self.servers.servers, self.partitions))
        except StreamgaugeError:
            return dict.fromkeys(range(self.partitions), -1)

    def recovered(self, since: float | None, seconds: float = FOLD_SECONDS) -> None:
        """Waits until what stands on the log now is served in every partition; notes the seconds since the blow, if one fell."""
        due: dict[int, int] = {}

        def caught_up() -> bool:
            if not due:
                due.update(oracle.ends(self.feed, self.servers.servers, self.partitions))
            found = self.served()
            return all(found[p] >= end for p, end in due.items() if end)

        self.wait("values after the fault", caught_up, seconds)
        if since is not None:
            self.tally.recoveries.append(time.monotonic() - since)

    def wait(self, what: str, done: Callable[[], bool], seconds: float = FOLD_SECONDS) -> None:
        """Polls, and lets the supervisor work meanwhile."""
        deadline = time.monotonic() + seconds
        while not _answered(done):
            self.fleet.tend()
            if time.monotonic() > deadline:
                tails = "\n".join(f"-- {w.name}\n{w.child.log_tail()[-1500:]}" for w in self.fleet.workers)
                raise TimeoutError(f"{what} did not come within {seconds:.0f} s\n{self._state()}\n{tails}")
            time.sleep(0.1)

    def read_falls(self) -> list[dict[str, Any]]:
        """What the watcher saw fall since the last call."""
        if not self.falls.exists():
            return []
        found = [json.loads(line) for line in self.falls.read_text().splitlines()]
        new = [f for f in found if "what" in f][self._told :]
        self._told += len(new)
        return new

    def begun(self) -> list[dict[str, Any]]:
        """The generations whose first checkpoint the watcher saw, each with the last one of the generation before it."""
        return [found for line in self.falls.read_text().splitlines() if "begun" in (found := json.loads(line))]

    def _state(self) -> str:
        try:
            lines, _ = asyncio.run(oracle.progress(self.feed, self.servers.servers, self.partitions))
        except (StreamgaugeError, StateError) as error:
            return str(error)
        return ", ".join(lines)

    def _watch(self) -> Child:
        command = [sys.executable, "-m", "tests.storm.watcher", str(self.plant), str(self.falls), self.setting.redis]
        environment = self.servers.servers.environment | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        return Child("watcher", command, self.directory, 5.0, environment, self.directory)

    def _remove(self) -> None:
        if self.keep:
            self.say(f"logs are kept in {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


def _answered(done: Callable[[], bool]) -> bool:
    try:
        return done()
    except StreamgaugeError:  # a server that is on its way back
        return False
