"""Links to Kafka that go dead: a connection that nobody answers any more is given up, and what was asked is asked again on another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.errors import ServerUnavailable
from contracts.settings import KafkaSettings, Servers
from contracts.topics import events_topic
from stream_processors import topics
from stream_processors.log_ends import end_offset
from stream_processors.runner import clients
from stream_processors.runner.clients import free_consumer
from stream_processors.topics import describe_topics
from tests.apache_kafka import ApacheKafka
from tests.storm.servers import proxied_properties
from tests.stream_processors.runner.places import fresh_feed, send
from tests.stream_processors.runner.test_fold_service import part
from tests.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
REQUEST_MS = 4_000  # instead of the product's, so that the test need not wait for it; a busy machine answers within it


@pytest.fixture(scope="module")
def linked() -> Iterator[tuple[Servers, TcpProxy, KafkaSettings]]:
    """A broker, the link to it, and its address through the link."""
    link, properties = proxied_properties()
    with link, ApacheKafka(properties) as broker:
        yield Servers(broker.settings, ""), link, KafkaSettings.parse(f"127.0.0.1:{link.port}")


@asynccontextmanager
async def on_a_dead_connection(
    linked: tuple[Servers, TcpProxy, KafkaSettings], name: str
) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
    """A consumer that has asked once where 600 readings end, over a link that has died since."""
    servers, link, through = linked
    feed = fresh_feed(name)
    await asyncio.to_thread(send, servers, feed, part(0, 600))
    place = TopicPartition(events_topic(feed), 0)
    consumer = free_consumer(through)
    await consumer.start()
    try:
        assert await end_offset(consumer, place) == 600
        with link.half_open():
            await asyncio.sleep(0.2)
        yield consumer, place
    finally:
        await consumer.stop()


def test_topics_are_not_waited_for_on_a_dead_connection(linked: tuple[Servers, TcpProxy, KafkaSettings], monkeypatch) -> None:
    """A worker that takes places asks for them first: it is told soon that nobody answers, and asks again on another connection."""
    monkeypatch.setattr(topics, "DESCRIBE_MS", REQUEST_MS)
    servers, link, through = linked
    feed = fresh_feed("described")
    send(servers, feed, part(0, 10))
    names = [events_topic(feed)]
    with link.half_open():
        began = time.monotonic()
        with pytest.raises(ServerUnavailable, match="did not describe its topics"):
            describe_topics(names, through)
        assert time.monotonic() - began < 3 * REQUEST_MS / 1000
    assert describe_topics(names, through).keys() == set(names)


def test_an_idle_connection_that_died_is_never_asked(
    linked: tuple[Servers, TcpProxy, KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that was at rest when the link went dead is answered at once afterwards: it does not wait for its old connection first."""
    monkeypatch.setattr(clients, "IDLE_MS", 500)
    servers, link, through = linked
    feed = fresh_feed("idle")
    send(servers, feed, part(0, 600))
    place = TopicPartition(events_topic(feed), 0)

    async def scenario() -> None:
        consumer = free_consumer(through)
        await consumer.start()
        try:
            assert await end_offset(consumer, place) == 600
            async with asyncio.timeout(30):
                while any(connection.connected() for connection in consumer._client._conns.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            with link.half_open():
                await asyncio.sleep(0.2)
            began = time.monotonic()
            assert await end_offset(consumer, place) == 600
            assert time.monotonic() - began < clients.REQUEST_MS / 1000
        finally:
            await consumer.stop()

    asyncio.run(scenario())


def test_what_waits_for_the_cluster_is_answered_over_a_new_connection(
    linked: tuple[Servers, TcpProxy, KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question behind one for metadata, both on a dead connection, does not wait for its own time as well."""
    monkeypatch.setattr(clients, "REQUEST_MS", REQUEST_MS)

    async def scenario() -> None:
        async with on_a_dead_connection(linked, "metadata") as (consumer, place):
            began = time.monotonic()
            asked = consumer._client.force_metadata_update()
            assert await end_offset(consumer, place) == 600
            assert not await asked
            assert time.monotonic() - began < 1.8 * REQUEST_MS / 1000

    asyncio.run(scenario())


def test_a_dead_connection_is_not_asked_for_ever(linked: tuple[Servers, TcpProxy, KafkaSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    """A log's end is found out over a new connection when the old one has stopped to answer."""
    monkeypatch.setattr(clients, "REQUEST_MS", REQUEST_MS)

    async def scenario() -> None:
        async with on_a_dead_connection(linked, "dead") as (consumer, place):
            began = time.monotonic()
            assert await end_offset(consumer, place) == 600
            assert time.monotonic() - began < 3 * REQUEST_MS / 1000

    asyncio.run(scenario())
