"""Yes or no from several people about the same thing: who is heard, what is settled, how often they agree."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

Thing = TypeVar("Thing", bound=Hashable)


class Opinion(NamedTuple, Generic[Thing]):
    """What somebody said; whoever gives no name is one person of that name."""

    thing: Thing
    by: str
    yes: bool


class Opinions(Generic[Thing]):
    """Opinions in the order in which they were given; of one person about one thing the last one counts."""

    def __init__(self, given: Iterable[Opinion[Thing]]) -> None:
        self._heard: dict[Thing, dict[str, bool]] = {}
        for opinion in given:
            self._heard.setdefault(opinion.thing, {})[opinion.by] = opinion.yes

    def heard(self, thing: Thing) -> dict[str, bool]:
        """What is held of a thing now, by person."""
        return self._heard.get(thing, {})

    @property
    def settled(self) -> dict[Thing, bool]:
        """What the majority says, of things about which there is one."""
        return {thing: 2 * sum(heard.values()) > len(heard) for thing, heard in self._heard.items() if not _tied(heard)}

    @property
    def disputed(self) -> set[Thing]:
        """Things of which as many people say one as the other; a further one settles them."""
        return {thing for thing, heard in self._heard.items() if _tied(heard)}

    @property
    def agreement(self) -> tuple[int, int]:
        """(pairs of people who say the same of one thing, all pairs of people who said something about one thing)."""
        agreeing = pairs = 0
        for heard in self._heard.values():
            yes, no = sum(heard.values()), len(heard) - sum(heard.values())
            agreeing += (yes * (yes - 1) + no * (no - 1)) // 2
            pairs += len(heard) * (len(heard) - 1) // 2
        return agreeing, pairs


def _tied(heard: dict[str, bool]) -> bool:
    return 2 * sum(heard.values()) == len(heard)
