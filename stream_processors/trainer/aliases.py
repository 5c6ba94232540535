"""MLflow's aliases follow `<feed>.models`: `champion` names what serves, `challenger` what runs beside it."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from contracts.definition import Feed
from contracts.records import Rollout, Snapshot
from stream_processors.models_log import Models
from stream_processors.trainer.tracking import Tracking

log = logging.getLogger("streamgauge.trainer")

AGAIN_SECONDS = 10.0  # after MLflow failed, or did not have the version yet, which is registered after it has asked to be tried


class Aliases:
    """What the models topics say, and a call of MLflow wherever it may say something else.

    The topics are read from the beginning at each start, so aliases that were missed, or moved by hand, are put right.
    MLflow is asked on a thread of its own: requests do not wait for a server that is slow.
    """

    def __init__(self, feeds: dict[str, Feed], tracking: Tracking) -> None:
        self._feeds, self._tracking = feeds, tracking
        self._models: dict[str, Models] = {}
        self._due: dict[str, float] = {}  # topic -> monotonic time from which MLflow is to be looked at
        self._job: tuple[str, Future[bool]] | None = None

    def taken(self, topics: list[str]) -> None:
        """These topics are read by this process from now on, from their beginning, and no others."""
        self._models = {topic: Models() for topic in topics}
        self._due = {}

    def take(self, topic: str, value: bytes) -> None:
        """Takes a record of a models topic; weights are not kept."""
        if topic not in self._models:
            return
        record = self._models[topic].take(value)
        if isinstance(record, Snapshot):
            self._models[topic].snapshots[record.version] = msgspec.structs.replace(record, state="")
        if isinstance(record, Rollout):
            self._due[topic] = time.monotonic()

    def look_again(self) -> None:
        """MLflow has been written to: a version registered as the challenger may be none any more."""
        self._due |= {topic: time.monotonic() for topic in self._models}

    def work(self, pool: ThreadPoolExecutor) -> None:
        """Takes in what became of the last call, and makes the next where one is due."""
        if self._job is not None:
            topic, future = self._job
            if not future.done():
                return
            self._job = None
            if topic in self._models and not future.result():
                self._due.setdefault(topic, time.monotonic() + AGAIN_SECONDS)
        for topic, due in list(self._due.items()):
            rollout = self._models[topic].rollout
            if rollout is None:
                del self._due[topic]
            elif due <= time.monotonic():
                del self._due[topic]
                self._job = (topic, pool.submit(self._follow, self._feeds[topic], rollout, dict(self._models[topic].snapshots)))
                return

    def _follow(self, feed: Feed, rollout: Rollout, snapshots: dict[str, Snapshot]) -> bool:
        try:
            return self._tracking.follow(feed, snapshots.get(rollout.champion or ""), snapshots.get(rollout.challenger or ""))
        except Exception as error:  # aliases are for people to look at; nothing waits for them
            log.warning("%s: MLflow's aliases do not follow (%s); again in %.0f s", feed.name, error, AGAIN_SECONDS)
            return False
