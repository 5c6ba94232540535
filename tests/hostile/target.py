"""What is thrown at: something that reads bytes from outside, and what must hold whatever they are."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from contracts.errors import StreamgaugeError
from tests.hostile.mutants import JSON_TOKENS, mutant


class Target(ABC):
    """Takes inputs in rounds; each round begins with a fresh state, so it can be repeated from its seed alone."""

    name: str
    refuses: tuple[type[Exception], ...] = (StreamgaugeError,)  # what taking an input may raise
    seconds = 2.0  # of processor time an input may take
    megabytes = 64  # that the process may grow by at one input
    tokens: ClassVar[list[bytes]] = JSON_TOKENS
    share = 1.0  # of the long run's inputs, against a target that has 1

    @abstractmethod
    def corpus(self) -> list[bytes]:
        """Valid inputs, from which mutants are made; each is accepted."""

    def begin(self, draw: random.Random) -> None:  # noqa: B027 — most targets keep no state
        """A fresh state."""

    @abstractmethod
    def take(self, data: bytes, draw: random.Random) -> None:
        """Reads one input; raises AssertionError where something does not hold."""

    def end(self) -> None:  # noqa: B027
        """What must hold after a round, such as balanced counters."""

    def close(self) -> None:  # noqa: B027
        """Ends what `corpus` or `begin` started."""

    def input(self, draw: random.Random, corpus: Sequence[bytes]) -> bytes:
        """The next input."""
        return mutant(draw, corpus, self.tokens)
