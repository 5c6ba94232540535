from __future__ import annotations

import numpy as np
import pytest

from contracts.definition import TIME_FEATURES, Feed, Number, Regression
from contracts.durations import DAY, HOUR, WEEK
from feature_store.feature_columns import feature_names
from online_model.predictor import predict
from online_model.predictor_bytes import predictor_from_bytes
from training.clocks import within_reach
from training.search import train
from training.training_set import TrainingSet


def lines() -> Feed:
    """A feed whose vector tells the time as well."""
    return Feed("lines", "line", "at", [Number("x", features=["last"])], windows=["1m"], target=Regression("power"), label_delay="1m")


def examples(feed: Feed, begin: int, n: int) -> tuple[TrainingSet, np.ndarray]:
    """n examples five seconds apart; the target falls with `x`, which rises through the day, and knows nothing of the hour."""
    rng = np.random.default_rng(begin % 97)
    times = begin + np.arange(n, dtype=np.int64) * 5_000_000
    angle = 2 * np.pi * (times % DAY) / DAY
    x = np.sin(angle) + 0.5 * rng.normal(size=n)
    named = {"x_last": x, "time_of_day_sin": np.sin(angle), "time_of_day_cos": np.cos(angle)}
    vectors = np.array([named.get(name, np.zeros(n)) for name in feature_names(feed)]).T.copy()
    truth = 3.0 - x + 0.3 * rng.normal(size=n)
    return TrainingSet(vectors, truth[:, None], times, 0), truth


@pytest.mark.parametrize(("span", "told"), [(DAY - 1, 0), (DAY, 2), (WEEK - 1, 2), (WEEK, 4)])
def test_a_clock_is_used_where_its_whole_period_was_seen(span: int, told: int) -> None:
    """Of the vector's places those of clocks are left out until examples span their period; others are always within reach."""
    feed = lines()
    names = np.array(feature_names(feed))
    reach = within_reach(feed, np.arange(len(names)), span)
    clocks = np.isin(names, TIME_FEATURES)
    assert reach[~clocks].all() and int(reach[clocks].sum()) == told


def test_what_was_learnt_in_one_hour_holds_at_every_other() -> None:
    """A model taught from 40 minutes of a day is as good twelve hours on as it was then."""
    feed = lines()
    taught, _ = examples(feed, 10 * HOUR, 480)
    later, truth = examples(feed, 22 * HOUR, 480)
    trained = train(feed, taught)
    served = predictor_from_bytes(trained.state, later.vectors.shape[1], 1)
    error = float(np.mean(np.abs(predict(served, later.vectors)[:, 0] - truth)))
    assert error < 1.3 * trained.metrics["mae"]
