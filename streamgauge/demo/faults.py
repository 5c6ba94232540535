"""What the demo breaks on purpose: halfway through the live part a worker dies by SIGKILL and the store is emptied."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from contracts.definition import Feed
from contracts.errors import StreamgaugeError
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.readers import FeatureReader
from feature_store.redis_connection import sync_client
from stream_processors.log_ends import end_offsets
from streamgauge.local_stack.child import Child

LOOK_SECONDS = 0.1  # between two looks at what is served: the resolution of the recovery, and no load to speak of


class Faults(NamedTuple):
    """What was done, and what it cost."""

    kills: int
    flushes: int
    recovery_s: float | None  # from the blow until every partition serves what stood on the log then; None: not before the end


class Blow:
    """One worker killed and the store emptied at once; watches from a thread until every partition is served again.

    Args:
        entities: so many that each partition has some.
    """

    def __init__(self, feed: Feed, servers: Servers, entities: Sequence[str]) -> None:
        self._feed, self._servers, self._entities = feed, servers, list(entities)
        self._recovery: float | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def fall(self, worker: Child) -> None:
        """Strikes; returns at once."""
        ends = end_offsets([(events_topic(self._feed), p) for p in range(self._feed.partitions)], self._servers.kafka)
        fallen = time.monotonic()
        worker.kill()
        with contextlib.closing(sync_client(self._servers.redis)) as store:
            store.flushall()
        due = {partition: end for (_, partition), end in ends.items()}
        self._thread = threading.Thread(target=self._watch, args=(due, fallen), daemon=True)
        self._thread.start()

    def cost(self) -> Faults:
        """What it came to; call when everything is folded."""
        if self._thread is None:
            return Faults(0, 0, None)
        self._ended.set()
        self._thread.join()
        return Faults(1, 1, self._recovery)

    def _watch(self, due: dict[int, int], fallen: float) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                served = self._newest_served()
            except StreamgaugeError:  # the store has nothing yet of the feed
                continue
            if all(served.get(partition, -1) >= end for partition, end in due.items()):
                self._recovery = round(time.monotonic() - fallen, 1)
                return

    def _newest_served(self) -> dict[int, int]:
        """The newest offset that a served vector of each partition bears."""
        with FeatureReader(self._servers.redis, self._feed) as reader:
            return reader.read(self._entities).newest_offsets()
