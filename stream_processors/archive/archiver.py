"""Follows the logs of feeds and writes them to the history, in a process of its own that no worker waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.definition import Feed
from contracts.errors import ServerUnavailable, SettingsError
from contracts.outage import Outage
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from feature_store.history_files import CUT, HistoryFiles
from stream_processors.archive.log_cuts import LogCuts, LogRecord
from stream_processors.archive.positions import archive_consumer, note_position, start_position
from stream_processors.archive.score_cuts import Generation, ScoreCuts, archived_place
from stream_processors.archive.score_decoding import ScoreRecord, decode_scores, vector_of
from stream_processors.runner.clients import stopped
from stream_processors.topics import describe_topics
from stream_processors.verification.log_reader import read_switches

KINDS = ("scores", "events", "labels", "switches")
PORTION = 5_000  # records of one round: some megabytes
WAIT_MS = 500
PAUSE_SECONDS = 0.25  # between rounds: a round for each few records that trickle in costs more than the records

_log = logging.getLogger(__name__)


class Archiver:
    """Writes the chosen logs of feeds under a URL until `stop`; goes on where the files there end.

    Args:
        feeds: whose logs.
        kafka: where.
        url: directory or fsspec URL.
        kinds: of KINDS.
        portion: records of one round; how the logs are cut into rounds changes no byte of the files.

    Raises:
        SettingsError: a kind is unknown or has no topic.
    """

    def __init__(
        self, feeds: Sequence[Feed], kafka: KafkaSettings, url: str, kinds: Iterable[str] = ("scores",), portion: int = PORTION
    ) -> None:
        self._feeds = {feed.name: feed for feed in feeds}
        self._kafka = kafka
        self._kinds = list(dict.fromkeys(kinds))
        self._portion = portion
        self._files = HistoryFiles(url)
        self._generations: dict[str, dict[int, dict[int, Generation]]] = {}  # feed -> partition -> generation
        self._scores: dict[TopicPartition, tuple[Feed, ScoreCuts]] = {}
        self._logs: dict[TopicPartition, LogCuts] = {}
        self._asked: set[tuple[str, int, int]] = set()  # generations that were looked up
        self._topic_ids: dict[str, str | None] = {}
        self._written = 0  # by what was ended by an outage
        self._kafka_outage, self._history_outage = Outage("Kafka", _log), Outage(f"the history at {url}", _log)
        self._stopping = asyncio.Event()
        for kind in self._kinds:
            if kind not in KINDS:
                raise SettingsError(f"--what: no log '{kind}'; choose from {', '.join(KINDS)}")

    def stop(self) -> None:
        """Ends `run` after the round at hand; what is not at its cut stays in the log."""
        self._stopping.set()

    @property
    def files_written(self) -> int:
        """Since the start."""
        return self._written + sum(cuts.written for cuts in self._cuts())

    def _cuts(self) -> list[ScoreCuts | LogCuts]:
        return [*(cuts for _, cuts in self._scores.values()), *self._logs.values()]

    async def run(self, idle: Callable[[], bool] = lambda: False) -> None:
        """Archives until `stop`, or until `idle`, asked after each round that read nothing, says so.

        Kafka or a history that fails is waited for; then it goes on where the files end, as after a start.
        """
        while not self._stopping.is_set():
            try:
                await self._archive(idle)
                return
            except (KafkaError, ServerUnavailable) as error:
                await self._pause(self._kafka_outage.pause(error))
            except OSError as error:
                await self._pause(self._history_outage.pause(error))

    async def _archive(self, idle: Callable[[], bool]) -> None:
        consumer = archive_consumer(self._kafka)
        try:
            await consumer.start()
            await self._assign(consumer)
            self._kafka_outage.over()
            while not self._stopping.is_set():
                fetched = await consumer.getmany(timeout_ms=WAIT_MS, max_records=self._portion)
                for at, records in fetched.items():
                    await self._take(at, records)
                if not any(fetched.values()) and idle():
                    return
                if sum(map(len, fetched.values())) < self._portion:
                    await self._pause(PAUSE_SECONDS)
        finally:
            await stopped(consumer)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _assign(self, consumer: AIOKafkaConsumer) -> None:
        """Opens every partition at the first record that is in no file."""
        topics = {topic_name(feed, kind): (feed, kind) for feed in self._feeds.values() for kind in self._kinds}
        found = await asyncio.to_thread(describe_topics, list(topics), self._kafka)
        for name, (_, kind) in topics.items():
            if name not in found and self._cuts():
                raise ServerUnavailable(f"Kafka does not know topic {name} any more")  # as for a moment after its restart
            if name not in found:
                raise SettingsError(f"there is no topic {name}; start a worker, or leave {kind} out of --what")
        places = [TopicPartition(name, p) for name, state in found.items() for p in range(state.partitions)]
        if "scores" in self._kinds:
            for feed in self._feeds.values():
                await self._read_generations(feed)
        first = await consumer.beginning_offsets(places)
        end = await consumer.end_offsets(places)
        self._topic_ids = {name: state.topic_id for name, state in found.items()}
        consumer.assign(places)
        self._written = self.files_written
        self._scores, self._logs = {}, {}
        for at in places:
            feed, kind = topics[at.topic]
            if kind == "scores":
                place = archived_place(self._files.scores(feed.name), at.partition)
                topic_id = self._topic_ids[at.topic]
                position, whole = start_position(self._files, feed.name, at.partition, topic_id, place, first[at], end[at])
                known = self._generations[feed.name].setdefault(at.partition, {})
                self._scores[at] = (feed, ScoreCuts(feed, at.partition, self._files, known, place, whole))
            else:
                cut = max((f.first + CUT for f in self._files.log(feed.name, kind) if f.partition == at.partition), default=0)
                self._logs[at] = LogCuts(feed.name, kind, at.partition, self._files, cut, first[at])
                position = max(first[at], self._logs[at].cut)
            consumer.seek(at, position)

    async def _take(self, at: TopicPartition, records: list[Any]) -> None:
        if at in self._logs:
            before = self._logs[at].written
            self._logs[at].take([LogRecord(r.offset, r.timestamp * 1000 if r.timestamp >= 0 else -1, r.key, r.value) for r in records])
            if self._logs[at].written > before:
                self._history_outage.over()
            return
        feed, cuts = self._scores[at]
        scores = decode_scores(feed, [r.value for r in records], [vector_of(r.headers) for r in records], [r.offset for r in records])
        if self._brings_unknown(feed, scores):
            await self._read_generations(feed)
        before = cuts.written
        cuts.take(scores)
        if cuts.written > before:
            self._history_outage.over()
            _log.info("%s/%d: history reaches offset %d of generation %d", feed.name, at.partition, cuts.place.cut, cuts.place.generation)
            if cuts.position is not None:
                note_position(self._files, feed.name, at.partition, self._topic_ids[at.topic], cuts.place, cuts.position)

    def _brings_unknown(self, feed: Feed, scores: list[ScoreRecord]) -> bool:
        """Whether there is a generation that has not been looked up since it was first met."""
        met = {(feed.name, score.partition, score.generation) for score in scores} - self._asked
        self._asked |= met
        return any(generation not in self._generations[feed.name].get(partition, {}) for _, partition, generation in met)

    async def _read_generations(self, feed: Feed) -> None:
        """What the switches say; a generation's switch is on its topic before the first of its scores."""
        known = self._generations.setdefault(feed.name, {})
        for _, switch in await read_switches(feed, self._kafka):
            if switch.kind == "generation" and switch.log == topic_name(feed, "events"):
                known.setdefault(switch.partition, {})[switch.generation] = Generation(switch.definition, switch.from_offset)
