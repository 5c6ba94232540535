"""Which numbers of the vector the anomaly model looks at.

Half-Space Trees draw one feature a split: with sixty inputs of which one is unusual their score hardly moves (area under
the ROC curve .62 where six inputs give .99, tests/online_model/test_score_inputs.py). So a field is shown by what says
most of it: its last value, its rate, and location and spread of its shortest window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from feature_store.feature_columns import feature_columns

SHOWN = ("last", "rate", "zscore")
SHOWN_OF_SHORTEST_WINDOW = ("mean", "std")


def score_inputs(feed: Feed) -> NDArray[np.int64]:
    """Places in the vector of the model's inputs, rising; the whole vector where none of the preferred ones was chosen."""
    columns = feature_columns(feed)
    numbers = [
        at
        for at, column in enumerate(columns)
        if column.entry.of == "number"
        and (column.entry.name in SHOWN or (column.entry.name in SHOWN_OF_SHORTEST_WINDOW and column.window == 0))
    ]
    return np.array(numbers or range(len(columns)), np.int64)
