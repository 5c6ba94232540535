"""The columns of a feed's feature vector: names, windows and fields, in order."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.definition import Feed
from contracts.errors import DefinitionError
from feature_store.feature_catalogue import BY_NAME, Entry


@dataclass(frozen=True)
class Column:
    """One number of the vector."""

    name: str
    entry: Entry
    window: int  # index into feed.windows, or −1
    field: int  # index into feed.numbers (feed.categories for a category's feature), or −1
    other: int = -1  # the second field of a feature of two numbers


def feature_columns(feed: Feed) -> list[Column]:
    """The vector's columns: number fields, pairs of them, category fields, time.

    Raises:
        DefinitionError: two columns would have the same name.
    """
    columns: list[Column] = []
    for index, number in enumerate(feed.numbers):
        for name in number.features or ():
            columns += _spread(feed, f"{number.name}_{name}", BY_NAME[name], index)
    names = [number.name for number in feed.numbers]
    for item in feed.across:
        label = f"{item.first}_{item.second}_{item.kind}"
        columns += _spread(feed, label, BY_NAME[item.kind], names.index(item.first), names.index(item.second))
    for index, category in enumerate(feed.categories):
        for name in category.features or ():
            columns += _spread(feed, f"{category.name}_{name}", BY_NAME[name], index)
    if feed.time_features:
        columns += [Column(entry.name, entry, -1, -1) for entry in BY_NAME.values() if entry.of == "time"]
    seen: set[str] = set()
    for column in columns:
        if column.name in seen:
            raise DefinitionError(f"feed '{feed.name}': two features are named '{column.name}'; rename a field or drop a repeat in across")
        seen.add(column.name)
    return columns


def _spread(feed: Feed, label: str, entry: Entry, field: int, other: int = -1) -> list[Column]:
    if not entry.windowed:
        return [Column(label, entry, -1, field, other)]
    return [Column(f"{label}_{text}", entry, window, field, other) for window, text in enumerate(feed.windows)]


def feature_names(feed: Feed) -> tuple[str, ...]:
    """Names of the vector's numbers, in order, such as ``temperature_mean_1m``."""
    return tuple(column.name for column in feature_columns(feed))


def feature_windows(feed: Feed) -> tuple[int, ...]:
    """Index of each feature's window in feed.windows; −1 where it has none."""
    return tuple(column.window for column in feature_columns(feed))


def feature_fields(feed: Feed) -> tuple[int, ...]:
    """Index of each feature's field in feed.numbers; −1 for those of categories, of two fields, and of time."""
    return tuple(column.field if column.entry.of in ("number", "counter") else -1 for column in feature_columns(feed))
