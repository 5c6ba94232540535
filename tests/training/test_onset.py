from __future__ import annotations

import numpy as np
import pytest

from training.onset import FEWEST, onset


@pytest.mark.parametrize("seed", range(5))
def test_a_jump_is_dated_although_errors_were_a_little_larger_before(seed: int) -> None:
    """Losses rise by a tenth at 300 and sevenfold at 1,200 of 1,600: the jump is dated within a few, in spite of heavy tails and gaps."""
    chance = np.random.default_rng(seed)
    losses = np.abs(chance.standard_t(3, 1_600)) * np.repeat([0.1, 0.11, 0.7], [300, 900, 400])
    losses[chance.random(1_600) < 0.1] = np.nan
    found = onset(losses)
    assert found is not None and abs(found - 1_200) <= 15


def test_the_place_is_the_one_of_the_least_squares() -> None:
    """What is found explains the losses best of all places at which they rise, tried one by one."""
    losses = np.random.default_rng(3).exponential(1.0, 150) + (np.arange(150) >= 90)
    places = range(FEWEST, 150 - FEWEST + 1)
    rest = {k: losses[:k].var() * k + losses[k:].var() * (150 - k) for k in places if losses[k:].mean() > losses[:k].mean()}
    assert onset(losses) == min(rest, key=lambda k: rest[k])


def test_without_a_rise_or_with_too_few_losses_there_is_no_date() -> None:
    """Losses that fall, or of which fewer than twice FEWEST are numbers, date nothing."""
    assert onset(np.repeat([2.0, 1.0], 100)) is None
    assert onset(np.r_[np.ones(2 * FEWEST - 1), np.full(500, np.nan)]) is None
