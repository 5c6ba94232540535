"""Every feature by its definition, slowly: pandas over the raw accepted readings in log order. No tiles, no merging."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from contracts.definition import Feed

EPSILON = 1e-12  # of the largest value that enters a feature; doubles carry 2e-16
DAY, WEEK = 86_400, 604_800


@dataclass
class Oracle:
    """Collects the readings of one entity and computes the vector as of the newest."""

    feed: Feed
    times: list[int] = field(default_factory=list)
    numbers: list[list[float]] = field(default_factory=list)
    codes: list[list[int]] = field(default_factory=list)

    def add(self, time: int, numbers: list[float], codes: list[int]) -> None:
        self.times.append(time)
        self.numbers.append(numbers)
        self.codes.append(codes)

    def vector(self) -> tuple[dict[str, float], dict[str, float]]:
        """Each feature by name, and the error that is allowed beside a relative 1e-9."""
        with np.errstate(all="ignore"):
            values, allowed = self._features()
        return {name: value if math.isfinite(value) else math.nan for name, value in values.items()}, allowed

    def _features(self) -> tuple[dict[str, float], dict[str, float]]:
        feed = self.feed
        names = [f"n{i}" for i in range(len(feed.numbers))]
        frame = pd.DataFrame(np.array(self.numbers, float).reshape(len(self.times), len(names)), columns=names)
        frame["time"] = pd.Series(self.times, dtype="int64")
        newest = int(frame["time"].max())
        frame["t"] = (frame["time"] - newest) / 1e6
        for i in range(len(feed.categories)):
            frame[f"c{i}"] = [codes[i] for codes in self.codes]
        ordered = frame[frame["time"] >= frame["time"].cummax()]
        values: dict[str, float] = {}
        allowed: dict[str, float] = {}
        windows = [frame["time"] // s > newest // s - feed.tiles for s in feed.tile_us]

        for i, number in enumerate(feed.numbers):
            chosen = number.features or ()
            steps = pairs(ordered, names[i])
            for text, window_us, mask in zip(feed.windows, feed.window_us, windows, strict=True):
                inside = frame[mask]
                x, t = inside[names[i]].dropna(), inside["t"]
                by_name = of_window(inside[names[i]], t, steps[mask.reindex(steps.index)], window_us)
                largest = float(x.abs().max()) if len(x) else 0.0
                for feature in by_name.keys() & set(chosen):
                    values[f"{number.name}_{feature}_{text}"] = by_name[feature]()
                    allowed[f"{number.name}_{feature}_{text}"] = EPSILON * largest
                if "slope" in chosen and t[x.index].nunique() > 1:
                    allowed[f"{number.name}_slope_{text}"] = EPSILON * largest / t[x.index].std()
            for feature, value in last_values(steps, newest).items():
                if feature in chosen:
                    values[f"{number.name}_{feature}"] = value
            if "zscore" in chosen:
                short, long = frame[windows[0]][names[i]].dropna(), frame[windows[-1]][names[i]].dropna()
                values[f"{number.name}_zscore"] = divide(short.mean() - long.mean(), spread(long))
                allowed[f"{number.name}_zscore"] = EPSILON * divide(long.abs().max(), spread(long))

        for item in feed.across:
            a, b = (names[[n.name for n in feed.numbers].index(name)] for name in (item.first, item.second))
            label = f"{item.first}_{item.second}_{item.kind}"
            if item.kind == "correlation":
                for text, mask in zip(feed.windows, windows, strict=True):
                    both = frame[mask][[a, b]].dropna()
                    values[f"{label}_{text}"] = correlation(both[a], both[b])
                    condition = sum(divide(both[c].abs().max(), spread(both[c])) for c in (a, b)) if len(both) > 1 else 0.0
                    allowed[f"{label}_{text}"] = EPSILON * condition**2
            else:
                first, second = (ordered[c].dropna() for c in (a, b))
                x, y = (s.iloc[-1] if len(s) else math.nan for s in (first, second))
                values[label] = x - y if item.kind == "difference" else divide(x, y)

        for i, category in enumerate(feed.categories):
            present = ordered[ordered[f"c{i}"] >= 0][[f"c{i}", "time"]]
            changed = present[f"c{i}"].ne(present[f"c{i}"].shift())  # the first value begins a run
            for text, mask in zip(feed.windows, windows, strict=True):
                codes = frame[mask][f"c{i}"]
                codes = codes[codes >= 0]
                known = len(codes) > 0 and len(present) > 0
                frequency = float((codes == present[f"c{i}"].iloc[-1]).mean()) if known else math.nan
                later = changed.iloc[1:]
                changes = float(later[mask.reindex(later.index)].sum()) if len(codes) else math.nan
                for feature, value in (("frequency", frequency), ("changes", changes)):
                    if feature in (category.features or ()):
                        values[f"{category.name}_{feature}_{text}"] = value
            if "code" in (category.features or ()):
                values[f"{category.name}_code"] = float(present[f"c{i}"].iloc[-1]) if len(present) else math.nan
            if "since_change" in (category.features or ()):
                runs = present.loc[changed, "time"]
                values[f"{category.name}_since_change"] = (newest - runs.iloc[-1]) / 1e6 if len(runs) else math.nan

        if feed.time_features:
            moment = pd.Timestamp(newest, unit="us", tz="UTC")
            midnight = moment.normalize()
            day = (moment - midnight).total_seconds() / DAY
            week = (moment - (midnight - pd.Timedelta(days=midnight.weekday()))).total_seconds() / WEEK
            for name, turn in (("time_of_day", day), ("time_of_week", week)):
                values[f"{name}_sin"], values[f"{name}_cos"] = math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)
                allowed[f"{name}_sin"] = allowed[f"{name}_cos"] = EPSILON
        return values, allowed


def of_window(column: pd.Series, t: pd.Series, steps: pd.DataFrame, window_us: int) -> dict[str, Callable[[], float]]:
    """The features of one field and window; `steps` are the pairs whose later reading lies in it."""
    x = column.dropna()
    return {
        "count": lambda: float(x.count()),
        "mean": x.mean,
        "std": lambda: spread(x),
        "min": x.min,
        "max": x.max,
        "slope": lambda: slope(x, t[x.index]),
        "time_weighted_mean": lambda: time_weighted_mean(steps, window_us),
        "share_missing": lambda: float(column.isna().mean()),
        "increase": lambda: increase(steps) if len(x) else math.nan,
    }


def divide(a: float, b: float) -> float:
    """IEEE division: infinite or NaN where b is 0."""
    return float(np.float64(a) / np.float64(b))


def spread(x: pd.Series) -> float:
    """Sample standard deviation; exactly 0 for equal values, which pandas may miss by a rounding; NaN where infinite."""
    value = 0.0 if len(x) > 1 and x.nunique() == 1 else float(x.std())
    return value if math.isfinite(value) else math.nan


def slope(x: pd.Series, t: pd.Series) -> float:
    if len(x) < 2 or t.nunique() == 1:
        return math.nan
    return float(((t - t.mean()) * (x - x.mean())).sum() / ((t - t.mean()) ** 2).sum()) if x.nunique() > 1 else 0.0


def correlation(x: pd.Series, y: pd.Series) -> float:
    if not (spread(x) > 0 and spread(y) > 0):
        return math.nan
    return float(x.corr(y))


def pairs(ordered: pd.DataFrame, name: str) -> pd.DataFrame:
    """Each present value in order with the one before it; rows keep their place in the log."""
    present = ordered[[name, "time"]].dropna().rename(columns={name: "x"})
    present["before"] = present["x"].shift()
    present["dt"] = present["time"].diff() / 1e6
    return present


def time_weighted_mean(steps: pd.DataFrame, window_us: int) -> float:
    steps = steps.dropna()
    weight = steps["dt"].clip(upper=window_us / 1e6)
    return float((steps["before"] * weight).sum() / weight.sum()) if weight.sum() > 0 else math.nan


def increase(steps: pd.DataFrame) -> float:
    steps = steps.dropna()
    grown = (steps["x"] - steps["before"]).where(steps["x"] >= steps["before"], steps["x"].clip(lower=0))
    return float(grown.sum())


def last_values(steps: pd.DataFrame, newest: int) -> dict[str, float]:
    if not len(steps):
        return dict.fromkeys(("last", "rate", "since", "stuck"), math.nan)
    final = steps.iloc[-1]
    run = steps.loc[steps["x"].ne(steps["x"].shift()), "time"].iloc[-1]
    return {
        "last": final["x"],
        "rate": divide(final["x"] - final["before"], final["dt"]),
        "since": (newest - steps["time"].iloc[-1]) / 1e6,
        "stuck": (steps["time"].iloc[-1] - run) / 1e6,
    }
