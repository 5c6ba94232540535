"""Every feature: its formula, and what it is at the edges. docs/features.md is generated from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from feature_store.tiles import Accumulator


class Feature(IntEnum):
    """What a row of a feature plan computes; the lower-case name is the definition's and the vector's."""

    COUNT = 0
    MEAN = 1
    STD = 2
    MIN = 3
    MAX = 4
    SLOPE = 5
    TIME_WEIGHTED_MEAN = 6
    SHARE_MISSING = 7
    INCREASE = 8
    ZSCORE = 9
    CORRELATION = 10
    FREQUENCY = 11
    CHANGES = 12
    LAST = 13
    RATE = 14
    SINCE = 15
    STUCK = 16
    SINCE_CHANGE = 17
    DIFFERENCE = 18
    RATIO = 19
    CODE = 20
    TIME_OF_DAY_SIN = 21  # features of time come last: the kernel tells them by their number
    TIME_OF_DAY_COS = 22
    TIME_OF_WEEK_SIN = 23
    TIME_OF_WEEK_COS = 24


@dataclass(frozen=True)
class Entry:
    """A feature's definition. x are the field's present values, t their event times in seconds, m the entity's newest event time."""

    feature: Feature
    of: str  # number, counter, category, two numbers, time
    windowed: bool  # one a window
    in_order: bool  # readings out of order skip it
    unit: str
    formula: str
    empty: str  # no present value (in the window, where there is one)
    one: str  # a single present value
    ties: str  # several readings at one event time
    gaps: str  # missing values, silence
    extremes: str  # 1e300 and the like; an infinite or undefined result is always NaN
    accumulators: tuple[Accumulator, ...] = ()
    marks: bool = False  # reads the field's last value in order

    @property
    def name(self) -> str:
        """As the definition and the vector write it."""
        return self.feature.name.lower()


_PLAIN = "each counts"
_GONE = "gone with its tile"

CATALOGUE: tuple[Entry, ...] = (
    Entry(
        Feature.COUNT,
        "number",
        True,
        False,
        "values",
        "n = number of present values",
        "0",
        "1",
        _PLAIN,
        "missing values do not count",
        "counts like any value",
        (Accumulator.COUNT,),
    ),
    Entry(
        Feature.MEAN,
        "number",
        True,
        False,
        "field's",
        "x̄ = Σ x / n",
        "NaN",
        "the value",
        _PLAIN,
        "missing values do not count",
        f"NaN where two values lie more than 1.8e308 apart; {_GONE}",
        (Accumulator.MOMENTS,),
    ),
    Entry(
        Feature.STD,
        "number",
        True,
        False,
        "field's",
        "√(Σ (x − x̄)² / (n − 1)), the sample standard deviation",
        "NaN",
        "NaN",
        _PLAIN,
        "missing values do not count",
        f"NaN where Σ (x − x̄)² is beyond 1.8e308; {_GONE}",
        (Accumulator.MOMENTS,),
    ),
    Entry(
        Feature.MIN,
        "number",
        True,
        False,
        "field's",
        "smallest x",
        "NaN",
        "the value",
        _PLAIN,
        "missing values do not count",
        f"exact; {_GONE}",
        (Accumulator.EXTREMES,),
    ),
    Entry(
        Feature.MAX,
        "number",
        True,
        False,
        "field's",
        "largest x",
        "NaN",
        "the value",
        _PLAIN,
        "missing values do not count",
        f"exact; {_GONE}",
        (Accumulator.EXTREMES,),
    ),
    Entry(
        Feature.SLOPE,
        "number",
        True,
        False,
        "field's / s",
        "Σ (t − t̄)(x − x̄) / Σ (t − t̄)², the least-squares line's",
        "NaN",
        "NaN",
        "each counts; NaN where all share one time",
        "missing values do not count",
        f"NaN where a sum is beyond 1.8e308; {_GONE}",
        (Accumulator.TREND,),
    ),
    Entry(
        Feature.TIME_WEIGHTED_MEAN,
        "number",
        True,
        True,
        "field's",
        "Σ xᵢ₋₁·dt / Σ dt over pairs of successive present values in order, dt = min(tᵢ − tᵢ₋₁, window); a pair belongs to the "
        "tile of its later value",
        "NaN",
        "NaN, unless a value before the window makes a pair with it",
        "a pair of one time weighs nothing; NaN where all do",
        "the value before a gap holds over it, at most for the window's length",
        f"NaN where Σ is beyond 1.8e308; {_GONE}",
        (Accumulator.HOLD,),
        True,
    ),
    Entry(
        Feature.SHARE_MISSING,
        "number",
        True,
        False,
        "share",
        "1 − n / readings",
        "1",
        "1 − 1 / readings",
        _PLAIN,
        "a reading without the field, or with an impossible value, is missing; silence is not",
        "counts like any value",
        (Accumulator.COUNT,),
    ),
    Entry(
        Feature.INCREASE,
        "counter",
        True,
        True,
        "field's",
        "Σ over pairs of successive present values in order: xᵢ − xᵢ₋₁, or after a reset (xᵢ < xᵢ₋₁) xᵢ, at least 0; a pair "
        "belongs to the tile of its later value",
        "NaN",
        "0, unless a value before the window makes a pair with it",
        _PLAIN,
        "the pair spans it",
        f"NaN where Σ is beyond 1.8e308; {_GONE}",
        (Accumulator.INCREASE, Accumulator.COUNT),
        True,
    ),
    Entry(
        Feature.ZSCORE,
        "number",
        False,
        False,
        "1",
        "(x̄ of the shortest window − x̄ of the longest) / std of the longest; 0 where there is one window",
        "NaN",
        "NaN",
        "NaN where the longest window's std is 0",
        "missing values do not count",
        "NaN where a part is NaN",
        (Accumulator.MOMENTS,),
    ),
    Entry(
        Feature.LAST,
        "number",
        False,
        True,
        "field's",
        "newest present value in order",
        "NaN",
        "the value",
        "the one that came last in the log",
        "stays",
        "exact; gone with the next value",
        (),
        True,
    ),
    Entry(
        Feature.RATE,
        "number",
        False,
        True,
        "field's / s",
        "(xᵢ − xᵢ₋₁) / (tᵢ − tᵢ₋₁) of the last two present values in order",
        "NaN",
        "NaN",
        "NaN",
        "spans it",
        "NaN where xᵢ − xᵢ₋₁ is beyond 1.8e308; gone after two values",
        (),
        True,
    ),
    Entry(
        Feature.SINCE,
        "number",
        False,
        True,
        "s",
        "m − time of the newest present value in order",
        "NaN",
        "m − its time",
        "0",
        "grows while values are missing",
        "counts like any value",
        (),
        True,
    ),
    Entry(
        Feature.STUCK,
        "number",
        False,
        True,
        "s",
        "time of the newest present value − time of the first of the run of equal values that it ends, in order",
        "NaN",
        "0",
        "a run is in log order",
        "missing values do not break a run; the time after its newest value does not count",
        "a value like any other",
        (),
        True,
    ),
    Entry(
        Feature.CORRELATION,
        "two numbers",
        True,
        False,
        "1",
        "Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)² · Σ (y − ȳ)²) over readings with both, kept within ±1",
        "NaN",
        "NaN",
        _PLAIN,
        "a reading without one of them does not count; NaN where a field is constant",
        f"NaN where a sum is beyond 1.8e308; {_GONE}",
        (Accumulator.PAIR,),
    ),
    Entry(
        Feature.DIFFERENCE,
        "two numbers",
        False,
        True,
        "field's",
        "last of the first field − last of the second",
        "NaN",
        "NaN until each has one",
        "the ones that came last in the log",
        "stays",
        "NaN beyond 1.8e308",
        (),
        True,
    ),
    Entry(
        Feature.RATIO,
        "two numbers",
        False,
        True,
        "1",
        "last of the first field / last of the second; NaN where that is 0",
        "NaN",
        "NaN until each has one",
        "the ones that came last in the log",
        "stays",
        "NaN beyond 1.8e308",
        (),
        True,
    ),
    Entry(
        Feature.FREQUENCY,
        "category",
        True,
        False,
        "share",
        "readings with the current value / readings with any; the current value is the newest in order",
        "NaN",
        "1 or 0",
        _PLAIN,
        "readings without the field do not count",
        "all values after the fifteenth are one: other",
        (Accumulator.CATEGORY,),
        True,
    ),
    Entry(
        Feature.CHANGES,
        "category",
        True,
        True,
        "changes",
        "number of readings in order whose value differs from the one before; a change belongs to the tile of its later value",
        "NaN",
        "0, or 1 where the value before the window differs",
        "in log order",
        "missing values do not change anything",
        "from other to other is no change",
        (Accumulator.CATEGORY,),
        True,
    ),
    Entry(
        Feature.SINCE_CHANGE,
        "category",
        False,
        True,
        "s",
        "m − time of the first value of the current run, in order",
        "NaN",
        "m − its time",
        "a run is in log order",
        "grows while values are missing",
        "from other to other is no change",
        (),
        True,
    ),
    Entry(
        Feature.CODE,
        "category",
        False,
        True,
        "",
        "place of the current value in the `values` that the definition states, from 0; a greater number for another value",
        "NaN",
        "its place",
        "the later one in log order",
        "stays while values are missing",
        "no other value has a stated place",
        (),
        True,
    ),
    *(
        Entry(
            feature,
            "time",
            False,
            False,
            "1",
            f"{function}(2π · {part})",
            "of m like any",
            "of m like any",
            "of m like any",
            "of m like any",
            "of m like any",
        )
        for feature, function, part in (
            (Feature.TIME_OF_DAY_SIN, "sin", "(m mod 1 d) / 1 d), UTC"),
            (Feature.TIME_OF_DAY_COS, "cos", "(m mod 1 d) / 1 d), UTC"),
            (Feature.TIME_OF_WEEK_SIN, "sin", "time since Monday 00:00 UTC / 7 d"),
            (Feature.TIME_OF_WEEK_COS, "cos", "time since Monday 00:00 UTC / 7 d"),
        )
    ),
)

BY_NAME = {entry.name: entry for entry in CATALOGUE}
