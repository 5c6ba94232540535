"""What features are at the edges that the catalogue names, and that nothing outlives its window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contracts.definition import Category, Correlation, Difference, Feed, Number, Ratio
from tests.feature_store.entity import Entity

NAN = math.nan
SECOND = 1_000_000
FEED = Feed(
    "edges",
    entity="id",
    time="ts",
    fields=[Number("a", counter=True), Number("b"), Category("mode")],
    windows=["12s", "1m"],
    across=[Correlation("a", "b"), Difference("a", "b"), Ratio("a", "b")],
)


def after(*readings: tuple[float, float, float, int]) -> dict[str, float]:
    """The vector after readings (seconds, a, b, code)."""
    entity = Entity(FEED)
    for seconds, a, b, code in readings:
        assert entity.add(round(seconds * SECOND), [a, b], [code])
    return entity.named()


def check(vector: dict[str, float], **expected: float) -> None:
    for name, value in expected.items():
        assert vector[name] == pytest.approx(value, rel=1e-12, nan_ok=True), name


def test_no_value_has_its_end() -> None:
    """A reading without any field: counts are 0, share missing is 1, all else of the fields is NaN."""
    vector = after((100, NAN, NAN, -1))
    for name, value in vector.items():
        if name.startswith("time_of"):
            continue
        if "count" in name:
            assert value == 0.0
        elif "share_missing" in name:
            assert value == 1.0
        else:
            assert math.isnan(value), name


def test_one_value_has_its_end() -> None:
    """One value is mean, min, max and last; what needs two is NaN."""
    vector = after((100, 5.0, 2.0, 3), (101, NAN, NAN, -1))
    check(vector, a_count_12s=1, a_mean_12s=5, a_min_1m=5, a_max_1m=5, a_last=5, a_since=1, a_stuck=0, a_share_missing_12s=0.5)
    check(vector, a_std_12s=NAN, a_slope_12s=NAN, a_rate=NAN, a_zscore=NAN, a_time_weighted_mean_12s=NAN, a_increase_12s=0)
    check(vector, a_b_correlation_12s=NAN, a_b_difference=3, a_b_ratio=2.5, mode_frequency_12s=1, mode_changes_12s=0, mode_since_change=1)


def test_plain_values() -> None:
    """A straight line: slope, rate, time-weighted mean and correlation are what a hand computes."""
    vector = after((100, 1.0, -1.0, 0), (101, 2.0, -2.0, 0), (103, 4.0, -4.0, 1))
    check(vector, a_slope_12s=1, a_rate=1, a_time_weighted_mean_12s=(1 * 1 + 2 * 2) / 3, a_b_correlation_12s=-1, a_increase_12s=3)
    check(vector, a_std_12s=math.sqrt(7 / 3), a_mean_12s=7 / 3, a_zscore=0, mode_frequency_12s=1 / 3, mode_changes_12s=1)


def test_ties_have_no_rate() -> None:
    """Two readings of one event time count twice; what divides by the time between them is NaN; the later in the log is last."""
    vector = after((100, 1.0, 1.0, 0), (100, 3.0, 1.0, 1))
    check(vector, a_count_12s=2, a_mean_12s=2, a_last=3, a_rate=NAN, a_slope_12s=NAN, a_time_weighted_mean_12s=NAN, a_increase_12s=2)
    check(vector, b_stuck=0, b_zscore=NAN, a_b_correlation_12s=NAN, mode_changes_12s=1, mode_since_change=0)


def test_a_held_value_weighs_no_more_than_the_window() -> None:
    """A value before a gap of an hour holds for the window's length, not for the hour."""
    vector = after((100, 10.0, 0.0, 0), (3700, 0.0, 0.0, 0), (3703, 0.0, 0.0, 0))
    check(vector, a_time_weighted_mean_12s=10 * 12 / 15, a_time_weighted_mean_1m=10 * 60 / 63, a_count_12s=2, a_rate=0, a_stuck=3)


def test_a_counter_may_reset() -> None:
    """After a reset the new value is the increase; a negative one adds nothing."""
    vector = after((100, 5.0, 0.0, 0), (101, 8.0, 0.0, 0), (102, 2.0, 0.0, 0), (103, -1.0, 0.0, 0), (104, 0.5, 0.0, 0))
    check(vector, a_increase_12s=3 + 2 + 0 + 1.5)


def test_out_of_order_touches_only_features_of_any_order() -> None:
    """A reading older than the newest enters count and mean in its own tile, and leaves last, rate, stuck and changes alone."""
    ordered = after((100, 1.0, 1.0, 0), (105, 3.0, 1.0, 0))
    vector = after((100, 1.0, 1.0, 0), (105, 3.0, 1.0, 0), (102, 99.0, 7.0, 4))
    check(vector, a_count_12s=3, a_max_12s=99, a_mean_12s=103 / 3, mode_frequency_12s=2 / 3)
    for name in ("a_last", "a_rate", "a_since", "a_stuck", "b_stuck", "a_time_weighted_mean_12s", "a_increase_12s", "a_b_difference"):
        assert vector[name] == ordered[name], name
    check(vector, mode_changes_12s=0, mode_since_change=5)


def test_windows_are_left_closed_tiles() -> None:
    """As of m the 12 s window covers six whole tiles of 2 s: a reading on its left edge counts, one just before does not."""
    entity = Entity(FEED)
    entity.add(90 * SECOND - 1, [1.0, NAN], [-1])
    entity.add(90 * SECOND, [2.0, NAN], [-1])
    entity.add(102 * SECOND - 1, [3.0, NAN], [-1])
    assert entity.named()["a_count_12s"] == 2
    entity.add(102 * SECOND, [4.0, NAN], [-1])
    assert entity.named()["a_count_12s"] == 2
    assert entity.named()["a_count_1m"] == 4


def test_partial_until_the_window_is_filled() -> None:
    """A window is partial while it begins before the entity's first reading."""
    entity = Entity(FEED)
    seen = {}
    for seconds in (90, 99, 100, 139, 140):
        entity.add(seconds * SECOND, [1.0, 1.0], [0])
        entity.vector()
        seen[seconds] = entity.partial
    assert seen == {90: 0b11, 99: 0b11, 100: 0b10, 139: 0b10, 140: 0b00}


def test_the_clock_of_day_and_week() -> None:
    """Six in the morning UTC is a quarter of the day; the week begins on Monday."""
    entity = Entity(FEED)
    monday = 1_704_067_200 * SECOND  # 2024-01-01
    entity.add(monday, [1.0, 1.0], [0])
    check(entity.named(), time_of_day_sin=0, time_of_day_cos=1, time_of_week_sin=0, time_of_week_cos=1)
    entity.add(monday + 6 * 3600 * SECOND, [1.0, 1.0], [0])
    check(
        entity.named(),
        time_of_day_sin=1,
        time_of_day_cos=0,
        time_of_week_sin=math.sin(math.pi / 14),
        time_of_week_cos=math.cos(math.pi / 14),
    )


def test_categories_up_to_other() -> None:
    """All sixteen counters are apart from one another; from other to other is no change."""
    entity = Entity(FEED)
    for code in [*range(16), 15, 14]:
        entity.add(100 * SECOND, [1.0, 1.0], [code])
    check(entity.named(), mode_frequency_12s=2 / 18, mode_changes_12s=16)
    entity.add(101 * SECOND, [1.0, 1.0], [3])
    check(entity.named(), mode_frequency_12s=2 / 19, mode_since_change=0)


@pytest.mark.parametrize("spikes", [(1e17,), (1e300, -1e300), (1.7e308, -1.7e308, 1.7e308)], ids=["1e17", "1e300", "1.7e308"])
def test_a_spike_is_gone_with_its_window(spikes: tuple[float, ...]) -> None:
    """Once the longest window and the last values have passed a spike, the vector's bytes are those of a stream without it."""
    rng = np.random.default_rng(3)
    plain, spiked = Entity(FEED), Entity(FEED)
    for spike in spikes:
        plain.add(0, [5.0, 5.0], [0])
        spiked.add(0, [spike, -spike], [0])
        assert not np.isinf(spiked.vector()).any()
    for step in range(1, 140):
        a, b = rng.normal(20, 1, 2)
        for entity in (plain, spiked):
            entity.add(step * SECOND, [a, b], [step % 3])
        assert not np.isinf(spiked.vector()).any()
        if step > 60:
            assert plain.vector().tobytes() == spiked.vector().tobytes()


def test_constant_values_have_no_spread() -> None:
    """A constant that is no dyadic fraction has a std of exactly 0 across tiles, and so neither z-score nor correlation."""
    vector = after(*[(100 + k, 0.1, 3.7, 0) for k in range(40)])
    assert vector["a_std_1m"] == 0.0 and vector["a_mean_1m"] == 0.1
    check(vector, a_zscore=NAN, a_b_correlation_1m=NAN, a_slope_1m=0, a_stuck=39)


def test_a_stale_slot_of_the_ring_is_empty() -> None:
    """After a silence of whole turns of the ring, tiles of the turn before count as empty."""
    vector = after((100, 1.0, 1.0, 0), (103, 2.0, 1.0, 0), (100 + 1200, 7.0, 1.0, 1))
    check(vector, a_count_12s=1, a_count_1m=1, a_mean_1m=7, a_min_1m=7, a_std_1m=NAN, mode_frequency_1m=1)


def test_a_reading_older_than_the_window_is_harmless() -> None:
    """Within a lateness longer than the window, a reading older than the window changes none of the window's features."""
    readings = [(200 + k, float(k), 1.0, 0) for k in range(10)]
    plain, late = after(*readings), after(*readings, (185, 99.0, 9.0, 1))
    for name in plain:
        if name.endswith("_12s"):
            assert late[name] == pytest.approx(plain[name], nan_ok=True), name
    assert late["a_count_1m"] == plain["a_count_1m"] + 1


def test_neighbours_keep_their_rows() -> None:
    """Folding into one slot writes no word of other slots and other parts."""
    entity = Entity(FEED)
    for k in range(200):
        entity.add((100 + 3 * k) * SECOND - (k % 4) * 5 * SECOND, [float(k), 1.0], [k % 16])
        entity.vector()
    assert entity.foreign_untouched()


def test_not_a_number_has_one_pattern() -> None:
    """Every NaN of a vector has the same bits, so that bytes do not depend on how a processor made it."""
    entity = Entity(FEED)
    for value in (1.7e308, -1.7e308, 1.7e308, NAN):
        entity.add(100 * SECOND, [value, -value], [-1])
        vector = entity.vector()
        assert set(vector[np.isnan(vector)].view(np.uint64)) == {0x7FF8000000000000}
