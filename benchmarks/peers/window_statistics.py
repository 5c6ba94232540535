"""Count, mean, std, min and max of three fields over a window: one flat list that every engine can keep as JSON.

Layout: count, then mean, M2, min, max of each field. Welford (1962), as streamgauge does: sums of squares would cancel.
"""

from __future__ import annotations

import struct
from math import sqrt

FIELDS = ("temperature", "vibration", "pressure")
INPUTS = tuple(f"{field}_{feature}" for field in FIELDS for feature in ("mean", "std"))
_PACK = struct.Struct("<13d").pack

State = list[float]


def add(state: State, a: float, b: float, c: float) -> State:
    """A new state with one more reading; an empty list is the empty window."""
    if not state:
        return [1, a, 0.0, a, a, b, 0.0, b, b, c, 0.0, c, c]
    n, ma, sa, la, ha, mb, sb, lb, hb, mc, sc, lc, hc = state
    n += 1
    da, db, dc = a - ma, b - mb, c - mc
    ma, mb, mc = ma + da / n, mb + db / n, mc + dc / n
    return [
        n,
        *(ma, sa + da * (a - ma), a if a < la else la, a if a > ha else ha),
        *(mb, sb + db * (b - mb), b if b < lb else lb, b if b > hb else hb),
        *(mc, sc + dc * (c - mc), c if c < lc else lc, c if c > hc else hc),
    ]


def merge(one: State, other: State) -> State:
    """Two states as one (Chan, Golub & LeVeque 1979)."""
    if not one or not other:
        return one or other
    n, m = one[0], other[0]
    out: State = [n + m]
    for at in (1, 5, 9):
        delta = other[at] - one[at]
        out += (
            one[at] + delta * m / (n + m),
            one[at + 1] + other[at + 1] + delta * delta * n * m / (n + m),
            min(one[at + 2], other[at + 2]),
            max(one[at + 3], other[at + 3]),
        )
    return out


def vector(state: State) -> State:
    """The features: as the state, with the sample standard deviation in the place of M2 (0 for one reading)."""
    n = state[0]
    spare = n - 1 or 1
    out = state.copy()
    out[2], out[6], out[10] = sqrt(out[2] / spare), sqrt(out[6] / spare), sqrt(out[10] / spare)
    return out


def packed(features: State) -> bytes:
    """What stands in Redis: 13 doubles. JSON or a hash would cost every engine more."""
    return _PACK(*features)


def inputs(features: State) -> dict[str, float]:
    """What the anomaly model looks at: mean and std of each field, as streamgauge's does."""
    return dict(zip(INPUTS, (features[1], features[2], features[5], features[6], features[9], features[10]), strict=True))
