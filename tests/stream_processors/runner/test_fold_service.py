"""The service that owns a worker's places: what an error amid a batch or a checkpoint leaves for the next worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.definition import Feed
from contracts.errors import Fenced, ServerUnavailable
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.partition_store import PartitionStore, Taken
from stream_processors.migration.migration import Migration
from stream_processors.runner import fold_service
from stream_processors.runner.fold_service import FoldService
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.runner.partition_runner import PartitionRunner
from tests.stream_processors.runner.places import Shell, fresh_feed, send, shell
from tests.stream_processors.stream_fold.streams import Log, fold_in_cuts, hostile

pytestmark = pytest.mark.integration
LOG, _ = hostile(fresh_feed("plan"), 11, 1_200, 7)


def part(first: int, last: int) -> Log:
    return Log(LOG.times[first:last], LOG.keys[first:last], LOG.values[first:last], first)


async def eventually(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if done():
                return
            await asyncio.sleep(0.05)


async def worker_that_fails(stack: Servers, feed: Feed, break_it: Callable[[PartitionRunner], None]) -> None:
    """A worker that has folded and checkpointed the first part of the log when it breaks; it ends in order when it has gone on."""
    service = FoldService([feed], stack, feed.name, WorkerMetrics())
    await service.start()
    try:
        place = TopicPartition(events_topic(feed), 0)
        await eventually(lambda: place in service.runners)
        runner = service.runners[place]
        await eventually(lambda: runner.progress.read == 600 and not runner.changed)
        break_it(runner)
        await asyncio.to_thread(send, stack, feed, part(600, len(LOG.values)))
        await eventually(lambda: place in service.runners and service.runners[place] is not runner)
        successor = service.runners[place]
        await eventually(lambda: successor.progress.read == len(LOG.values) and not successor.changed)
    finally:
        await service.stop()


async def assert_whole(worker: Shell) -> None:
    """A worker that goes on has, byte for byte, the state and the outputs of one that nothing interrupted."""
    runner = await worker.take(owner="next")
    await worker.fold(runner)
    source = await worker.on_topic("events")
    whole = fold_in_cuts(worker.feed, LOG._replace(times=[r.timestamp * 1000 for r in source]), [])
    assert runner.fold.all_chunks() == whole.chunks
    for kind in ("scores", "dead-letters", "evidence"):
        assert [r.value for r in await worker.on_topic(kind)] == [item.value for item in whole.records.get(kind, [])], kind
    await runner.release()


def refuse_to_publish(runner: PartitionRunner) -> None:
    async def refused(records: object) -> None:
        raise KafkaError

    runner._publisher.publish = refused  # type: ignore[method-assign]


def fail_once_to_stage(runner: PartitionRunner) -> None:
    stage = runner._store._stage

    async def unreachable(parts: object) -> bool:
        runner._store._stage = stage  # type: ignore[method-assign]
        raise ServerUnavailable("Redis does not answer")

    runner._store._stage = unreachable  # type: ignore[method-assign]


@pytest.mark.parametrize("break_it", [refuse_to_publish, fail_once_to_stage])
def test_a_place_at_which_something_failed_is_let_go_and_taken_again(stack: Servers, break_it: Callable[[PartitionRunner], None]) -> None:
    """Outputs that could not be published, and chunks of a checkpoint that failed, are not behind the state that is gone on with."""
    feed = fresh_feed("fails")
    send(stack, feed, part(0, 600))

    async def scenario() -> None:
        await worker_that_fails(stack, feed, break_it)
        async with shell(stack, feed) as worker:
            await assert_whole(worker)

    asyncio.run(scenario())


@asynccontextmanager
async def running(stack: Servers, feed: Feed) -> AsyncIterator[FoldService]:
    service = FoldService([feed], stack, feed.name, WorkerMetrics())
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def test_a_place_lost_to_a_worker_that_is_gone_is_taken_back(stack: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zombie takes a place that the group gives to another, and ends: who lets go takes it back, and all is folded once."""
    monkeypatch.setattr(fold_service, "TAKE_AGAIN_SECONDS", 0.2)
    feed = fresh_feed("zombie")
    send(stack, feed, part(0, 600))
    place = TopicPartition(events_topic(feed), 0)

    async def scenario() -> None:
        async with shell(stack, feed) as worker:
            async with running(stack, feed) as service:
                await eventually(lambda: place in service.runners and service.runners[place].progress.read == 600)
                before = service.runners[place].epoch
                with contextlib.suppress(Fenced):  # it may be taken back from the zombie before it has restored anything
                    await (await worker.take(owner="zombie")).abandon()
                await asyncio.to_thread(send, stack, feed, part(600, len(LOG.values)))
                await eventually(
                    lambda: place in service.runners and service.runners[place].epoch > before
                )  # until then it is the lost one
                await eventually(lambda: place in service.runners and service.runners[place].progress.read == len(LOG.values))
            await assert_whole(worker)

    asyncio.run(scenario())


def test_a_worker_outlives_being_overtaken_while_it_takes_a_place(stack: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another owner's record comes between a worker's own and its call to the store: it lets go, lives on, and tries again."""
    monkeypatch.setattr(fold_service, "TAKE_AGAIN_SECONDS", 0.2)
    feed = fresh_feed("overtaken")
    send(stack, feed, LOG)
    place = TopicPartition(events_topic(feed), 0)
    take, others = PartitionStore.take, []

    async def scenario() -> None:
        async with shell(stack, feed) as worker:

            async def overtaken(store: PartitionStore, epoch: int) -> Taken:
                if not others and store._partition == 0:
                    others.append("overtakes")
                    await (await worker.take(owner="other")).abandon()  # nobody holds the place yet who could take it back
                return await take(store, epoch)

            monkeypatch.setattr(PartitionStore, "take", overtaken)
            async with running(stack, feed) as service:
                await eventually(lambda: place in service.runners and service.runners[place].progress.read == len(LOG.values))
                assert others
                assert not service._crashed.is_set()
            await assert_whole(worker)

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_place_that_was_migrated_is_not_taken_back(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    """A worker of the old definition that runs on, idle or with events to fold, leaves the place to the new one and says so."""
    monkeypatch.setattr(fold_service, "TAKE_AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(fold_service, "LOOK_SECONDS", 0.2)
    caplog.set_level(logging.ERROR)
    old = fresh_feed("superseded")
    new = replace(old, windows=["1m", "5m", "2h"])
    send(servers, old, part(0, 600))
    place = TopicPartition(events_topic(old), 0)

    async def scenario() -> None:
        async with shell(servers, old) as before, running(servers, old) as service:
            await eventually(lambda: place in service.runners and service.runners[place].progress.read == 600)
            await eventually(lambda: not service.runners[place].changed)
            await Migration(old, new, servers.kafka, before.redis, str(tmp_path), lambda *_: None).run(cut_over=True)
            await eventually(lambda: service._untaken.standing == 1)
            assert "another definition has taken over" in service.waits_for
            assert f"is folded with definition {new.hash}" in caplog.text
            await asyncio.to_thread(send, servers, old, part(600, len(LOG.values)))
            await service.assigned(list(service._consumer.assignment()))  # as a rebalance does that leaves it here
            await eventually(lambda: service._untaken.standing == 1)
            async with shell(servers, new) as after:
                successor = await after.take()
                assert (successor.generation, successor.progress.next_offset) == (2, 600)
                await after.fold(successor)
                await successor.release()
                assert [g.definition for g in await after.generations()] == [old.hash, new.hash]
            assert not service.crashed
        async with running(servers, old) as again:  # whoever starts the old definition anew means it
            await eventually(lambda: place in again.runners)
            assert again.runners[place].generation == 3

    asyncio.run(scenario())
