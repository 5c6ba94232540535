"""The named steps of the protocol at which the storm strikes; a launcher wraps them, the product has no switches for it."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

WITHIN_SECONDS = 0.02  # the longest wait between a step's beginning and a blow within it


class Seam(NamedTuple):
    """A method whose n-th passing is the moment."""

    owner: str  # module:Class
    method: str
    when: str  # before, within or after it
    only: Callable[[tuple[Any, ...]], bool] = lambda arguments: True  # calls that count


def _stages(arguments: tuple[Any, ...]) -> bool:
    return arguments[1] == b"stage"


def _switch(kind: str) -> Callable[[tuple[Any, ...]], bool]:
    return lambda arguments: arguments[1].kind == kind


RUNNER = "stream_processors.runner.partition_runner:PartitionRunner"
PUBLISHER = "stream_processors.runner.publisher:Publisher"
STORE = "feature_store.partition_store:PartitionStore"
CALLS = "feature_store.fenced_calls:FencedCalls"
SWITCHES = "stream_processors.runner.switch_log:SwitchLog"
SERVICE = "stream_processors.runner.fold_service:FoldService"
STREAM_FOLD = "stream_processors.stream_fold.fold:StreamFold"

SEAMS = {
    "fetched": Seam(RUNNER, "process", "before"),
    "folding": Seam(STREAM_FOLD, "fold", "within"),
    "folded": Seam(STREAM_FOLD, "fold", "after"),
    "judged": Seam("stream_processors.judge_fold:JudgeFold", "fold", "after"),
    "learnt": Seam("stream_processors.learner_fold:LearnerFold", "fold", "after"),
    "joined": Seam("stream_processors.joiner.joiner_fold:JoinerFold", "settle", "after"),
    "before-send": Seam(PUBLISHER, "publish", "before"),
    "sending": Seam(PUBLISHER, "_send", "within"),
    "sent": Seam(PUBLISHER, "_send", "after"),
    "published": Seam(PUBLISHER, "publish", "after"),
    "before-serve": Seam(RUNNER, "_serve", "before"),
    "serving": Seam(STORE, "serve", "within"),
    "served": Seam(RUNNER, "_serve", "after"),
    "before-checkpoint": Seam(STORE, "checkpoint", "before"),
    "staging": Seam(CALLS, "fenced", "within", _stages),
    "staged": Seam(CALLS, "fenced", "after", _stages),
    "flipping": Seam(STORE, "_flip_to", "within"),
    "flipped": Seam(STORE, "_flip_to", "after"),
    "assigned": Seam(SERVICE, "assigned", "after"),
    "taken-recorded": Seam(SWITCHES, "append", "after", _switch("taken")),
    "taken": Seam(STORE, "take", "after"),
    "restoring": Seam(STORE, "restore", "within"),
    "restored": Seam(STORE, "restore", "after"),
    "finding": Seam(RUNNER, "_find_published", "within"),
    "not-sought": Seam("stream_processors.runner.feed_runners:FeedRunners", "take", "after"),
    "before-switch": Seam(SWITCHES, "append", "before", _switch("model")),
    "switched": Seam(SWITCHES, "append", "after", _switch("model")),
    "revoked": Seam(SERVICE, "revoked", "before"),
    "releasing": Seam(RUNNER, "last_checkpoint", "within"),
}
TRANSACTIONAL = {
    "before-commit": Seam("aiokafka:AIOKafkaProducer", "commit_transaction", "before"),
    "committing": Seam("aiokafka:AIOKafkaProducer", "commit_transaction", "within"),
    "committed": Seam("aiokafka:AIOKafkaProducer", "commit_transaction", "after"),
}  # of brokers with transactions
TAKING = ("assigned", "taken-recorded", "taken", "restoring", "restored", "finding", "not-sought")  # passed once a place
SLOW = ("judged", "learnt", "before-checkpoint", "staging", "staged", "flipping", "flipped")  # passed every few seconds
RARE = (*TAKING, "before-switch", "switched", "revoked", "releasing")  # a later passing than the first may never come


def arm(name: str, passing: int, number: signal.Signals = signal.SIGKILL, seed: str = "") -> None:
    """At the given passing of a seam this process gets the signal."""
    seam = (SEAMS | TRANSACTIONAL)[name]
    blow = Blow(passing, number, random.Random(f"{name} {passing} {seed}").uniform(0.0, WITHIN_SECONDS))
    module, _, owner = seam.owner.partition(":")
    target = getattr(importlib.import_module(module), owner)
    setattr(target, seam.method, _wrapped(getattr(target, seam.method), seam, blow))


class Blow:
    """Counts passings; at the last one it strikes."""

    def __init__(self, passing: int, number: signal.Signals, delay: float) -> None:
        self._left, self._number, self._delay = passing, number, delay
        self._lock = threading.Lock()  # folds run in threads

    def passed(self, later: bool = False) -> None:
        """Counts one; `later`: strikes from another thread while the step is under way."""
        with self._lock:
            self._left -= 1
            if self._left:
                return
        if later:
            threading.Thread(target=self._strike_later, daemon=True).start()
        else:
            os.kill(os.getpid(), self._number)

    def _strike_later(self) -> None:
        time.sleep(self._delay)
        os.kill(os.getpid(), self._number)


def _wrapped(function: Callable[..., Any], seam: Seam, blow: Blow) -> Callable[..., Any]:
    def begins(arguments: tuple[Any, ...]) -> bool:
        counts = seam.only(arguments)
        if counts and seam.when != "after":
            blow.passed(later=seam.when == "within")
        return counts and seam.when == "after"

    @functools.wraps(function)
    async def waited(*arguments: Any, **named: Any) -> Any:
        ends = begins(arguments)
        done = await function(*arguments, **named)
        if ends:
            blow.passed()
        return done

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        ends = begins(arguments)
        done = function(*arguments, **named)
        if ends:
            blow.passed()
        return done

    return waited if inspect.iscoroutinefunction(function) else called
