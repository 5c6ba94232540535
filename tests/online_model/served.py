"""Served vectors of a simulated fleet day after day, and a model's reference of the days that it was trained on."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from contracts.definition import Feed, Number, Regression
from contracts.durations import DAY
from contracts.records import FeatureReference
from feature_store.feature_plan import feature_names
from online_model.skew import MEAN, SkewState, update
from training.reference import feature_references

F64 = NDArray[np.float64]
A_DAY = 288  # examples


def fleet_feed(fields: int = 3) -> Feed:
    """Some numbers with their newest value and mean, and a target."""
    numbers = [Number(f"x{i}", features=["last", "mean"]) for i in range(fields)]
    return Feed("f", entity="e", time="t", fields=numbers, windows=["10m"], target=Regression("y"), learn="frozen", time_features=False)


def served_days(feed: Feed, rng: np.random.Generator, days: int, weather: float = 0.5) -> F64:
    """(days, A_DAY, D): a daily cycle, hours that depend on each other, and days that do: an AR(1) of deviation `weather`.

    The whole has a deviation of about 1. Every feature of a field has the field's value with noise of its own.
    """
    names = feature_names(feed)
    fields = len(feed.numbers)
    turn = 2 * np.pi * np.arange(A_DAY) / A_DAY
    within = lfilter([1.0], [1.0, -0.95], rng.standard_normal((days * A_DAY, fields)) * np.sqrt(1 - 0.95**2) * 0.5, axis=0)
    between = lfilter([1.0], [1.0, -0.6], rng.standard_normal((days + 20, fields)) * np.sqrt(1 - 0.36) * weather, axis=0)[20:]
    whole = np.sin(turn)[None, :, None] + within.reshape(days, A_DAY, fields) + between[:, None, :]
    repeated = np.repeat(whole, len(names) // fields, axis=2)
    return repeated + 0.1 * rng.standard_normal(repeated.shape)


def reference_of(feed: Feed, days: F64) -> dict[str, FeatureReference]:
    """What training would say of these days."""
    return feature_references(days.reshape(-1, days.shape[-1]), list(enumerate(feature_names(feed))))


@numba.njit(cache=True)
def fold_days(state: SkewState, days: F64, first: int, block: int, threshold: float) -> list[int]:
    """Days, counted within `days`, at which the mean reached `threshold` after it had been on its ground."""
    opened, risen = [-1], False
    for day in range(days.shape[0]):
        for i in range(days.shape[1]):
            if update(state, days[day, i], True, block, (first + day) * DAY + i * (DAY // A_DAY), day * A_DAY + i):
                if state.words[MEAN] >= threshold and not risen:
                    opened.append(day)
                    risen = True
                elif state.words[MEAN] < 10.0:
                    risen = False
    return opened[1:]
