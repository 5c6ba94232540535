"""The mechanisms that make a fold exact, each with how a test turns it off: without any one of them the storm finds a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LUA_LOOPS = 50_000_000  # a second, about


def _script_without(text: bytes, other: bytes) -> None:
    """Changes the server's side of the store; it gets a name of its own."""
    import hashlib

    from feature_store import fenced_calls

    assert text in fenced_calls.SCRIPT, text
    fenced_calls.SCRIPT = fenced_calls.SCRIPT.replace(text, other)
    fenced_calls.SCRIPT_NAME = hashlib.sha1(fenced_calls.SCRIPT, usedforsecurity=False).hexdigest()


def slow_script(seconds: float) -> None:
    """The store's script idles before it writes vectors, so that it can be killed."""
    idles = b"if ARGV[1] == 'serve' then for _ = 1, %d do end end\n" % int(seconds * LUA_LOOPS)
    _script_without(b"local calls = {}\n", b"local calls = {}\n" + idles)


FOLDS = {
    "events": "stream_processors.stream_fold.fold:StreamFold",
    "labels": "stream_processors.joiner.joiner_fold:JoinerFold",
    "evidence": "stream_processors.judge_fold:JudgeFold",
    "examples": "stream_processors.learner_fold:LearnerFold",
}


def newer_fold(log: str) -> None:
    """The fold over this log says that it is one version on, as a release does that may change a byte of its output."""
    import importlib

    module, _, name = FOLDS[log].partition(":")
    getattr(importlib.import_module(module), name).version += 1


def _no_fence() -> None:
    """The store does not tell its owners apart: it refuses none, and shows none that another was there."""
    _script_without(b"if before > tonumber(epoch) then", b"if false then")
    _script_without(b"return found\n", b"return { epoch, counter }\n")


def _no_guard() -> None:
    """A served vector may be replaced by an older one."""
    _script_without(
        b"newer = generation > old_generation or (generation == old_generation and offset >= old_offset)",
        b"newer = true",
    )


def _no_suppression() -> None:
    """What stands on the topics already is not looked for."""
    from stream_processors.runner import partition_runner
    from stream_processors.runner.published import Published

    nothing = np.zeros(0, np.int64)

    async def found(consumer: Any, topic: str, partition: int, start: int, prefix: str, first: int) -> Published:
        return Published(start, start, nothing, nothing)

    partition_runner.find_published = found


def _no_flip() -> None:
    """Chunks are overwritten where the manifest names them, instead of being staged under new ids."""
    from feature_store import checkpoint
    from feature_store.partition_store import PartitionStore

    kept = PartitionStore.checkpoint

    async def overwritten(self: PartitionStore, manifest: Any, changed: Mapping[str, bytes], *rest: Any) -> Any:
        names = iter([f"{name}-{n}" for name in sorted(changed) for n, _ in enumerate(checkpoint.cut_chunk(changed[name]))])
        self._part = lambda n, data: checkpoint.describe_part(next(names), data)  # type: ignore[method-assign]
        return await kept(self, manifest, changed, *rest)

    PartitionStore.checkpoint = overwritten  # type: ignore[method-assign,assignment]


def _no_switch() -> None:
    """A model is put in place without a record of it."""
    from stream_processors.runner.switch_log import SwitchLog

    append = SwitchLog.append

    async def unrecorded(self: SwitchLog, switch: Any) -> int:
        return 0 if switch.kind == "model" else await append(self, switch)

    SwitchLog.append = unrecorded  # type: ignore[method-assign]


def _no_transactional_fence() -> None:
    """Each owner's producer has an id of its own, so that its start fences nobody."""
    import os

    from stream_processors.runner import feed_runners

    made = feed_runners.transactional_producer
    feed_runners.transactional_producer = lambda settings, name: made(settings, f"{name}-{os.getpid()}")


def _no_start() -> None:
    """Another definition begins where the log ends, and not at the last checkpoint: what lies between is in neither generation."""
    from stream_processors.runner.partition_runner import PartitionRunner

    begin = PartitionRunner._begin

    async def at_the_end(self: PartitionRunner, cause: str, before: Any, checkpoint: Any, bounds: Any) -> Any:
        if before is not None:
            bounds = bounds._replace(start=bounds.end)
        return await begin(self, cause, before, checkpoint, bounds)

    PartitionRunner._begin = at_the_end  # type: ignore[method-assign]


MECHANISMS: dict[str, Callable[[], None]] = {
    "fence": _no_fence,
    "guard": _no_guard,
    "suppression": _no_suppression,
    "flip": _no_flip,
    "switch": _no_switch,
    "start": _no_start,
    "transactional-fence": _no_transactional_fence,
}


def turn_off(name: str) -> None:
    """Patches this process."""
    MECHANISMS[name]()
