"""Entity state as rows of 64-bit words, so that its bytes are known beforehand and a checkpoint is a copy.

All that the fold knows of one entity is one row. Two views show the same memory: `F` (float64) and `W` (int64), both of
shape (slots, width). A *part* (features, detector cells, calibration, …) owns a run of words of every row and consists of

* a plan: a NamedTuple of integers and arrays made from the definition, with `base` (first word) and `words` (how many);
* ``reset_<part>(F, W, slot, plan)``: what its words are for an entity just seen;
* one or more compiled functions that update or read its words of one slot.

Event times are whole microseconds below 2**53, so either view may hold them; NaN marks "no value".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WORD = 8  # bytes


def new_rows(slots: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Zeroed rows as their two views (F, W) over the same memory."""
    words = np.zeros((slots, width), np.int64)
    return words.view(np.float64), words
