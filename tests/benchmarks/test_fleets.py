"""Made-up fleets and the bound on their false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from benchmarks.alarms import poisson_upper
from benchmarks.fleets import CHUNK_ROWS, NOISES, Fleet


def values(fleet: Fleet) -> np.ndarray:
    """(minutes, entities) readings."""
    return np.concatenate([columns.number[:, 0] for columns, _ in fleet.chunks()]).reshape(-1, fleet.entities)


@pytest.mark.parametrize("events", [0, 1, 7])
def test_the_bound_is_exact(events: int) -> None:
    """At the bound, so few events or fewer have a chance of exactly 5 %."""
    assert poisson.cdf(events, poisson_upper(events, 20.0) * 20.0) == pytest.approx(0.05)


@pytest.mark.parametrize("noise", NOISES)
def test_noise_has_standard_deviation_1(noise: str) -> None:
    """The season apart; neighbours correlate by .9 or not at all, also over the ends of chunks."""
    found = values(Fleet(noise, 2, CHUNK_ROWS, seed=3))
    if noise.startswith("daily"):
        found = found - 2.0 * np.sin(2.0 * np.pi * np.arange(len(found)) / 1440)[:, None]
    assert found.std(axis=0) == pytest.approx([1.0, 1.0], abs=0.03)
    lag = [np.corrcoef(column[:-1], column[1:])[0, 1] for column in found.T]
    assert lag == pytest.approx([0.9, 0.9] if noise.startswith("auto") else [0.0, 0.0], abs=0.02)
    edge = CHUNK_ROWS // 2
    assert abs(found[edge] - found[edge - 1]).max() < 6.0


def test_a_shift_moves_one_entity_from_its_minute_on() -> None:
    """Same seed, same readings but for the shift."""
    plain, shifted = (values(Fleet(NOISES[0], 3, 200, 4, shift)) for shift in (None, (50, 1.5)))
    wanted = np.zeros((200, 3))
    wanted[50:, 0] = 1.5
    assert shifted - plain == pytest.approx(wanted)
