"""Which features tell the time, and which of them a model may be taught from so many hours of examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.definition import TIME_FEATURES, Feed
from contracts.durations import DAY, WEEK
from feature_store.feature_columns import feature_names

PERIODS = {name: DAY if "_day_" in name else WEEK for name in TIME_FEATURES}


def within_reach(feed: Feed, source: NDArray[np.int64], span: int) -> NDArray[np.bool_]:
    """(c,) whether design columns read from places `source` of the vector may be used with examples of `span` µs of event time.

    A clock that was seen for a part of its period only runs out of what a model was taught: fitted to one hour of the day, its sine
    lay 25 standard deviations off by the evening, and a small coefficient cost five times the error that the model had.
    """
    periods = np.array([PERIODS.get(name, 0) for name in feature_names(feed)], np.int64)
    return periods[source] <= span
