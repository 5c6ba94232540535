"""Follows the logs of feeds and writes them to the history, in a process of its own that no worker waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from contracts.definition import Feed
from contracts.errors import HistoryError, ServerUnavailable, SettingsError
from contracts.outage import Outage
from contracts.settings import KafkaSettings, public_url
from contracts.topics import topic_name
from feature_store.history_files import HistoryFiles
from stream_processors.archive.consumers import scores_consumer
from stream_processors.archive.positions import note_position, start_position
from stream_processors.archive.raw_archiver import RAW_KINDS, RawArchiver, raw_logs
from stream_processors.archive.rounds import FEW, WAIT_MS, pause
from stream_processors.archive.score_cuts import Generation, ScoreCuts, archived_place
from stream_processors.archive.score_decoding import ScoreRecord, decode_scores, vector_of
from stream_processors.runner.clients import stopped
from stream_processors.topics import TopicState, describe_topics
from stream_processors.verification.log_reader import read_switches

TOPICS_SECONDS = 60.0  # an added partition would otherwise be archived from the next start on, and Kafka may have deleted its head by then
KINDS = ("scores", *RAW_KINDS, "dead-letters")

_log = logging.getLogger(__name__)


class _TopicsChanged(Exception):
    """There are more partitions than are read, or a topic is another."""


class Archiver:
    """Writes logs of feeds under a URL until `stop`; goes on where the files there end.

    Args:
        feeds: whose logs.
        kafka: where.
        url: directory or fsspec URL.
        kinds: of KINDS; None: the scores, and what ``archive=`` of each definition names.
        portion: scores of one round; how the logs are cut into rounds changes no byte of the files.

    Raises:
        SettingsError: a kind is unknown or has no topic.
    """

    def __init__(
        self, feeds: Sequence[Feed], kafka: KafkaSettings, url: str, kinds: Iterable[str] | None = None, portion: int = FEW
    ) -> None:
        self._feeds = {feed.name: feed for feed in feeds}
        self._kafka = kafka
        chosen = None if kinds is None else list(dict.fromkeys(kinds))
        for kind in chosen or ():
            if kind not in KINDS:
                raise SettingsError(f"--what: no log '{kind}'; choose from {', '.join(KINDS)}")
        self._portion = portion
        self._files = HistoryFiles(url)
        self._generations: dict[str, dict[int, dict[int, Generation]]] = {}  # feed -> partition -> generation
        self._scores: dict[TopicPartition, tuple[Feed, ScoreCuts]] = {}
        self._score_logs = {topic_name(feed, "scores"): feed for feed in feeds if chosen is None or "scores" in chosen}
        self._raw_logs = raw_logs(feeds, None if chosen is None else [kind for kind in chosen if kind != "scores"])
        self._raw: RawArchiver | None = None
        self._asked: set[tuple[str, int, int]] = set()  # generations that were looked up
        self._topic_ids: dict[str, str | None] = {}
        self._next: dict[TopicPartition, int] = {}  # position on the scores that is read next
        self._written = 0  # by what was ended by an outage
        self._begun = False  # the topics were there once
        self._kafka_outage, self._history_outage = Outage("Kafka", _log), Outage(f"the history at {public_url(url)}", _log)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends `run` after the round at hand; scores that are not at their cut stay in the log, other logs' in an open file."""
        self._stopping.set()

    @property
    def files_written(self) -> int:
        """Whole files since the start."""
        return self._written + sum(cuts.written for _, cuts in self._scores.values()) + (self._raw.written if self._raw else 0)

    async def run(self, idle: Callable[[], bool] = lambda: False) -> None:
        """Archives until `stop`, or until `idle`, asked after each round that read nothing, says so.

        Kafka or a history that fails is waited for; then it goes on where the files end, as after a start.
        """
        while not self._stopping.is_set():
            try:
                await self._archive(idle)
                return
            except _TopicsChanged:
                seconds = 0.0
            except (KafkaError, ServerUnavailable) as error:
                seconds = self._kafka_outage.pause(error)
            except OSError as error:
                seconds = self._history_outage.pause(error)
            self._written, self._scores, self._raw = self.files_written, {}, None
            await pause(self._stopping, seconds)

    async def _archive(self, idle: Callable[[], bool]) -> None:
        found = await asyncio.to_thread(describe_topics, [*self._score_logs, *self._raw_logs], self._kafka)
        for name in (*self._score_logs, *self._raw_logs):
            if name not in found and self._begun:
                raise ServerUnavailable(f"Kafka does not know topic {name} any more")  # as for a moment after its restart
            if name not in found:
                raise SettingsError(f"there is no topic {name}; start a worker, or leave that log out of --what")
        self._begun = True
        work = []
        if self._score_logs:
            work.append(asyncio.create_task(self._archive_scores(found, idle)))
        if self._raw_logs:
            self._raw = RawArchiver(self._raw_logs, found, self._kafka, self._files, self._kafka_outage, self._history_outage)
            work.append(asyncio.create_task(self._raw.run(self._stopping, idle)))
        watch, both = asyncio.create_task(self._watch(found)), asyncio.gather(*work)
        racing: list[asyncio.Future[Any]] = [watch, both]
        try:
            await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
            await both
        finally:  # one has failed: the others must not go on alone
            for task in (*work, watch):
                task.cancel()
            await asyncio.gather(*work, both, watch, return_exceptions=True)

    async def _watch(self, before: Mapping[str, TopicState]) -> None:
        """Until told to stop; raises _TopicsChanged where the topics are not as they were at the start."""
        while not self._stopping.is_set():
            await pause(self._stopping, TOPICS_SECONDS)
            with contextlib.suppress(ServerUnavailable):  # whoever reads from it says so
                found = await asyncio.to_thread(describe_topics, list(before), self._kafka)
                if any(found.get(name, state) != state for name, state in before.items()):
                    raise _TopicsChanged

    async def _archive_scores(self, topics: Mapping[str, TopicState], idle: Callable[[], bool]) -> None:
        consumer = scores_consumer(self._kafka)
        try:
            await consumer.start()
            await self._assign(consumer, topics)
            self._kafka_outage.over()
            while not self._stopping.is_set():
                fetched = await self._draw(consumer)
                for at, records in fetched.items():
                    await self._take(at, records)
                    self._next[at] = records[-1].offset + 1
                if not any(fetched.values()) and idle():
                    return
                if sum(map(len, fetched.values())) < self._portion:
                    await pause(self._stopping)
        finally:
            await stopped(consumer)

    async def _draw(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[Any]]:
        try:
            drawn = await consumer.getmany(timeout_ms=WAIT_MS, max_records=self._portion)
        except OffsetOutOfRangeError as error:
            places = list(error.args[0])
            first = await consumer.beginning_offsets(places)
            for at in places:
                if first[at] <= self._next[at]:
                    raise HistoryError(f"{at.topic}/{at.partition} was created anew or cut short; start the archiver again") from error
                self._scores[at][1].overtaken()
                self._next[at] = first[at]
                consumer.seek(at, first[at])
            return {}
        return {at: records for at, records in drawn.items() if records}

    async def _assign(self, consumer: AIOKafkaConsumer, topics: Mapping[str, TopicState]) -> None:
        """Opens every partition at the first record that is in no file."""
        places = [TopicPartition(name, p) for name in self._score_logs for p in range(topics[name].partitions)]
        for feed in self._score_logs.values():
            await self._read_generations(feed)
        first = await consumer.beginning_offsets(places)
        end = await consumer.end_offsets(places)
        self._topic_ids = {name: state.topic_id for name, state in topics.items()}
        for at in places:
            feed = self._score_logs[at.topic]
            place = archived_place(self._files.scores(feed.name), at.partition)
            topic_id = self._topic_ids[at.topic]
            self._next[at], whole = start_position(self._files, feed.name, at.partition, topic_id, place, first[at], end[at])
            known = self._generations[feed.name].setdefault(at.partition, {})
            self._scores[at] = (feed, ScoreCuts(feed, at.partition, self._files, known, place, whole))
        consumer.assign(places)
        for at in places:
            consumer.seek(at, self._next[at])

    async def _take(self, at: TopicPartition, records: list[Any]) -> None:
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
