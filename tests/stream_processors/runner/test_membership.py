"""A worker that joins its group before it can fold: what it is given waits for it, and is given to nobody in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from aiokafka import TopicPartition

from contracts.settings import Servers
from contracts.topics import events_topic
from stream_processors.runner import membership
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.fold_service import FoldService
from stream_processors.runner.membership import join, join_while
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.runner.rebalance import Rebalance
from tests.stream_processors.runner.places import fresh_feed, send, shell
from tests.stream_processors.runner.test_fold_service import LOG, assert_whole, eventually, running


@pytest.mark.integration
def test_what_the_group_gives_while_kernels_are_loaded_is_folded_then(servers: Servers) -> None:
    """Places given before there is a service are not read meanwhile; then each record is folded and put out once."""
    feed = fresh_feed("ahead")
    send(servers, feed, LOG)

    async def scenario() -> None:
        joined = await join([feed], servers.kafka, feed.name)
        place = TopicPartition(events_topic(feed), 0)
        await eventually(lambda: place in joined.consumer.assignment())
        await asyncio.sleep(0.5)
        assert place in joined.consumer.paused() and await joined.consumer.getbatches(timeout_ms=200) == []
        service = FoldService([feed], servers, feed.name, WorkerMetrics(), membership=joined)
        await service.start()
        try:
            await eventually(lambda: place in service.runners)
            runner = service.runners[place]
            await eventually(lambda: runner.progress.read == len(LOG.values) and not runner.changed)
        finally:
            await service.stop()
        async with shell(servers, feed) as worker:
            await assert_whole(worker)

    asyncio.run(scenario())


@pytest.mark.integration
def test_where_others_fold_nothing_is_taken_from_them_before_it_can_be_folded(servers: Servers) -> None:
    """The kernels are loaded first, and no rebalance has begun by then."""
    feed = fresh_feed("others")

    async def scenario() -> None:
        async with running(servers, feed) as service:
            await eventually(lambda: service.ready)
            turn, loaded = service._turn, asyncio.Event()
            loop = asyncio.get_running_loop()
            assert await join_while(lambda: loop.call_soon_threadsafe(loaded.set), [feed], servers.kafka, feed.name) is None
            assert loaded.is_set() and service._turn == turn and service.ready

    asyncio.run(scenario())


@pytest.mark.integration
def test_a_worker_that_cannot_load_leaves_the_group(stack: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others would otherwise wait for a member that heartbeats and never folds."""
    feed, made = fresh_feed("unloaded"), []
    make = membership.group_consumer

    def kept(*arguments: object) -> PlainConsumer:
        made.append(make(*arguments))  # type: ignore[arg-type]
        return made[-1]

    def broken() -> None:
        raise OSError("a library is missing")

    monkeypatch.setattr(membership, "group_consumer", kept)
    with pytest.raises(OSError, match="a library is missing"):
        asyncio.run(join_while(broken, [feed], stack.kafka, feed.name))
    assert made[0]._closed


class Told:
    """A service that notes what it is told, and a consumer that notes what it pauses."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, set[TopicPartition]]] = []

    def pause(self, *places: TopicPartition) -> None:
        self.calls.append(("pause", set(places)))

    async def assigned(self, places: Iterable[TopicPartition]) -> None:
        self.calls.append(("assigned", set(places)))

    async def revoked(self, places: Iterable[TopicPartition]) -> None:
        self.calls.append(("revoked", set(places)))


def test_a_service_is_not_told_of_what_was_taken_away_before_there_was_one() -> None:
    """It would take places whose next owner folds them already."""
    told, one, other = Told(), {TopicPartition("t", 0)}, {TopicPartition("t", 1)}

    async def scenario() -> None:
        listener = Rebalance(told)  # type: ignore[arg-type]
        await listener.on_partitions_assigned(one)
        await listener.on_partitions_revoked(one)
        await listener.serve(told)  # type: ignore[arg-type]
        await listener.on_partitions_assigned(other)

    asyncio.run(scenario())
    assert told.calls == [("pause", one), ("assigned", other)]
