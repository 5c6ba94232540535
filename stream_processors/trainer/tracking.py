"""What the trainer asks of a place where versions are shown; nothing there is ever true against `<feed>.models`."""

from __future__ import annotations

from typing import Protocol

from contracts.definition import Feed
from contracts.records import RetrainRequest, Snapshot
from training.search import Trained


class Tracking(Protocol):
    """Where runs are shown."""

    def record(self, snapshot: Snapshot, trained: Trained, request: RetrainRequest, examples: tuple[int, int]) -> None:
        """Shows a version, its candidates and its request; once, however often it is called."""

    def follow(self, feed: Feed, champion: Snapshot | None, challenger: Snapshot | None) -> bool:
        """Shows which versions serve and run beside; False where one that was trained is not shown yet, and this is to be done again."""
