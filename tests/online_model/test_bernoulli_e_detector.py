import numpy as np

from online_model import bernoulli_e_detector as bernoulli


def after(now: np.ndarray, history: np.ndarray) -> np.ndarray:
    """M along `now`, after learning `history`."""
    state = np.zeros(bernoulli.WORDS)
    bernoulli.reset(state, 0)
    for t, yes in enumerate(history):
        bernoulli.bet(state, 0, bool(yes), t, t, False)
    return np.array([bernoulli.bet(state, 0, bool(yes), t, t, True) for t, yes in enumerate(now)])


def test_a_field_gone_for_good_is_found_within_forty_readings() -> None:
    """Where 1 % were missing, forty in a row lift the evidence over 1e8; an end brings it back."""
    rng = np.random.default_rng(1)
    m = after(np.concatenate([np.ones(40), np.zeros(100)]), rng.random(2000) < 0.01)
    assert m[39] > 1e8
    assert m[-1] < 10


def test_a_field_missing_every_other_time_is_found() -> None:
    """Half of the readings missing at random, after 1 %, lift the evidence over 1e6 within 200 readings."""
    rng = np.random.default_rng(2)
    assert after(rng.random(200) < 0.5, rng.random(2000) < 0.01).max() > 1e6


def test_usual_gaps_are_no_evidence() -> None:
    """Rates of 0, 1, 30 and 90 %, single or in bursts of five, stay below 1e4 over 50,000 readings that go on as before."""
    rng = np.random.default_rng(3)
    for rate in (0.0, 0.01, 0.3, 0.9):
        yes = rng.random(53_000) < rate
        assert after(yes[3000:], yes[:3000]).max() < 1e4
    bursts = np.repeat(rng.random(10_600) < 0.02, 5)
    assert after(bursts[3000:], bursts[:3000]).max() < 1e4
