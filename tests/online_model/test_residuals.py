import numpy as np
import pytest

from contracts.durations import DAY, MINUTE
from online_model import residuals as r


def fitted(values: np.ndarray, season: int = DAY) -> tuple[np.ndarray, np.ndarray]:
    """(state, errors) after folding values, one a minute, the way a cell does while it learns."""
    state = np.zeros(r.WORDS)
    r.reset_residual(state)
    r.set_units(state, values[: r.COLLECT].copy())
    terms = r.TERMS if season else 3
    x, errors = np.zeros(r.TERMS), np.full(len(values), np.nan)
    for t, value in enumerate(values):
        r.season_terms((t + 1) * MINUTE, season, x[3:])
        y = r.standardise(state, value)
        intervals = r.track_interval(state, (t + 1) * MINUTE)
        errors[t] = z = r.innovation(state, x, terms, y, intervals)
        r.learn_scale(state, z)
        r.learn(state, x, terms, y, z, 1.0, 8192.0, True)
        r.advance(state, y, z, intervals)
    return state, errors


def autoregression(phi: float, n: int, seed: int) -> np.ndarray:
    rng, out = np.random.default_rng(seed), np.zeros(n)
    for t in range(1, n):
        out[t] = phi * out[t - 1] + rng.standard_normal() * np.sqrt(1 - phi * phi)
    return out


def lag_one(errors: np.ndarray) -> float:
    e = errors[~np.isnan(errors)]
    return float(np.corrcoef(e[:-1], e[1:])[0, 1])


def test_season_and_autocorrelation_are_taken_out() -> None:
    """A daily cycle of 5 σ with AR(.9) noise leaves errors of unit size without autocorrelation and without a cycle."""
    n = 3 * 1440
    day = 2 * np.pi * (np.arange(n) + 1) / 1440
    _, errors = fitted(40 + 3 * (5 * np.sin(day) + np.cos(2 * day) + autoregression(0.9, n, 1)))
    late = errors[1440:]
    assert abs(lag_one(late)) < 0.05
    assert np.std(late) == pytest.approx(1.0, abs=0.1)
    assert abs(np.corrcoef(late, np.sin(day[1440:]))[0, 1]) < 0.06


def test_coefficients_are_those_of_least_squares() -> None:
    """The fit equals numpy's least squares of each value on 1, the value before and the slow mean before, to the ridge's size."""
    values = autoregression(0.7, 3000, 2)
    state, _ = fitted(values, season=0)
    y = (values - state[r.CENTER]) / state[r.UNIT]
    slow, rows = (np.median(values[: r.COLLECT]) - state[r.CENTER]) / state[r.UNIT], []
    for t in range(1, len(y)):
        slow += (y[t - 1] - slow) / 16.0
        rows.append([1.0, y[t - 1], slow])
    expected = np.linalg.lstsq(np.array(rows), y[1:], rcond=None)[0]
    np.testing.assert_allclose(state[r.THETA : r.THETA + 3], expected, atol=0.02)


def test_a_lone_spike_has_no_echo() -> None:
    """After one reading of 20 σ in AR(.9) noise the next error is an ordinary one."""
    values = autoregression(0.9, 1000, 3)
    values[900] += 20.0
    _, errors = fitted(values, season=0)
    assert abs(errors[900]) > 15
    assert abs(errors[901]) < 5


def test_across_a_gap_there_is_no_error() -> None:
    """A reading after three missing ones is not predicted from the value before them."""
    state, _ = fitted(autoregression(0.5, 200, 4), season=0)
    x = np.zeros(r.TERMS)
    intervals = r.track_interval(state, 204 * MINUTE)
    assert intervals > 3
    assert np.isnan(r.innovation(state, x, 3, 0.1, intervals))


@pytest.mark.parametrize("kind", ["constant", "huge", "tiny", "alternating"])
def test_everything_stays_finite(kind: str) -> None:
    """Constants, values of 1e300, of 1e-300 and jumps between them leave finite words and finite errors."""
    values = {
        "constant": np.full(400, 3.0),
        "huge": np.random.default_rng(5).standard_normal(400) * 1e300,
        "tiny": np.random.default_rng(6).standard_normal(400) * 1e-300,
        "alternating": np.where(np.arange(400) % 7 == 0, -1e308, 1e308),
    }[kind]
    state, errors = fitted(values)
    assert np.isfinite(state).all()
    assert not np.isinf(errors).any()
