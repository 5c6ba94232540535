"""Feeds with targets and labelled vectors of a known relation."""

from __future__ import annotations

import numpy as np

from contracts.definition import Category, Classification, Feed, Number, Regression, Target
from feature_store.feature_columns import feature_names
from training.training_set import TrainingSet

SECOND = 1_000_000
SOME = ("last", "mean", "std")


def feed_with(target: Target, name: str = "lines", numbers: int = 4, label_delay: str = "1m") -> Feed:
    """A feed of a few numbers and a category with stated values."""
    fields = [Number(f"x{n}", features=SOME) for n in range(numbers)] + [Category("mode", values=["run", "idle", "wash"])]
    return Feed(name, "line", "at", fields, windows=["1m"], target=target, label_delay=label_delay, partitions=1)


def regression(name: str = "lines") -> Feed:
    """Predicts a number."""
    return feed_with(Regression("power", "kW"), name)


def classification(classes: int = 3) -> Feed:
    """Predicts one of some classes."""
    return feed_with(Classification("state", [f"class{k}" for k in range(classes)]))


def examples_of(feed: Feed, n: int, seed: int = 0, changed_from: int = 0, curved: bool = False) -> TrainingSet:
    """One a second; the relation changes its sign at `changed_from`. Some values are missing."""
    rng = np.random.default_rng(seed)
    names = feature_names(feed)
    vectors = rng.normal(size=(n, len(names))) * rng.uniform(0.1, 50.0, len(names)) + rng.normal(size=len(names))
    code = names.index("mode_code")
    vectors[:, code] = rng.choice([0.0, 1.0, 2.0, 15.0], n)
    scaled = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    relation = scaled[:, 0] + (scaled[:, 1] * scaled[:, 3] if curved else scaled[:, 3]) + (vectors[:, code] == 1.0)
    truth = np.where(np.arange(n) < changed_from, -relation, relation) + 0.1 * rng.normal(size=n)
    vectors[rng.uniform(size=vectors.shape) < 0.02] = np.nan
    if feed.outputs == 1:
        values = truth[:, None]
    else:
        values = np.eye(feed.outputs)[np.digitize(truth, np.quantile(truth, np.arange(1, feed.outputs) / feed.outputs))]
    return TrainingSet(vectors, values, np.arange(n, dtype=np.int64) * SECOND, changed_from)
