"""Each mechanism is needed: turned off in every process, the storm finds the fault. `make chaos` is the same storm with all of them."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.storm.settings import SETTINGS
from tests.storm.steps import Step
from tests.storm.storm import Storm
from tests.storm.tally import Tally

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
SEED = 5


class Case(NamedTuple):
    """Steps of which one is enough, and what they cost without the mechanism."""

    kafka: str
    steps: list[Step]
    costs: tuple[str, ...]
    also: tuple[str, ...] = ()  # turned off as well: a second guard that would catch the same


CASES = {
    # of the store's fence and Kafka's either alone is enough, since who is refused by one lets go of both
    "transactional-fence": Case(
        "apache", [Step(n, "zombie-at", (("before-send", 9 + n),)) for n in range(3)], ("doubled", "backwards"), ("fence",)
    ),
    "guard": Case("apache", [Step(n, "kill", (), 1.0 + n) for n in range(3)], ("backwards",)),
    "suppression": Case("apache", [Step(n, "kill", (), 1.0 + n) for n in range(3)], ("doubled",)),
    "flip": Case("apache", [Step(n, "kill-at", (("staged", 3 + n),)) for n in range(3)], ("backwards", "changed")),
    "switch": Case("apache", [Step(n, "kill", (), 4.0) for n in range(4)], ("changed",)),
    "start": Case("apache", [Step(0, "definition-changed", (), 4.0)], ("lost",)),
}


def storm(kafka: str, steps: list[Step], without: tuple[str, ...]) -> Tally:
    """What the steps cost, up to the first that costs anything."""
    with Storm(SEED, SETTINGS[kafka], without=without, others=False) as running:
        for step in steps:
            running.step(step)
            if not running.tally.clean:
                break
        return running.tally


@pytest.mark.parametrize("mechanism", sorted(CASES))
def test_without_a_mechanism_the_storm_finds_the_fault(mechanism: str) -> None:
    """Its fault is of the kind that the mechanism is there to prevent."""
    case = CASES[mechanism]
    found = storm(case.kafka, case.steps, (mechanism, *case.also))
    assert any(getattr(found, kind) for kind in case.costs), found
