"""Load as a fault: ten times the rate for a minute, and a hot key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.storm.steps import Step

if TYPE_CHECKING:
    from tests.storm.storm import Storm

SURGE_SECONDS, SURGE = 60.0, 10.0
HOT_SECONDS = 15.0
CATCH_UP_SECONDS = 300.0  # for a minute's surge, on a machine that also sends and judges it


def surge(storm: Storm, step: Step) -> None:
    """Ten times the rate for a minute, amid which a worker dies."""
    with storm.flow.times(SURGE):
        time.sleep(SURGE_SECONDS / 2)
        began = time.monotonic()
        storm.fleet.lose(storm.fleet.workers[0])
        storm.fleet.start_worker()
        time.sleep(SURGE_SECONDS / 2)
    storm.tally.kills += 1
    storm.tally.rebalances += 2
    storm.recovered(began, CATCH_UP_SECONDS)


def hot_key(storm: Storm, step: Step) -> None:
    """One device sends as much as all others together, amid which a worker dies."""
    with storm.flow.hot():
        time.sleep(HOT_SECONDS / 2)
        began = time.monotonic()
        storm.fleet.lose(storm.fleet.workers[0])
        storm.fleet.start_worker()
        time.sleep(HOT_SECONDS / 2)
    storm.tally.kills += 1
    storm.tally.rebalances += 2
    storm.recovered(began)
