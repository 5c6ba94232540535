import numpy as np
import pytest

from online_model import e_detector as d


def referred(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(state, its memory as float32) after a reference of these errors."""
    state = np.zeros(d.WORDS)
    d.reset_detector(state)
    halves = state.view(np.float32)
    for z in errors:
        d.lay_down(state, halves, 2 * d.HISTOGRAM, z)
    d.freeze(state, halves, 2 * d.HISTOGRAM)
    return state, halves


@pytest.mark.parametrize("kind", ["normal", "t3", "exponential", "ties", "constant"])
def test_bets_are_fair_under_their_own_reference(kind: str) -> None:
    """Over the reference itself every bet's factor has mean at most 1, whatever the distribution."""
    rng = np.random.default_rng(1)
    errors = {
        "normal": rng.standard_normal(2000),
        "t3": rng.standard_t(3, 2000),
        "exponential": rng.exponential(1.0, 2000) - 1.0,
        "ties": rng.integers(-1, 2, 2000).astype(float),
        "constant": np.zeros(2000),
    }[kind]
    state, halves = referred(errors)
    factors = np.zeros((len(errors), d.BETS))
    outlying = np.zeros(len(errors))
    for i, z in enumerate(errors):
        state[: d.BETS] = 1.0
        state[d.PEAK] = state[d.OUT_M] = 1.0
        state[d.RECENT] = 0.0
        d.bet_on_change(state, halves, 2 * d.HISTOGRAM, z, 0, 0)
        d.bet_on_outlying(state, z, 0, 0)
        factors[i], outlying[i] = state[: d.BETS], state[d.OUT_M]
    assert (factors.mean(axis=0) <= 1.0 + 1e-6).all()
    assert outlying.mean() <= 1.0
    assert factors.min() > 0.0


def test_dependence_in_the_reference_lowers_the_stakes() -> None:
    """Errors with leftover autocorrelation of .8 are bet on with stakes less than a third of those of white noise."""
    rng = np.random.default_rng(2)
    white = rng.standard_normal(4000)
    slow = white.copy()
    for t in range(1, len(slow)):
        slow[t] = 0.8 * slow[t - 1] + 0.6 * white[t]
    assert referred(white)[0][d.STAKE_SMALL] > 0.8 * d.SMALL
    assert referred(slow)[0][d.STAKE_SMALL] < 0.3 * d.SMALL


@pytest.mark.parametrize(("shift", "spread", "sign"), [(1.0, 1.0, 1), (-1.0, 1.0, -1), (0.0, 3.0, 0), (0.0, 0.3, 0)])
def test_change_raises_evidence_and_names_its_direction(shift: float, spread: float, sign: int) -> None:
    """200 errors after a change of location or spread lift the evidence over 1e6, in the right direction, and then it ends."""
    rng = np.random.default_rng(3)
    state, halves = referred(rng.standard_normal(2000))
    at = 2 * d.HISTOGRAM
    for t in range(500):
        assert d.bet_on_change(state, halves, at, rng.standard_normal(), t, t) < 1e5
    peak = max(d.bet_on_change(state, halves, at, rng.standard_normal() * spread + shift, 500 + t, 500 + t) for t in range(200))
    assert peak > 1e6
    assert d.direction(state) == sign
    assert 450 <= state[d.SINCE] <= 520
    back = [d.bet_on_change(state, halves, at, rng.standard_normal(), 700 + t, 700 + t) for t in range(600)]
    assert back[-1] < 100


def test_spikes_are_outlying_and_a_shift_is_not() -> None:
    """Six spikes of 8 σ among 30 errors lift the outlying evidence over 1e7; 500 errors shifted by 1.5 σ do not lift it over 100."""
    rng = np.random.default_rng(4)
    reference = rng.standard_normal(4000)
    state, _ = referred(reference)
    for t in range(30):
        d.bet_on_outlying(state, rng.standard_normal() + (8.0 if t % 5 == 0 else 0.0), t, t)
    assert state[d.OUT_M] > 1e7
    state, _ = referred(reference)
    highest = 0.0
    for t in range(500):
        d.bet_on_outlying(state, rng.standard_normal() + 1.5, t, t)
        highest = max(highest, state[d.OUT_M])
    assert highest < 1e3


@pytest.mark.parametrize("size", [6.0, 12.0, 40.0])
def test_a_shift_of_any_size_stops_being_outlying(size: float) -> None:
    """The recent mean follows: of 600 readings at the new level the last hundred are not outlying, so that drift outlasts the anomaly."""
    rng = np.random.default_rng(6)
    state, _ = referred(rng.standard_normal(4000))
    outlying = [d.bet_on_outlying(state, rng.standard_normal() + size, t, t) for t in range(600)]
    assert outlying[0]
    assert not any(outlying[-100:])


def test_a_followed_reference_moves_to_the_ranks_of_what_comes() -> None:
    """Following errors of another distribution brings each bin's x to its own 2·mid-rank − 1."""
    rng = np.random.default_rng(5)
    state, halves = referred(rng.standard_normal(500))
    new = rng.standard_normal(40_000) * 1.5
    for z in new:
        d.follow(state, halves, 2 * d.HISTOGRAM, z, 1.0, 4000.0)
    for z in (-2.0, -0.5, 0.0, 1.0, 2.2):
        bins = np.array([d.bin_of(v) for v in new])
        expected = 2 * (np.mean(bins < d.bin_of(z)) + 0.5 * np.mean(bins == d.bin_of(z))) - 1
        assert halves[2 * d.HISTOGRAM + d.bin_of(z)] == pytest.approx(expected, abs=0.05)


def test_bins_cover_every_error_in_order() -> None:
    """Bins rise with the error, are symmetric about the middle one and take any finite error."""
    z = np.concatenate([np.linspace(-40, 40, 8001), [-1e6, 1e6]])
    z.sort()
    bins = np.array([d.bin_of(v) for v in z])
    assert (np.diff(bins) >= 0).all()
    assert bins[0] == 0
    assert bins[-1] == d.BINS - 1
    assert d.bin_of(0.1) == d.bin_of(-0.1) == d.BINS // 2
