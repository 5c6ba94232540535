"""Places that the group gives this worker and that it does not fold yet, or no longer: each with the moment of its next try."""

from __future__ import annotations

import math
from collections.abc import Iterable

from aiokafka import TopicPartition

PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)  # seconds: each try puts a record on `switches`, which are kept for ever
FORGIVEN_SECONDS = 120.0  # after which a failure is the first again


class Untaken:
    """What is to be taken, in order; the clock's values (monotonic seconds) come from the caller."""

    def __init__(self) -> None:
        self._due: dict[TopicPartition, float] = {}
        self._failed: dict[TopicPartition, tuple[int, float]] = {}  # how often lately, and when last

    def assign(self, places: Iterable[TopicPartition], now: float) -> None:
        """These are to be taken now, and no others."""
        self._due = dict.fromkeys(sorted(places), now)

    def let_go(self, place: TopicPartition, now: float, least: float = 0.0) -> float:
        """It is to be taken again; returns the seconds until then, more at each failure, and `least` at least."""
        times, last = self._failed.get(place, (0, now))
        times = 0 if now - last > FORGIVEN_SECONDS else times
        pause = max(PAUSES[min(times, len(PAUSES) - 1)], least)
        self._failed[place] = (times + 1, now)
        self._due[place] = now + pause
        return pause

    def stand(self, place: TopicPartition) -> None:
        """It is not to be taken before it is assigned again."""
        self._due[place] = math.inf

    @property
    def standing(self) -> int:
        """How many are not to be taken."""
        return sum(due == math.inf for due in self._due.values())

    def due(self, now: float) -> list[TopicPartition]:
        """Places to be taken now, in order."""
        return [place for place, due in self._due.items() if due <= now]

    def next(self, now: float) -> TopicPartition | None:
        """The first place that is due; None where there is none."""
        return next(iter(self.due(now)), None)

    def taken(self, place: TopicPartition) -> None:
        """It is folded from here on, or not ours any more."""
        self._due.pop(place, None)

    def clear(self) -> None:
        """Nothing is ours any more."""
        self._due = {}

    def __len__(self) -> int:
        return len(self._due)
