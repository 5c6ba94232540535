"""Signals have the statistics that their parts state, and no part disturbs another."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.durations import DAY, HOUR, MINUTE
from contracts.errors import InputError
from producers.signals import Counter, Dependence, Modes, Noise, Season, Signal, SignalSource

START = 1_767_225_600_000_000


def times(steps: int, entities: int, cadence: int) -> np.ndarray:
    return np.repeat(START + np.arange(steps)[:, None] * cadence, entities, axis=1)


def values(signals, modes=(), steps=5000, entities=4, cadence=MINUTE, seed=1):
    return SignalSource(signals, modes, entities, cadence, seed).values(times(steps, entities, cadence))


def test_noise_has_its_standard_deviation_and_correlation():
    """AR(1) noise of std 2 and φ 0.7 has sample std 2 and lag-one correlation 0.7, from the first reading on."""
    out, _ = values([Signal("x", 10.0, Noise(2.0, 0.7))], entities=50)
    x = out["x"] - 10.0
    assert x.std() == pytest.approx(2.0, rel=0.03)
    assert (x[1:] * x[:-1]).mean() / x.var() == pytest.approx(0.7, abs=0.02)
    assert x[0].std() == pytest.approx(2.0, rel=0.35)


def test_a_season_is_a_sine_of_event_time():
    """A daily season of amplitude 3 peaks a quarter of a day after midnight and is gone after half a day."""
    out, _ = values([Signal("x", 0.0, Noise(0.0), seasons=[Season("1d", 3.0)])], steps=24, cadence=HOUR)
    assert out["x"][6] == pytest.approx(3.0)
    assert out["x"][12] == pytest.approx(0.0, abs=1e-12)
    assert out["x"][18] == pytest.approx(-3.0)


def test_a_dependence_adds_gain_times_the_deviation():
    """A field without noise of its own that depends on another with gain 0.5 is its level plus half the other's deviation."""
    signals = [Signal("child", 7.0, Noise(0.0), depends=[Dependence("parent", 0.5)]), Signal("parent", 100.0, Noise(4.0), spread=5.0)]
    source = SignalSource(signals, (), 4, MINUTE, 1)
    out, _ = source.values(times(100, 4, MINUTE))
    np.testing.assert_allclose(out["child"], 7.0 + 0.5 * (out["parent"] - source.level["parent"]))
    assert source.noise_std == {"parent": 4.0, "child": 2.0}


def test_fields_share_the_noise_of_a_hidden_signal():
    """Two fields that depend on one hidden signal are correlated as the shares of its noise in theirs say."""
    shared = [Dependence("hidden", 1.0)]
    out, _ = values(
        [Signal("hidden", 0.0, Noise(1.0)), Signal("a", 0.0, Noise(1.0), depends=shared), Signal("b", 0.0, Noise(1.0), depends=shared)]
    )
    assert np.corrcoef(out["a"].ravel(), out["b"].ravel())[0, 1] == pytest.approx(0.5, abs=0.03)


def test_blocks_continue_where_the_last_one_ended():
    """Ten blocks of ten steps are the same as one of a hundred: noise, counters and modes alike."""
    parts = [Signal("x", 0.0, Noise(1.0, 0.9)), Counter("n", 3.0, wraps_at=200.0)]
    modes = [Modes("mode", ["a", "b", "c"], mean_stay="5m")]
    whole, whole_codes = SignalSource(parts, modes, 3, MINUTE, 1).values(times(100, 3, MINUTE))
    source = SignalSource(parts, modes, 3, MINUTE, 1)
    pieces = [source.values(times(100, 3, MINUTE)[i : i + 10]) for i in range(0, 100, 10)]
    for name in ("x", "n"):
        np.testing.assert_array_equal(np.concatenate([p[0][name] for p in pieces]), whole[name])
    np.testing.assert_array_equal(np.concatenate([p[1]["mode"] for p in pieces]), whole_codes["mode"])


def test_another_signal_leaves_the_noise_of_the_first_alone():
    """A field's readings are the same whatever other fields and modes there are."""
    alone, _ = values([Signal("x", 0.0, Noise(1.0))], steps=50)
    among, _ = values([Signal("w", 0.0, Noise(1.0)), Signal("x", 0.0, Noise(1.0)), Counter("n", 1.0)], [Modes("m", ["a", "b"])], steps=50)
    np.testing.assert_array_equal(alone["x"], among["x"])


def test_modes_stay_as_long_as_they_say():
    """A chain with a mean stay of an hour, read each minute, leaves its mode in one of sixty steps, to every other mode."""
    _, codes = values([], [Modes("mode", ["a", "b", "c"], mean_stay="1h")], steps=20_000)
    changed = codes["mode"][1:] != codes["mode"][:-1]
    assert changed.mean() == pytest.approx(1 / 60, rel=0.1)
    assert set(np.unique(codes["mode"])) == {0, 1, 2}


def test_a_mode_shifts_the_level():
    """In mode b, a signal without noise reads its level plus what it states for b."""
    out, codes = values([Signal("x", 5.0, Noise(0.0), modes={"b": 2.0})], [Modes("mode", ["a", "b"], mean_stay="10m")], steps=500)
    np.testing.assert_array_equal(out["x"], np.where(codes["mode"] == 1, 7.0, 5.0))


def test_a_counter_grows_and_starts_again():
    """A counter never falls but to 0, and grows by about what it states."""
    out, _ = values([Counter("n", 10.0, wraps_at=30_000.0)])
    step = np.diff(out["n"], axis=0)
    assert step[step > 0].mean() == pytest.approx(10.0, rel=0.02)
    assert np.all(out["n"][1:][step < 0] == 0.0)
    assert (step < 0).any()
    assert out["n"].max() <= 30_000.0


@pytest.mark.parametrize("on", ["a", "nothing"])
def test_a_circle_or_an_unknown_signal_is_refused(on):
    """A dependence on itself or on a signal that is not there is named in the error."""
    with pytest.raises(InputError, match="'a' depends"):
        SignalSource([Signal("a", 0.0, Noise(1.0), depends=[Dependence(on, 1.0)])], (), 1, DAY, 1)
