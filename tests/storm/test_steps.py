"""What a storm does follows from its seed, meets every seam and fault, and strikes where the product really passes."""

from __future__ import annotations

import importlib
import inspect
from collections import Counter

import pytest

from benchmarks.chaos import long_run
from tests.storm.faults import FAULTS
from tests.storm.seams import SEAMS, TRANSACTIONAL, Seam
from tests.storm.settings import SETTINGS, Setting
from tests.storm.steps import AT_SEAMS, OTHERS, deck, plan
from tests.storm.traffic import Traffic
from tests.storm.watcher import Seen


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_a_deck_has_every_seam_and_every_fault(setting: Setting) -> None:
    """One turn strikes at each seam once and does each fault of its setting; the next turn does so in another order."""
    size = len(deck(7, 0, setting))
    steps = [plan(7, number, setting) for number in range(2 * size)]
    for turn in (steps[:size], steps[size:]):
        struck = Counter(name for step in turn for name, _ in step.seams if step.kind == "kill-at")
        at_seams = setting.name in AT_SEAMS
        assert struck == Counter([*SEAMS, *(TRANSACTIONAL if setting.transactions else ())] if at_seams else [])
        assert {step.kind for step in turn} == {*OTHERS[setting.name], *(["kill-at"] if at_seams else [])}
    assert [step.kind for step in steps[:size]] != [step.kind for step in steps[size:]]


def test_every_fault_is_some_settings() -> None:
    """A fault that no deck names would never be tried."""
    assert set(FAULTS) == {"kill-at"}.union(*OTHERS.values())


@pytest.mark.parametrize("seed", [1, 215])
def test_the_long_run_has_what_is_asked_for(seed: int) -> None:
    """Every fault and every seam five times or more, failovers twenty times, 500 kills, whatever the seed."""
    steps = [plan(seed, n, part.setting) for part in long_run(seed) for n in range(part.end - part.first)]
    kinds = Counter(step.kind for step in steps)
    assert min(kinds[kind] for kind in FAULTS) >= 5
    assert kinds["failover"] + kinds["failover-kill"] >= 20
    seams = Counter(name for step in steps if step.kind == "kill-at" for name, _ in step.seams)
    assert min(seams[name] for name in SEAMS | TRANSACTIONAL) >= 5
    of_two = sum(kinds[kind] for kind in ("kill-two", "kill-others", "flush-kill", "flip-bit", "failover-kill"))
    assert seams.total() + 6 * kinds["kill-again"] + 2 * of_two + kinds["kill"] >= 500


def test_the_seed_says_everything() -> None:
    """The same seed gives the same steps and the same traffic, another seed others; a hot key changes nothing of the rest."""
    apache = SETTINGS["apache"]
    assert [plan(3, n, apache) for n in range(30)] == [plan(3, n, apache) for n in range(30)]
    assert [plan(3, n, apache) for n in range(30)] != [plan(4, n, apache) for n in range(30)]
    first, again, other = Traffic(3), Traffic(3), Traffic(4)
    ticks = [first.tick() for _ in range(20)]
    assert ticks == [again.tick() for _ in range(20)]
    assert ticks != [other.tick() for _ in range(20)]
    hot = Traffic(3)
    for plain in ticks:
        tick = hot.tick(hot=True)
        assert (tick.events[: len(plain.events)], tick.labels) == (plain.events, plain.labels)
        assert len(tick.events) > len(plain.events)


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
