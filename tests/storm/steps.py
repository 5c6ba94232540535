"""What each step of a storm does: a function of the seed and the step's number, so that a storm can go on at any step."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import NamedTuple

from tests.storm.seams import RARE, SEAMS, SLOW, TAKING, TRANSACTIONAL
from tests.storm.settings import Setting

ZOMBIE_SEAMS = ("before-send", "published", "before-serve", "before-checkpoint", "staged")  # stopped amid a write, woken after its session


class Step(NamedTuple):
    """One fault."""

    number: int
    kind: str
    seams: tuple[tuple[str, int], ...] = ()  # with the passing at which it strikes
    after: float = 0.0  # seconds of traffic before the blow, where it comes at a random moment


SEAMS_A_STEP = 4
WORKERS = ("kill", "kill-two", "kill-two", "kill-again", "kill-again", "kill-again", "join", "leave", "roll", "kill-others")
STORE = ("store-kill", "store-restart", "flush", "flush-kill", "cut")
BROKER = ("zombie", "zombie-at", "broker-kill", "broker-restart")
STATES = ("store-full", "store-busy", "script-kill", "store-gone", "flip-bit")
LOGS = ("partitions-added", "head-deleted", "topic-recreated", "end-cut")
LOAD = ("surge", "hot-key")
CHANGES = ("definition-changed", "upgraded", "migrated")
LINKS = ("slow", "lost", "half-open", "cut-reply")

OTHERS: dict[str, tuple[str, ...]] = {
    "apache": (*WORKERS, *STORE, *BROKER, *STATES, *LOGS, *LOAD, *CHANGES),
    "embedded": (*WORKERS, *STORE),
    "apache-sentinel": ("failover",) * 4
    + ("failover-kill",) * 2
    + ("kill", "kill-two", "kill-again", "store-kill", "flush", "cut", "zombie-at"),
    "apache-cluster": (
        "store-kill",
        "store-kill",
        "store-restart",
        "store-empty",
        "flush",
        "flush-kill",
        "cut",
        "kill-two",
        "kill-again",
        "roll",
    ),
    "apache3": (
        "one-lost",
        "one-lost",
        "broker-restart",
        "leader-moved",
        "coordinator-moved",
        "coordinator-lost",
        "kill-two",
        "kill-again",
        "zombie-at",
    ),
    "apache-network": (*(f"{server}-{what}" for server in ("redis", "kafka") for what in LINKS), "kill-two", "kill-again"),
}
"""The faults of each setting besides those at seams."""
AT_SEAMS = ("apache", "embedded")  # settings in which every seam is struck, once a turn
LAST = ("surge", *LOGS, *CHANGES)  # after these a storm begins on new servers: the log is long or another, or the definition is


def deck(seed: int, turn: int, setting: Setting, only: Collection[str] = ()) -> list[str]:
    """Each seam once, some to a step, and every other fault, in an order of this turn's own; `only`: of these kinds."""
    chance = random.Random(f"deck {seed} {turn}")
    seams = [*SEAMS, *(TRANSACTIONAL if setting.transactions else ())] if setting.name in AT_SEAMS else []
    chance.shuffle(seams)
    cards = [" ".join(["kill-at", *seams[at : at + SEAMS_A_STEP]]) for at in range(0, len(seams), SEAMS_A_STEP)]
    cards += OTHERS[setting.name]
    chance.shuffle(cards)
    return [card for card in cards if not only or card.split()[0] in only]


def plan(seed: int, number: int, setting: Setting, only: Collection[str] = ()) -> Step:
    """The step of this number: one deck is gone through after another."""
    size = len(deck(seed, 0, setting, only))
    kind, *names = deck(seed, number // size, setting, only)[number % size].split()
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
