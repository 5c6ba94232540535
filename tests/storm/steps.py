"""What each step of a storm does: a function of the seed and the step's number, so that a storm can go on at any step."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.storm.seams import RARE, SEAMS, SLOW, TAKING, TRANSACTIONAL

ZOMBIE_SEAMS = ("before-send", "published", "before-serve", "before-checkpoint", "staged")  # stopped amid a write, woken after its session


class Step(NamedTuple):
    """One fault."""

    number: int
    kind: str
    seams: tuple[tuple[str, int], ...] = ()  # with the passing at which it strikes
    after: float = 0.0  # seconds of traffic before the blow, where it comes at a random moment


SEAMS_A_STEP = 4
OTHERS = (
    "kill",
    "kill-two",
    "kill-two",
    "join",
    "leave",
    "roll",
    "store-kill",
    "store-restart",
    "flush",
    "flush-kill",
    "cut",
    "kill-others",
)
APACHE_ONLY = ("zombie", "zombie-at", "broker-kill", "broker-restart")


def deck(seed: int, turn: int, kafka: str) -> list[str]:
    """Each seam once, some to a step, and every other fault, in an order of this turn's own."""
    chance = random.Random(f"deck {seed} {turn}")
    seams = [*SEAMS, *(TRANSACTIONAL if kafka == "apache" else ())]
    chance.shuffle(seams)
    cards = [" ".join(["kill-at", *seams[at : at + SEAMS_A_STEP]]) for at in range(0, len(seams), SEAMS_A_STEP)]
    cards += [*OTHERS, *(APACHE_ONLY if kafka == "apache" else ())]
    chance.shuffle(cards)
    return cards


def plan(seed: int, number: int, kafka: str) -> Step:
    """The step of this number: one deck is gone through after another."""
    size = len(deck(seed, 0, kafka))
    kind, *names = deck(seed, number // size, kafka)[number % size].split()
    chance = random.Random(f"step {seed} {number}")
    after = round(chance.uniform(0.5, 4.0), 2)
    if kind == "zombie-at":
        names = [chance.choice(ZOMBIE_SEAMS)]
    return Step(number, kind, tuple((name, passing(name, chance)) for name in names), after)


def passing(name: str, chance: random.Random) -> int:
    """Which passing of a seam strikes; a step that is passed once a place may not be passed often."""
    if name == "assigned" or (name in RARE and name not in TAKING):
        return 1
    return chance.randrange(1, 3 if name in TAKING else 4 if name in SLOW else 9)
