"""Outputs that are published beside the fold: their order, their bound, and what a producer that was fenced amid them says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.errors import KafkaError

from contracts.definition import Feed
from contracts.errors import Fenced
from contracts.settings import Servers
from contracts.topics import topic_name
from stream_processors.log_fold import OutRecord
from stream_processors.runner import publisher as publisher_module
from stream_processors.runner.clients import transactional_producer
from stream_processors.runner.publisher import Encoded, Publisher
from stream_processors.topics import ensure_topics
from tests.stream_processors.runner.places import fresh_feed, shell

pytestmark = pytest.mark.integration


def test_what_is_handed_over_meanwhile_goes_into_the_next_transaction(servers: Servers) -> None:
    """Nobody waits for a transaction's end; what came in three calls is published in two, in its order."""
    feed = fresh_feed("meanwhile")

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            publisher = (await worker.take())._publisher
            held, begun = hold(publisher)
            for value in (b"1", b"2", b"3"):
                publisher.hand_over(record(feed, value))
                await asyncio.sleep(0)  # the first begins at once
            assert begun == [1]
            held.set()
            await publisher.published()
            assert begun == [1, 2]
            assert [found.value for found in await worker.on_topic("scores")] == [b"1", b"2", b"3"]
            assert publisher.ends[topic_name(feed, "scores"), 0] >= 3
            await publisher.close()

    asyncio.run(scenario())


def test_who_is_far_ahead_waits(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as much waiting as may, there is room when a transaction has begun with it: memory does not grow."""
    monkeypatch.setattr(publisher_module, "AHEAD_BYTES", 50)
    feed = fresh_feed("ahead")

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            publisher = (await worker.take())._publisher
            held, begun = hold(publisher)
            await hand_over_two(publisher, feed)
            waiting = asyncio.create_task(publisher.room())
            await asyncio.sleep(0.1)
            assert (begun, waiting.done()) == ([1], False)
            held.set()
            await waiting
            await publisher.published()
            assert begun == [1, 1]
            await publisher.close()

    asyncio.run(scenario())


def test_who_waits_for_room_is_told_that_publishing_has_ended(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction fails while more than may waits behind it: nothing would ever make room."""
    monkeypatch.setattr(publisher_module, "AHEAD_BYTES", 50)
    feed = fresh_feed("ended")

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            publisher = (await worker.take())._publisher

            async def failing(_: Sequence[Encoded]) -> None:
                raise KafkaError("the broker is gone")

            publisher.publish = failing  # type: ignore[method-assign]
            held, _ = hold(publisher)
            await hand_over_two(publisher, feed)
            held.set()
            await asyncio.sleep(0.1)  # it has failed before anybody waits
            async with asyncio.timeout(5):
                with pytest.raises(KafkaError, match="is gone"):
                    await publisher.room()
            await publisher.close()

    asyncio.run(scenario())


def record(feed: Feed, value: bytes) -> dict[str, list[OutRecord]]:
    return {topic_name(feed, "scores"): [OutRecord(0, 0, 0, b"key", value)]}


async def hand_over_two(publisher: Publisher, feed: Feed) -> None:
    """One whose transaction begins, and one that waits behind it."""
    publisher.hand_over(record(feed, b"in hand"))
    await asyncio.sleep(0)  # it begins
    publisher.hand_over(record(feed, b"waits"))


def hold(publisher: Publisher) -> tuple[asyncio.Event, list[int]]:
    """Holds up transactions until the event is set; (event, batches of each that has begun)."""
    publish, held, begun = publisher.publish, asyncio.Event(), list[int]()

    async def slow(batches: Sequence[Encoded]) -> None:
        begun.append(len(batches))
        await held.wait()
        await publish(batches)

    publisher.publish = slow  # type: ignore[method-assign]
    return held, begun


@pytest.mark.kafka
def test_a_fenced_producer_is_told_from_a_broken_one_however_late_its_transaction_is_aborted(kafka_stack: Servers) -> None:
    """Fenced is what comes out also where the client has given the producer up before the abort; afterwards it publishes nothing."""
    feed = fresh_feed("fenced")
    ensure_topics(feed, kafka_stack.kafka)
    records = record(feed, b"value")

    async def scenario() -> None:
        one, other = (transactional_producer(kafka_stack.kafka, f"{feed.name}/0") for _ in range(2))
        await one.start()
        await other.start()
        publisher = Publisher(one, transactional=True)
        send = publisher._send

        async def given_up(batches: Sequence[Encoded]) -> None:
            try:
                await send(batches)
            finally:
                async with asyncio.timeout(10):
                    while not one._txn_manager.is_fatal_error():  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

        publisher._send = given_up  # type: ignore[method-assign]
        publisher.hand_over(records)
        for _ in range(2):  # what has ended it is told whenever it is asked
            with pytest.raises(Fenced):
                await publisher.published()
        with pytest.raises(Fenced):
            publisher.hand_over(records)
        with pytest.raises(KafkaError, match="can publish no more"):
            await publisher.publish([])
        await publisher.close()
        await other.stop()

    asyncio.run(scenario())
