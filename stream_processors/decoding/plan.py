"""What the compiled parser knows of a feed: the keys to look for and what each one holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contracts.columns import I64, U8
from contracts.definition import Feed, Number

ENTITY, ID, CATEGORY, NUMBER, TIME = 0, 1, 2, 3, 4  # the first three are texts, and rows of the parser's spans begin at them
UNITS = (None, "s", "ms", "us", "ns")  # index = code of the unit in kernels; 0: told from the magnitude


START, END, KIND, COLUMN, REQUIRED = 0, 1, 2, 3, 4  # columns of Plan.keys


class Plan(NamedTuple):
    """The m keys of a feed: entity, time, the id where there is one, then the fields in the definition's order.

    `names` holds the keys' bytes one after another. A row of `keys` says where a key's name starts and ends there, of
    what kind it is, its index among the numbers or the categories, and whether a record without it is a dead letter.
    """

    names: U8
    keys: I64  # (m, 5)
    numbers: int
    categories: int
    time_unit: int  # index into UNITS


def make_plan(feed: Feed) -> Plan:
    """The plan of a feed."""
    keys: list[tuple[str, int, int, bool]] = [(feed.entity, ENTITY, 0, True), (feed.time, TIME, 0, True)]
    if feed.id is not None:
        keys.append((feed.id, ID, 0, True))
    numbers = categories = 0
    for item in feed.fields:
        if isinstance(item, Number):
            keys.append((item.name, NUMBER, numbers, item.required))
            numbers += 1
        else:
            keys.append((item.name, CATEGORY, categories, item.required))
            categories += 1
    names, rows = b"", []
    for name, kind, column, required in keys:
        rows.append((len(names), len(names) + len(name.encode()), kind, column, int(required)))
        names += name.encode()
    return Plan(np.frombuffer(bytearray(names), np.uint8), np.array(rows, np.int64), numbers, categories, UNITS.index(feed.time_unit))
