"""Outputs that are published in transactions: what a producer that was fenced amid them says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.errors import KafkaError

from contracts.errors import Fenced
from contracts.settings import Servers
from contracts.topics import topic_name
from stream_processors.log_fold import OutRecord
from stream_processors.runner.clients import transactional_producer
from stream_processors.runner.publisher import Encoded, Publisher
from stream_processors.topics import ensure_topics
from tests.stream_processors.runner.places import fresh_feed

pytestmark = [pytest.mark.integration, pytest.mark.kafka]


def test_a_fenced_producer_is_told_from_a_broken_one_however_late_its_transaction_is_aborted(kafka_stack: Servers) -> None:
    """Fenced is what comes out also where the client has given the producer up before the abort; afterwards it publishes nothing."""
    feed = fresh_feed("fenced")
    ensure_topics(feed, kafka_stack.kafka)
    records = {topic_name(feed, "scores"): [OutRecord(0, 0, 0, b"key", b"value")]}

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
        await publisher.hand_over(records)
        for _ in range(2):  # what has ended it is told whenever it is asked
            with pytest.raises(Fenced):
                await publisher.published()
        with pytest.raises(Fenced):
            await publisher.hand_over(records)
        with pytest.raises(KafkaError, match="can publish no more"):
            await publisher.publish([])
        await publisher.close()
        await other.stop()

    asyncio.run(scenario())
