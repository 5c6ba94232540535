"""Logs that become others under a running worker: the topic created anew, the end cut off, partitions added; and a store that forgets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from kafka.admin import KafkaAdminClient

from contracts.definition import Feed
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.partition_reader import PartitionReader
from feature_store.redis_connection import async_client
from feature_store.redis_layout import directory_keys
from producers.sender import Sender
from stream_processors.log_ends import end_offsets
from stream_processors.runner.fold_service import FoldService
from stream_processors.topics import describe_topics, ensure_topics
from tests.apache_kafka import ApacheKafka
from tests.stream_processors.runner.places import fresh_feed, own_store, send, shell
from tests.stream_processors.runner.test_fold_service import LOG, eventually, part, running
from tests.stream_processors.stream_fold.streams import fold_in_cuts

pytestmark = pytest.mark.integration
ALL = len(LOG.values)


def delete(servers: Servers, topic: str) -> None:
    client = KafkaAdminClient(**servers.kafka.client_options())
    client.delete_topics([topic])
    while describe_topics([topic], servers.kafka):
        pass
    client.close()


async def folded(service: FoldService, place: TopicPartition, generation: int, read: int) -> None:
    def done() -> bool:
        runner = service.runners.get(place)
        return runner is not None and (runner.generation, runner.progress.read, runner.changed) == (generation, read, False)

    await eventually(done)
    assert not service.crashed


async def assert_begun_anew(servers: Servers, feed: Feed, cause: str, count: int) -> None:
    """Of the second generation there is what a clean fold of the log as it stands gives, and nothing else."""
    async with shell(servers, feed) as worker:
        assert [g.cause for g in await worker.generations()] == ["first start", cause]
        runner = await worker.take(owner="next")
        assert (runner.generation, runner.progress.next_offset, runner.progress.read) == (2, count, count)
        source = await worker.on_topic("events")
        log = LOG._replace(times=[r.timestamp * 1000 for r in source], keys=[r.key for r in source], values=[r.value for r in source])
        whole = fold_in_cuts(feed, log, [])
        assert runner.fold.all_chunks() == whole.chunks
        prefix = f'{{"id":"{feed.name}/2/'.encode()
        scores = [r.value for r in await worker.on_topic("scores") if r.value.startswith(prefix)]
        assert [s.replace(b"/2/", b"/1/", 1) for s in scores] == [item.value for item in whole.records["scores"]]
        await runner.release()


@pytest.mark.slow
@pytest.mark.parametrize("count", [300, ALL])
def test_a_topic_created_anew_begins_a_generation_under_a_running_worker(servers: Servers, count: int) -> None:
    """Whether the new log is shorter than what was folded of the old one or longer: the worker lives on and folds it from its start."""
    feed = fresh_feed("anew")
    send(servers, feed, part(0, 600))
    place = TopicPartition(events_topic(feed), 0)

    async def scenario() -> None:
        async with running(servers, feed) as service:
            await folded(service, place, 1, 600)
            await asyncio.to_thread(delete, servers, place.topic)
            await asyncio.to_thread(send, servers, feed, part(0, count))
            await folded(service, place, 2, count)
        await assert_begun_anew(servers, feed, "topic recreated", count)

    asyncio.run(scenario())


@pytest.mark.kafka
def test_a_log_whose_end_is_gone_begins_a_generation_under_a_running_worker(stack: Servers) -> None:
    """The broker comes back without the last of what was folded: the worker lives on and folds what is left from its start."""
    feed = fresh_feed("cut")
    place = TopicPartition(events_topic(feed), 0)

    async def scenario(servers: Servers, broker: ApacheKafka) -> None:
        for first in range(0, 600, 100):  # a batch each
            send(servers, feed, part(first, first + 100))
        async with running(servers, feed) as service:
            await folded(service, place, 1, 600)
            await asyncio.to_thread(broker.end, True)
            cut(broker.log_directory / f"{place.topic}-0")
            await asyncio.to_thread(broker.start)
            left = (await asyncio.to_thread(end_offsets, [tuple(place)], servers.kafka))[tuple(place)]
            assert 0 < left < 600
            await folded(service, place, 2, left)
        await assert_begun_anew(servers, feed, "log ends before the stored offset", left)

    with ApacheKafka() as broker, own_store(Servers(broker.settings, stack.redis)) as servers:
        asyncio.run(scenario(servers, broker))


def cut(directory: Path) -> None:
    (log,) = directory.glob("*.log")
    with log.open("r+b") as file:
        file.truncate(int(log.stat().st_size * 0.55))


@pytest.mark.kafka
def test_added_partitions_are_folded_by_running_workers(kafka_stack: Servers) -> None:
    """They are taken with the next look at the topics, and their outputs have partitions of their own; nobody restarts anything."""
    feed = fresh_feed("grown")
    send(kafka_stack, feed, part(0, 600))
    topic = events_topic(feed)

    async def scenario() -> None:
        async with running(kafka_stack, feed) as service:
            await folded(service, TopicPartition(topic, 0), 1, 600)
            await asyncio.to_thread(grow, kafka_stack, topic)
            with Sender(kafka_stack.kafka) as sender:
                await asyncio.to_thread(sender.send, topic, LOG.keys[600:], LOG.values[600:])
            await eventually(lambda: sum(r.progress.read for p, r in service.runners.items() if p.topic == topic) == ALL)
            added = service.runners[TopicPartition(topic, 1)]
            assert added.progress.read
            await eventually(lambda: not added.changed)
            assert not service.crashed
        scores = describe_topics([f"{feed.name}.scores"], kafka_stack.kafka)[f"{feed.name}.scores"]
        assert scores.partitions == 2

    asyncio.run(scenario())


def grow(servers: Servers, topic: str) -> None:
    client = KafkaAdminClient(**servers.kafka.client_options())
    client.create_partitions({topic: 2})
    client.close()
    while describe_topics([topic], servers.kafka)[topic].partitions < 2:
        pass


@pytest.mark.slow
def test_a_store_that_forgets_while_nothing_comes_is_filled_again(stack: Servers) -> None:
    """Without another event its owner notices, and serves and keeps everything again."""
    feed = fresh_feed("quiet")
    place = TopicPartition(events_topic(feed), 0)

    async def scenario(servers: Servers) -> None:
        ensure_topics(feed, servers.kafka)
        send(servers, feed, part(0, 600))
        async with running(servers, feed) as service:
            await folded(service, place, 1, 600)
            entities = service.runners[place].fold.everything_served().entities
            redis = await async_client(servers.redis)
            reader = PartitionReader(redis, feed.name, 0)
            before = await standing(redis, reader, entities)
            await redis.flushall()
            async with asyncio.timeout(30):
                while await standing(redis, reader, entities) != before:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert (await reader.checkpoint()).chunks == service.runners[place].fold.all_chunks()
            await redis.aclose()

    async def standing(redis, reader: PartitionReader, entities: list[bytes]):
        manifest = await reader.manifest()
        found = set(await redis.hkeys(directory_keys(feed.name).entries))
        return await reader.vectors(entities), found, manifest and manifest.offset

    with own_store(stack) as servers:
        asyncio.run(scenario(servers))
