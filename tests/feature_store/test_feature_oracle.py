"""The compiled features against the pandas oracle, after every reading of streams with all that goes wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from contracts.definition import Category, Correlation, Difference, Feed, Number, Ratio
from tests.feature_store.entity import Entity
from tests.feature_store.oracle import Oracle

RELATIVE = 1e-9
START = 1_709_251_140_000_000  # a Friday, one minute before midnight UTC
Reading = tuple[int, list[float], list[int]]

FULL = Feed(
    "full",
    entity="id",
    time="ts",
    fields=[Number("a"), Number("total", counter=True), Category("mode")],
    windows=["12s", "1m"],
    lateness="30s",
    across=[Correlation("a", "total"), Difference("a", "total"), Ratio("a", "total")],
)
FEW = Feed(
    "few",
    entity="id",
    time="ts",
    fields=[
        Number("a", features=("std", "max")),
        Number("b", features=("slope", "stuck")),
        Number("c", features=("zscore",)),
        Category("x", features=("since_change",)),
        Category("y", values=["run", "idle"], features=("frequency", "code")),
    ],
    windows=["7s", "21s", "70s"],
    tiles=7,
    lateness="2m",
    across=[Ratio("c", "a"), Correlation("c", "b")],
    time_features=False,
)
SINGLE = Feed(
    "single", entity="id", time="ts", fields=[Number("a", counter=True), Number("b")], windows=["10s"], tiles=1, lateness="1us",
    across=[Correlation("b", "a")],
)  # fmt: skip
FEEDS = {feed.name: feed for feed in (FULL, FEW, SINGLE)}


def compare(feed: Feed, readings: list[Reading]) -> int:
    """Folds readings by kernel and oracle and compares each vector; returns how many were accepted."""
    entity, oracle, accepted = Entity(feed), Oracle(feed), 0
    for time, numbers, codes in readings:
        if not entity.add(time, numbers, codes):
            continue
        accepted += 1
        oracle.add(time, numbers, codes)
        actual = entity.named()
        expected, allowed = oracle.vector()
        assert set(actual) == set(expected)
        for name, value in expected.items():
            if math.isnan(value) or math.isnan(actual[name]):
                assert math.isnan(value) and math.isnan(actual[name]), f"{name} after reading {accepted}: {actual[name]}, oracle {value}"
            else:
                bound = RELATIVE * abs(value) + allowed.get(name, 0.0)
                assert abs(actual[name] - value) <= bound, f"{name} after reading {accepted}: {actual[name]}, oracle {value}"
    assert entity.foreign_untouched()
    return accepted


def random_stream(feed: Feed, seed: int, length: int) -> list[Reading]:
    """Readings with gaps, ties, repeats, disorder, missing values, stuck stretches, counter resets and spikes."""
    rng = np.random.default_rng(seed)
    time, readings, level = START, [], rng.normal(0, 10, len(feed.numbers))
    code = 0
    for _ in range(length):
        kind = rng.random()
        if kind < 0.05:
            time += int(rng.integers(1, 200) * 1_000_000)  # a gap, some beyond every window
        elif kind < 0.8:
            time += int(rng.integers(1, 4_000_000))
        elif kind < 0.87:
            pass  # the same event time
        moved = rng.random(len(feed.numbers)) < 0.7
        level = np.where(moved, level + np.abs(rng.normal(0, 1, level.size)), level)
        if rng.random() < 0.05:
            level = rng.normal(0, 3, level.size)
        values = np.where(rng.random(level.size) < 0.15, np.nan, level)
        if rng.random() < 0.03:
            values[rng.integers(values.size)] = rng.choice([1e300, -1e300, 1e17, 0.0])
        if rng.random() < 0.3:
            code = int(rng.integers(0, 16))
        codes = [code if rng.random() < 0.8 else -1 for _ in feed.categories]
        late = int(rng.integers(0, 1 + feed.lateness_us * 11 // 10)) if rng.random() < 0.2 else 0
        readings.append((time - late, [float(v) for v in values], codes))
        if rng.random() < 0.05:
            readings.append(readings[-1])
    return readings


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", list(FEEDS))
def test_random_streams_equal_the_oracle(name: str, seed: int) -> None:
    """Every feature of every vector of a random stream equals the pandas oracle."""
    readings = random_stream(FEEDS[name], seed, 60)
    assert compare(FEEDS[name], readings) > 45


value = st.one_of(
    st.none(), st.integers(-80, 80).map(lambda k: k / 8), st.sampled_from([0.0, -0.0, 1.0, 1e17, -1e17, 1e300, -1e300, 1e-100])
)  # fmt: skip
step = st.one_of(st.just(0), st.integers(-40_000_000, 20_000_000), st.integers(-1, 1).map(lambda k: k * 2_000_000))
reading = st.tuples(step, st.lists(value, min_size=2, max_size=2), st.integers(-1, 15))


@settings(max_examples=30, derandomize=True, deadline=None, database=None, phases=(Phase.generate, Phase.shrink))
@given(st.integers(-3, 3), st.lists(reading, min_size=1, max_size=8))
def test_any_short_stream_equals_the_oracle(origin: int, steps: list[tuple[int, list[float | None], int]]) -> None:
    """Whatever the first few readings are, at tile edges, before the epoch or after it, the vectors equal the oracle."""
    time, readings = origin * 6_000_000, []
    for dt, values, code in steps:
        readings.append((time + dt, [math.nan if v is None else v for v in values], [code]))
        time = max(time, time + dt)
    compare(FULL, readings)
