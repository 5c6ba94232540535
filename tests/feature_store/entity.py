"""One entity fed through the compiled kernels, in a row with foreign words on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.definition import Feed
from feature_store.feature_kernels import reset_features, update_features, write_vector
from feature_store.feature_plan import feature_names, plan_features
from feature_store.rows import new_rows

FOREIGN = 0x5EA5_0F_C0DE  # words that belong to other parts of the row
BASE = 5
SLOT = 1


class Entity:
    """Row 1 of three; its features begin at word 5."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.plan = plan_features(feed, BASE)
        self.names = feature_names(feed)
        self.F, self.W = new_rows(3, BASE + self.plan.words + 4)
        self.W[:] = FOREIGN
        reset_features(self.F, self.W, SLOT, self.plan)
        self.newest: int | None = None
        self.first_time = 0
        self.partial = 0

    def add(self, time: int, numbers: list[float], codes: list[int]) -> bool:
        """Folds one reading unless it is late; says which."""
        if self.newest is None:
            self.newest = self.first_time = time
        if time < self.newest - self.feed.lateness_us:
            return False
        in_order = time >= self.newest
        self.newest = max(self.newest, time)
        update_features(
            self.F, self.W, SLOT, self.plan, time, self.newest, in_order, np.array(numbers, np.float64), np.array(codes, np.int64)
        )
        return True

    def vector(self) -> NDArray[np.float64]:
        out = np.full(self.plan.dimension, 77.0)
        self.partial = write_vector(self.F, self.W, SLOT, self.plan, self.newest, self.first_time, out)
        return out

    def named(self) -> dict[str, float]:
        return dict(zip(self.names, map(float, self.vector()), strict=True))

    def foreign_untouched(self) -> bool:
        own = self.W[SLOT, BASE : BASE + self.plan.words].copy()
        self.W[SLOT, BASE : BASE + self.plan.words] = FOREIGN
        untouched = bool((self.W == FOREIGN).all())
        self.W[SLOT, BASE : BASE + self.plan.words] = own
        return untouched
