"""Throws a target's inputs at it, round by round, and says which one broke what."""

from __future__ import annotations

import contextlib
import random
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.hostile.target import Target

ROUND = 200  # inputs that share a state: enough for it to fill, few enough to look at one by one


class Broken(AssertionError):
    """A target did what it must not; the message says with which input, and how to repeat it."""


class TooMuch(Broken):
    """An input took longer, or more memory, than it may. A kernel that is compiled meanwhile does so once: the round is tried again."""


@dataclass
class Tally:
    """What a run came to."""

    inputs: int = 0
    refused: int = 0  # ended in an error of the project's own, as they may
    slowest: float = 0.0  # seconds of processor time of one input
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)


def throw(
    target: Target, seed: int, inputs: int, first: int = 0, stop_at_first: bool = True, each_round: Callable[[int], None] | None = None
) -> Tally:
    """Rounds from number `first` on, until `inputs` were thrown.

    Raises:
        Broken: at the first input that breaks something, unless `stop_at_first` is false: then its sentence is in the tally.
    """
    corpus = target.corpus()
    _warm_up(target, corpus)
    tally, begun = Tally(), time.perf_counter()
    number = first
    while tally.inputs < inputs:
        if each_round is not None:
            each_round(number)
        try:
            _round_again(target, corpus, f"{seed}/{target.name}/{number}", min(ROUND, inputs - tally.inputs), tally)
        except Broken as error:
            again = f"python -m tests.hostile --target {target.name} --seed {seed} --first {number} --inputs {ROUND}"
            where = f"{target.name}: {error}\nrepeat: {again}"
            if stop_at_first:
                raise Broken(where) from error
            tally.broken.append(where)
        number += 1
    tally.seconds = time.perf_counter() - begun
    return tally


def _warm_up(target: Target, corpus: list[bytes]) -> None:
    """Every valid input once: they must be taken, and kernels are compiled here, not within a measured input."""
    draw = random.Random(0)
    target.begin(draw)
    for data in corpus:
        with contextlib.suppress(*target.refuses):  # of a target with several readers, all but one
            target.take(data, draw)
    target.end()


def _round_again(target: Target, corpus: list[bytes], name: str, inputs: int, tally: Tally) -> None:
    first = Tally()
    try:
        _round(target, corpus, random.Random(name), inputs, first)
    except TooMuch:
        _forget_peak()  # else the same memory would not show a second time
        _round(target, corpus, random.Random(name), inputs, first := Tally())
    finally:
        tally.inputs += first.inputs
        tally.refused += first.refused
        tally.slowest = max(tally.slowest, first.slowest)


def _round(target: Target, corpus: list[bytes], draw: random.Random, inputs: int, tally: Tally) -> None:
    target.begin(draw)
    data = b""
    for _ in range(inputs):
        data = target.input(draw, corpus)
        grown, started = _peak_megabytes(), time.process_time()
        try:
            target.take(data, draw)
        except target.refuses:
            tally.refused += 1
        except Exception as error:  # anything else is what is looked for, MemoryError and RecursionError included
            raise Broken(f"{type(error).__name__}: {error} at {_shown(data)}") from error
        finally:
            tally.inputs += 1
        seconds, now = time.process_time() - started, _peak_megabytes()
        tally.slowest = max(tally.slowest, seconds)
        if seconds > target.seconds:
            raise TooMuch(f"took {seconds:.2f} s of processor time, above {target.seconds}, at {_shown(data)}")
        if now - grown > target.megabytes:
            raise TooMuch(f"grew by {now - grown:.0f} MB, above {target.megabytes}, at {_shown(data)}")
    try:
        target.end()
    except Exception as error:
        raise Broken(f"at the end of the round: {type(error).__name__}: {error}") from error


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forget_peak() -> None:
    """Linux counts the peak anew from here on (proc(5), clear_refs); elsewhere memory is judged by its first peak alone."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _shown(data: bytes) -> str:
    return repr(data) if len(data) <= 600 else f"{data[:300]!r}… ({len(data)} bytes) …{data[-200:]!r}"
