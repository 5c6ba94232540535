"""The anomaly score that Python engines have at hand: river's Half-Space Trees on scaled inputs, one model a process."""

from __future__ import annotations

from river.anomaly import HalfSpaceTrees
from river.preprocessing import MinMaxScaler


class AnomalyScore:
    """Scores a reading, then learns it; trees as many, as deep and as forgetful as streamgauge's."""

    def __init__(self) -> None:
        self._scale = MinMaxScaler()
        self._trees = HalfSpaceTrees(n_trees=25, height=8, window_size=250, seed=1)

    def __call__(self, x: dict[str, float]) -> float:
        """In [0, 1]; 0 until the first window is full."""
        self._scale.learn_one(x)
        scaled = self._scale.transform_one(x)
        score = self._trees.score_one(scaled)
        self._trees.learn_one(scaled)
        return score
