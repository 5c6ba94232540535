"""docs/features.md, out of the catalogue: ``python -m feature_store.feature_page > docs/features.md``."""

from __future__ import annotations

import sys

from feature_store.feature_catalogue import CATALOGUE, Entry

_HEAD = """\
# Features

Generated from `feature_store/feature_catalogue.py` by `python -m feature_store.feature_page`; a test compares.

Each feature is computed from the readings of one entity. *x* are a field's present values, *t* their event times in
seconds, *m* the entity's newest event time: a vector is always as of *m*. A value that is missing, out of the field's
range or not finite is not present. A feature without a value is NaN; a vector never holds an infinity: where a formula
gives one, or divides by zero, the feature is NaN.

**Windows.** A window is `tiles` tiles (6 by default) of length *s* = window / tiles, aligned to the epoch. As of *m* it
covers the tiles ⌊m/s⌋ − tiles + 1 … ⌊m/s⌋, each closed on the left and open on the right; so it reaches back between
window − s and window. It is *partial* while it begins before the entity was first seen.

**Order.** Readings are folded as they come. One that is older than the entity's newest counts in features of *any
order*, in the tile of its own time; features *in order* skip it. Readings of the same event time are in order, as they
stand in the log.

**Names.** `<field>_<feature>_<window>`, such as `temperature_mean_1m`; `<field>_<feature>` for features without a
window, such as `temperature_last`; `<first>_<second>_<feature>[_<window>]` for two fields; the time features as they are.

**Precision.** Sums inside a tile are kept as n, mean and sums about the mean (Welford 1962), and tiles are merged oldest
first (Chan, Golub & LeVeque 1979). Nothing is subtracted when a window moves on, so a spike is gone with its tile.
"""

_TITLES = {
    "number": "Of a number field",
    "counter": "Of a counter, besides those of a number field",
    "two numbers": "Of two number fields, where the definition asks (`across=`)",
    "category": "Of a category field",
    "time": "Of the time (`time_features=`)",
}


def _section(entry: Entry) -> str:
    window = "one a window" if entry.windowed else "no window"
    order = "in order" if entry.in_order else "any order"
    head = f"### {entry.name}\n\n{entry.formula}.\n\nUnit: {entry.unit}; {window}; {order}.\n"
    if entry.of == "time":
        return head
    rows = (
        ("no value", entry.empty),
        ("one value", entry.one),
        ("same event time", entry.ties),
        ("gaps", entry.gaps),
        ("1e300", entry.extremes),
    )
    return head + "\n| case | result |\n|---|---|\n" + "".join(f"| {case} | {result} |\n" for case, result in rows)


def features_page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    for of, title in _TITLES.items():
        parts.append(f"## {title}\n")
        parts += [_section(entry) for entry in CATALOGUE if entry.of == of]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(features_page())
