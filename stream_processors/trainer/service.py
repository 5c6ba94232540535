"""The trainer's process: a kafka-python consumer of every feed's `retrain` and `models`, and one training at a time beside it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka.errors import KafkaError

from contracts.definition import Feed
from contracts.errors import HistoryError, ServerUnavailable
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from stream_processors.trainer.aliases import Aliases
from stream_processors.trainer.logs import FeedLogs
from stream_processors.trainer.tracking import Tracking
from stream_processors.trainer.trainer import Trainer

log = logging.getLogger("streamgauge.trainer")

KINDS = ("retrain", "models")  # of topics: what is asked for, and what became of it
SESSION_MS = 6_000  # a dead trainer's requests wait this long; the embedded broker holds a join for half of it
HEARTBEAT_MS = 1_500  # three chances within a session
POLL_MS = 500  # how soon the end of a training, or of the process, is noticed
CLOSE_MS = 1_000  # a broker that is gone would hold up the end of the process
PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)  # seconds after Kafka failed, one after another; asking without a pause keeps it down


class TrainerService:
    """Reads the requests from the log's beginning whenever it is given them: offsets of the group are for lag tools only."""

    def __init__(
        self,
        feeds: list[Feed],
        kafka: KafkaSettings,
        group: str,
        tracking: Tracking,
        with_incidents: bool = False,
        history: str | None = None,
    ) -> None:
        self._feeds = {topic_name(feed, "retrain"): feed for feed in feeds}
        self._kafka, self._group, self._tracking, self._history = kafka, group, tracking, history
        self._with_incidents = with_incidents
        self._aliases = Aliases({topic_name(feed, "models"): feed for feed in feeds}, tracking)
        self._trainers: dict[str, Trainer] = {}
        self._waiting: deque[tuple[str, int, bytes]] = deque()  # requests that must not be answered while another is being trained
        self._topic = ""  # whose requests are being trained
        self._jobs: deque[Future[None]] = deque()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Answers requests until told to stop; what is half done then is found again by the next process."""
        failures = 0
        with ThreadPoolExecutor(1, "trainer") as pool, ThreadPoolExecutor(1, "aliases") as asking:
            while not stopped():
                try:
                    self._serve(pool, asking, stopped)
                except (KafkaError, ServerUnavailable, HistoryError) as error:
                    pause = PAUSES[min(failures, len(PAUSES) - 1)]
                    failures += 1
                    log.warning(
                        "%s failed (%s); again in %.0f s", "the history" if isinstance(error, HistoryError) else "Kafka", error, pause
                    )
                    until = time.monotonic() + pause
                    while time.monotonic() < until and not stopped():
                        time.sleep(0.1)

    def _serve(self, pool: ThreadPoolExecutor, asking: ThreadPoolExecutor, stopped: Callable[[], bool]) -> None:
        consumer = KafkaConsumer(
            **self._kafka.client_options(),
            group_id=self._group,
            enable_auto_commit=True,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        try:
            consumer.subscribe(
                [topic_name(f, kind) for f in self._feeds.values() for kind in KINDS], listener=_FromTheBeginning(self, consumer)
            )
            while not stopped():
                for place, records in consumer.poll(POLL_MS).items():
                    for record in records:
                        self._take(place.topic, record.offset, record.value or b"")
                self._work(pool)
                self._aliases.work(asking)
        finally:
            consumer.close(autocommit=False, timeout_ms=CLOSE_MS)
            while self._jobs:
                self._jobs.popleft().exception()  # waits for it: its steps must not run beside those of a new start

    def taken(self, topics: list[str]) -> None:
        """These topics are this process's from now on; all that is known of them is read anew."""
        self._aliases.taken([topic for topic in topics if topic not in self._feeds])
        self._waiting = deque(item for item in self._waiting if item[0] not in topics)
        for topic in topics:
            if topic in self._feeds:
                logs = FeedLogs(self._feeds[topic], self._kafka, self._history)
                self._trainers[topic] = Trainer(logs, self._tracking, self._with_incidents)

    def _take(self, topic: str, offset: int, value: bytes) -> None:
        if topic in self._feeds:
            self._waiting.append((topic, offset, value))
        else:
            self._aliases.take(topic, value)

    def _work(self, pool: ThreadPoolExecutor) -> None:
        """Begins the next training where none is running; another of its feed is answered at once, but for one that waits."""
        while self._jobs and self._jobs[0].done():
            self._jobs.popleft().result()
            self._aliases.look_again()
        later: deque[tuple[str, int, bytes]] = deque()
        while self._waiting:
            topic, offset, value = self._waiting.popleft()
            if (self._jobs and self._topic != topic) or self._trainers[topic].waits(value, bool(self._jobs)):
                later.append((topic, offset, value))
                continue
            job = self._trainers[topic].answer(offset, value, busy=bool(self._jobs))
            if job:
                self._topic = topic
                self._jobs.append(pool.submit(job))
        self._waiting = later


class _FromTheBeginning(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, service: TrainerService, consumer: KafkaConsumer) -> None:
        self._service, self._consumer = service, consumer

    def on_partitions_revoked(self, revoked: Any) -> None:
        """A training goes on: what it puts on the logs is what its successor would."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Every request is looked at again; those that are answered cost one look."""
        self._service.taken([place.topic for place in assigned])
        if assigned:
            self._consumer.seek_to_beginning(*assigned)
