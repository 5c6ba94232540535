"""Thousands of hostile inputs for each reader of bytes; the long run, and how to repeat an input, are in __main__.py."""

from __future__ import annotations

import random

import pytest

from tests.hostile.mutants import mutant
from tests.hostile.target import Target
from tests.hostile.targets import TARGETS
from tests.hostile.throwing import ROUND, Broken, throw

SEED = 20
INPUTS = 3 * ROUND  # of a target whose share is 1: a second or two


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_input_breaks_nothing(name: str) -> None:
    """No exception but the project's own, no hang, nothing over its bounds in time or memory, counters balanced."""
    target = TARGETS[name]()
    try:
        tally = throw(target, SEED, max(ROUND, round(INPUTS * target.share)))
    finally:
        target.close()
    assert tally.inputs >= ROUND


class _Careless(Target):
    """Reads numbers, in a way that each of the bounds is there for."""

    name = "careless"
    refuses = (ValueError,)
    megabytes = 30

    def __init__(self, fault: str) -> None:
        self._fault, self._kept, self._taken = fault, list[bytes](), 0
        if fault == "time":  # the others may be slow: a machine whose memory is new takes half a second for what "memory" keeps
            self.seconds = 0.2

    def corpus(self) -> list[bytes]:
        return [b"1", b"22", b"333"]

    def take(self, data: bytes, draw: random.Random) -> None:
        number = int(data)
        self._taken += 1
        if self._fault == "exception" and number > 1_000:
            raise KeyError(number)
        if self._fault == "time" and number > 1_000:
            sum(range(30_000_000))
        if self._fault == "memory" and number > 1_000:
            self._kept.append(b"x" * 200_000_000)

    def end(self) -> None:
        assert self._fault != "counters" or self._taken <= 3, "1 is not 2"  # the corpus alone is in order


@pytest.mark.parametrize(("fault", "word"), [("exception", "KeyError"), ("time", "took"), ("memory", "grew"), ("counters", "1 is not 2")])
def test_what_breaks_is_found_and_can_be_repeated(fault: str, word: str) -> None:
    """A target with each kind of fault is told apart, and the message says how to see it again."""
    with pytest.raises(Broken, match=rf"(?s){word}.*--target careless --seed 1 --first \d+"):
        throw(_Careless(fault), 1, 2_000)


def test_a_careful_reader_passes() -> None:
    """The same without a fault."""
    assert throw(_Careless("none"), 1, 400).inputs == 400


def test_inputs_follow_from_their_seed() -> None:
    """The same seed makes the same mutants, and most differ from what they are made of."""
    corpus = [b'{"a": 1, "b": "two"}', b'{"c": [1, 2, 3]}']
    made = [[mutant(draw, corpus) for _ in range(300)] for draw in (random.Random(5), random.Random(5))]
    assert made[0] == made[1]
    assert len(set(made[0])) > 200
