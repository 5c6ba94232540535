"""The places of one feed that this worker owns, and what they share: switches, transactions, tails."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from contracts.definition import Feed
from contracts.errors import ServerUnavailable
from contracts.outage import Outage
from contracts.settings import KafkaSettings
from contracts.topics import events_topic, feed_topics, topic_name
from feature_store.partition_store import PartitionStore
from feature_store.redis_layout import vector_lifetime_s
from stream_processors.joiner.joiner_runner import JoinerRunner
from stream_processors.joiner.score_follower import ScoreFollower
from stream_processors.log_ends import end_offset
from stream_processors.models_log import ModelsLog
from stream_processors.runner.clients import batch_consumer, free_consumer, stopped, transactional_producer
from stream_processors.runner.new_generation import LogBounds, is_another
from stream_processors.runner.partition_runner import PartitionRunner
from stream_processors.runner.place import Place
from stream_processors.runner.publisher import Publisher
from stream_processors.runner.switch_log import SwitchLog
from stream_processors.topics import AS_EVENTS, TopicState, describe_topics, ensure_topics


class FeedRunners:
    """Makes the runners of one feed; clients are shared by all of them but for transactional producers."""

    def __init__(
        self,
        feed: Feed,
        settings: KafkaSettings,
        redis: Redis,
        producer: AIOKafkaProducer,
        transactions: bool,
        topics: dict[str, TopicState],
        history: str | None = None,
        outage: Outage | None = None,
    ) -> None:
        self.feed = feed
        self._settings = settings
        self._redis = redis
        self._producer = producer
        self._transactions = transactions
        self._topics = topics  # by name, as they were last seen
        self._history = history
        self._outage = outage  # of Redis, which is then waited for
        self._fencing: dict[str, AIOKafkaProducer] = {}  # started for places that are to be taken
        self._switch_reader = free_consumer(settings)
        self._tail = batch_consumer(settings)
        self._scores = ScoreFollower(feed, settings) if feed.target is not None else None
        self._switches = SwitchLog(topic_name(feed, "switches"), producer, self._switch_reader)
        self._models_reader = free_consumer(settings) if feed.target is not None else None
        self.models = ModelsLog(topic_name(feed, "models"), self._models_reader) if self._models_reader is not None else None

    async def start(self) -> None:
        """Connects the readers."""
        await self._switch_reader.start()
        self._switch_reader.assign([TopicPartition(topic_name(self.feed, "switches"), 0)])
        await self._switches.begin()
        await self._tail.start()
        if self._models_reader is not None and self.models is not None:
            await self._models_reader.start()
            await self.models.read_to_end()

    async def stop(self) -> None:
        """Closes the readers."""
        await self.forget_fenced()
        clients = [client for client in (self._switch_reader, self._tail, self._models_reader) if client is not None]
        ends = [stopped(client) for client in clients]
        await asyncio.gather(*ends, *([self._scores.stop()] if self._scores is not None else []))

    async def look_at_topics(self) -> None:
        """Sees them as they are now: one that was created anew has another id.

        Raises:
            ServerUnavailable: the broker does not describe them.
        """
        names = [topic_name(self.feed, kind) for kind in feed_topics(self.feed)]
        self._topics = await asyncio.to_thread(describe_topics, names, self._settings)

    async def prepare_topics(self) -> None:
        """The same before places are taken: partitions that were added to events need those of their outputs."""
        await self.look_at_topics()
        events = self._topics.get(events_topic(self.feed))
        derived = [self._topics.get(topic_name(self.feed, kind)) for kind in AS_EVENTS]
        if events is not None and any(topic is None or topic.partitions < events.partitions for topic in derived):
            found = await asyncio.to_thread(ensure_topics, self.feed, self._settings)
            self._topics = {topic.name: topic for topic in found.topics.values()}

    def is_another(self, runner: PartitionRunner) -> bool:
        """Whether the topic that a runner folds has been created anew, as far as it was looked at."""
        return is_another(runner.topic_id, self._topic_id(runner.place.topic))

    def _topic_id(self, topic: str) -> str | None:
        found = self._topics.get(topic)
        return found.topic_id if found is not None else None

    async def take(self, log: str, partition: int, owner: str, is_cut: bool = False) -> PartitionRunner:
        """Takes a place; the runner's progress says from where to read.

        Args:
            is_cut: the log's end was seen to be gone.

        Raises:
            ServerUnavailable: a server does not answer, or there is no such topic.
            Superseded: another definition has taken the place over while this worker ran.
        """
        place = Place(self.feed, log, partition)
        if place.topic not in self._topics:
            raise ServerUnavailable(f"there is no topic {place.topic}")
        store = PartitionStore(self._redis, self.feed.name, place.store_name, vector_lifetime_s(self.feed), self._outage)
        runner = self._runner(place, store, await self._publisher(place), owner)
        try:
            await runner.take(await self._bounds(place, is_cut), self._tail)
        except BaseException:
            await runner.abandon()
            raise
        return runner

    def _runner(self, place: Place, store: PartitionStore, publisher: Publisher, owner: str) -> PartitionRunner:
        if place.log == "labels" and self._scores is not None:
            return JoinerRunner(place, store, publisher, self._switches, owner, self._history, follower=self._scores)
        models = self.models if place.log == "events" else None
        return PartitionRunner(place, store, publisher, self._switches, owner, self._history, models)

    async def fence(self, log: str, partition: int) -> None:
        """Ends what the owner before has left open, ahead of `take`.

        Places share output partitions: of several that a worker takes one after the other, the first would wait for the end
        of a transaction that only the start of another's producer ends.
        """
        name = Place(self.feed, log, partition).transactional_id
        if self._transactions and name not in self._fencing:
            self._fencing[name] = await self._started(name)

    async def forget_fenced(self) -> None:
        """What was fenced is not to be taken after all."""
        fenced, self._fencing = self._fencing, {}
        await asyncio.gather(*(stopped(producer) for producer in fenced.values()))

    async def _publisher(self, place: Place) -> Publisher:
        if not self._transactions:
            return Publisher(self._producer, transactional=False)
        name = place.transactional_id
        return Publisher(self._fencing.pop(name, None) or await self._started(name), transactional=True)

    async def _started(self, name: str) -> AIOKafkaProducer:
        producer = transactional_producer(self._settings, name)
        try:
            await producer.start()
        except BaseException:
            await stopped(producer)
            raise
        return producer

    async def _bounds(self, place: Place, is_cut: bool) -> LogBounds:
        at = TopicPartition(place.topic, place.partition)
        start = (await self._tail.beginning_offsets([at]))[at]
        return LogBounds(start, await end_offset(self._tail, at), self._topic_id(place.topic), is_cut)
