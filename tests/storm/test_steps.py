"""What a storm does follows from its seed, meets every seam and fault, and strikes where the product really passes."""

from __future__ import annotations

import importlib
import inspect
from collections import Counter

import pytest

from tests.storm.faults import FAULTS
from tests.storm.seams import SEAMS, TRANSACTIONAL, Seam
from tests.storm.steps import deck, plan
from tests.storm.traffic import Traffic
from tests.storm.watcher import Seen


@pytest.mark.parametrize("kafka", ["apache", "embedded"])
def test_a_deck_has_every_seam_and_every_fault(kafka: str) -> None:
    """One turn strikes at each seam once and does each fault of its broker; the next turn does so in another order."""
    size = len(deck(7, 0, kafka))
    steps = [plan(7, number, kafka) for number in range(2 * size)]
    for turn in (steps[:size], steps[size:]):
        struck = Counter(name for step in turn for name, _ in step.seams if step.kind == "kill-at")
        assert struck == Counter([*SEAMS, *(TRANSACTIONAL if kafka == "apache" else ())])
        only_apache = {"zombie", "zombie-at", "broker-kill", "broker-restart"}
        assert {step.kind for step in turn} == set(FAULTS) - (only_apache if kafka == "embedded" else set())
    assert [step.kind for step in steps[:size]] != [step.kind for step in steps[size:]]


def test_the_seed_says_everything() -> None:
    """The same seed gives the same steps and the same traffic, another seed others."""
    assert [plan(3, n, "apache") for n in range(30)] == [plan(3, n, "apache") for n in range(30)]
    assert [plan(3, n, "apache") for n in range(30)] != [plan(4, n, "apache") for n in range(30)]
    first, again, other = Traffic(3), Traffic(3), Traffic(4)
    ticks = [first.tick() for _ in range(20)]
    assert ticks == [again.tick() for _ in range(20)]
    assert ticks != [other.tick() for _ in range(20)]


@pytest.mark.parametrize("seam", (SEAMS | TRANSACTIONAL).values(), ids=SEAMS | TRANSACTIONAL)
def test_a_seam_is_a_function_of_the_product(seam: Seam) -> None:
    """A renamed function would silently be struck at no more."""
    module, _, owner = seam.owner.partition(":")
    assert inspect.isfunction(getattr(getattr(importlib.import_module(module), owner), seam.method))


def test_the_watcher_counts_each_fall_once() -> None:
    """A value that falls is told with both values; the same value again, or a later one, is no fall; another generation's is none."""
    seen = Seen()
    for value in [(1, 5), (1, 5), (1, 9), (1, 7), (1, 7), (1, 8), (2, 0)]:
        seen.note("entity a", value)
    assert [(fall["from"], fall["to"]) for fall in seen.falls] == [((1, 9), (1, 7))]
