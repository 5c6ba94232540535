"""One place on real servers: its topics, records on it, runners that take it, and what then stands on its output topics."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from contracts.definition import Feed
from contracts.records import Switch
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from feature_store.redis_connection import async_client
from producers.sender import Sender
from stream_processors.log_ends import end_offset, end_offsets
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.clients import batch_consumer, free_consumer, has_transactions, plain_producer
from stream_processors.runner.feed_runners import FeedRunners
from stream_processors.runner.partition_runner import PartitionRunner
from stream_processors.topics import ensure_topics
from stream_processors.verification.log_reader import read_batches, read_portions, read_switches
from streamgauge.local_stack import LocalStack
from tests.stream_processors.stream_fold.streams import Log, small_feed

_numbers = itertools.count()
PORTION = 400  # records of one batch of the tests


def fresh_feed(test: str, **settings: Any) -> Feed:
    """A feed that no other test has touched."""
    return small_feed(f"{test}-{next(_numbers)}", **settings)


@contextmanager
def own_store(servers: Servers) -> Iterator[Servers]:
    """The same broker with a store that no other test uses, and that may forget everything."""
    with LocalStack(kafka=servers.kafka) as stack:
        yield stack.servers


def send(servers: Servers, feed: Feed, log: Log) -> None:
    """Puts the log on the feed's events, which has one partition; makes the topics."""
    ensure_topics(feed, servers.kafka)
    with Sender(servers.kafka) as sender:
        sender.send(events_topic(feed), log.keys, log.values)
        sender.flush()


class Shell(NamedTuple):
    """What a worker's process would hold for one feed."""

    feed: Feed
    servers: Servers
    runners: FeedRunners
    consumer: AIOKafkaConsumer
    source: PlainConsumer
    redis: Redis
    producer: AIOKafkaProducer
    transactions: bool

    async def take(self, log: str = "events", owner: str = "worker") -> PartitionRunner:
        """Takes partition 0 of the log."""
        return await self.runners.take(log, 0, owner)

    async def fold(self, runner: PartitionRunner, end: int | None = None) -> None:
        """Folds on from where the runner is, to the end of the log or to `end`."""
        place = runner.place
        if end is None:
            end = await end_offset(self.consumer, TopicPartition(place.topic, 0))
        async for fetched in read_batches(self.source, place.topic, 0, runner.progress.next_offset, end):
            while fetched.batch.n > PORTION:
                portion, fetched = fetched.cut(int(fetched.batch.offset[PORTION]))
                await runner.process(portion)
            await runner.process(fetched)
        await runner.published()

    async def on_topic(self, kind: str) -> list[Any]:
        """Every committed record of an output topic, which has one partition."""
        topic = topic_name(self.feed, kind)
        # a consumer of committed records would call a log empty whose first transaction's mark is still on its way
        end = (await asyncio.to_thread(end_offsets, [(topic, 0)], self.servers.kafka))[topic, 0]
        return [record async for part in read_portions(self.consumer, topic, 0, 0, end) for record in part]

    async def ids(self, kind: str) -> Counter[str]:
        """How often each id stands on an output topic."""
        return Counter(msgspec.json.decode(record.value)["id"] for record in await self.on_topic(kind))

    async def generations(self) -> list[Switch]:
        """The generations of the events, in their order."""
        found = await read_switches(self.feed, self.servers.kafka)
        return [r.switch for r in found if r.switch.kind == "generation" and r.switch.log == events_topic(self.feed)]


@asynccontextmanager
async def shell(servers: Servers, feed: Feed, history: str | None = None) -> AsyncIterator[Shell]:
    """Clients of one worker for one feed, which keeps full copies under the URL `history`; ends them all."""
    found = await asyncio.to_thread(ensure_topics, feed, servers.kafka)
    redis = await async_client(servers.redis)
    producer, consumer, source = plain_producer(servers.kafka), free_consumer(servers.kafka), batch_consumer(servers.kafka)
    await producer.start()
    await consumer.start()
    await source.start()
    transactions = await has_transactions(servers.kafka)
    topics = {topic.name: topic for topic in found.topics.values()}
    runners = FeedRunners(feed, servers.kafka, redis, producer, transactions, topics, history)
    await runners.start()
    try:
        yield Shell(feed, servers, runners, consumer, source, redis, producer, transactions)
    finally:
        await runners.stop()
        await consumer.stop()
        await source.stop()
        await producer.stop()
        await redis.aclose()
