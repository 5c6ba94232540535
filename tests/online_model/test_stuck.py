import numpy as np

from online_model import stuck


def after(values: list[float], history: list[float]) -> list[float]:
    """M along `values`, after learning `history`."""
    state = np.zeros(stuck.WORDS)
    stuck.reset_stuck(state, 0)
    for t, v in enumerate(history):
        stuck.bet_on_stuck(state, 0, v, t, t, False)
    return [stuck.bet_on_stuck(state, 0, v, t, t, True) for t, v in enumerate(values)]


def test_a_sensor_that_never_repeats_is_stuck_after_thirty_readings() -> None:
    """Each repeat of a sensor that always changed doubles the evidence: over 1e8 within 30 readings, and 1 when it moves again."""
    changing = list(np.random.default_rng(1).standard_normal(2000))
    m = after([5.0] * 40 + [6.0], changing)
    assert m[2] < stuck.IMPROBABLE <= m[3]
    assert m[29] > 1e8
    assert m[-1] == 1.0


def test_constants_switches_and_nights_are_not_stuck() -> None:
    """A constant, a slow switch and a sensor that stands still every night raise no evidence by going on as they did."""
    rng = np.random.default_rng(2)
    assert max(after([7.0] * 50_000, [7.0] * 2000)) < 10
    switch = list((rng.random(60_000) < 0.005).cumsum() % 2.0)
    assert max(after(switch[5000:], switch[:5000])) < 1e4
    day = [*rng.standard_normal(1000), *([0.0] * 440)]
    assert max(after(day * 5, day * 2)) < 100


def test_a_coarse_resolution_is_not_stuck() -> None:
    """Values rounded so that four in five repeat stay below 1e6 over 50,000 readings, some 15,000 runs."""
    rng = np.random.default_rng(3)
    values = list(np.round(rng.standard_normal(53_000) * 0.45))
    assert max(after(values[3000:], values[:3000])) < 1e6
