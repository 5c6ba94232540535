"""A checkpoint on its way into the store while the fold goes on: what it covers, and what a successor finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.errors import KafkaError

from contracts.errors import ServerUnavailable
from contracts.settings import Servers
from feature_store.partition_reader import PartitionReader
from stream_processors.runner.partition_runner import PartitionRunner
from tests.stream_processors.runner.places import Shell, fresh_feed, send, shell
from tests.stream_processors.runner.test_take import LOG, MANY, assert_another_makes_it_whole
from tests.stream_processors.stream_fold.streams import fold_in_cuts

pytestmark = pytest.mark.integration


def hold(runner: PartitionRunner, what: str) -> asyncio.Event:
    """Holds up the staging of chunks or the publishing of outputs until the event is set."""
    owner = runner._store if what == "_stage" else runner._publisher
    call: Callable[..., Awaitable[object]] = getattr(owner, what)
    may_go_on = asyncio.Event()

    async def held(*arguments: object) -> object:
        await may_go_on.wait()
        return await call(*arguments)

    setattr(owner, what, held)
    return may_go_on


def killed_at(runner: PartitionRunner, step: str) -> asyncio.Event:
    """Lets the checkpoint go no further than to its next `step`; set when it is there. Calls of the fold beside it go on."""
    call: Callable[..., Awaitable[object]] = getattr(runner._store, step)
    reached = asyncio.Event()

    async def stopping(*arguments: object) -> object:
        if asyncio.current_task() is not runner._staging:
            return await call(*arguments)
        reached.set()
        return await asyncio.Event().wait()

    setattr(runner._store, step, stopping)
    return reached


async def owner_at_a_checkpoint(worker: Shell) -> PartitionRunner:
    """The first owner, whose checkpoint at offset 400 covers all that it has folded."""
    runner = await worker.take(owner="one")
    await worker.fold(runner, 400)
    await runner.checkpoint()
    return runner


async def stored_offset(worker: Shell) -> int | None:
    manifest = await PartitionReader(worker.redis, worker.feed.name, 0).manifest()
    return None if manifest is None else manifest.offset


def test_the_fold_goes_on_while_chunks_are_staged(servers: Servers) -> None:
    """The manifest names the offset of the snapshot, and a successor that begins there gives every output once."""
    feed = fresh_feed("staged")
    send(servers, feed, MANY)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take(owner="one")
            await worker.fold(runner, 400)
            may_go_on = hold(runner, "_stage")
            runner.begin_checkpoint()
            await worker.fold(runner, 1_200)
            assert runner.staging and await stored_offset(worker) is None
            assert await runner.look() is None
            may_go_on.set()
            while (flipped := await runner.look()) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert flipped.manifest.offset == 400 == await stored_offset(worker)
            assert runner.changed, "what came after the snapshot is in no checkpoint"
            await runner.abandon()
            await assert_another_makes_it_whole(worker, 400, len(MANY.values))

    asyncio.run(scenario())


def test_nothing_is_flipped_that_covers_what_is_not_published(servers: Servers) -> None:
    """A checkpoint waits for the outputs that were handed over before its snapshot; an owner that dies then leaves the one before."""
    feed = fresh_feed("unpublished")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await owner_at_a_checkpoint(worker)
            hold(runner, "publish")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await worker.fold(runner, 800)
            runner.begin_checkpoint()
            await asyncio.sleep(0.5)
            assert runner.staging and await stored_offset(worker) == 400
            await runner.abandon()
            await assert_another_makes_it_whole(worker)

    asyncio.run(scenario())


def test_what_fails_beside_the_fold_is_told_at_the_next_look(servers: Servers) -> None:
    """An error while chunks are staged is raised whenever the runner is looked at, and there is no other checkpoint."""
    feed = fresh_feed("unstaged")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take(owner="one")
            await worker.fold(runner, 400)

            async def unreachable(parts: object) -> bool:
                raise ServerUnavailable("Redis does not answer")

            runner._store._stage = unreachable  # type: ignore[method-assign]
            runner.begin_checkpoint()
            await worker.fold(runner, 800)
            for ask in (runner.look, runner.look, runner.checkpoint):
                with pytest.raises(ServerUnavailable):
                    await ask()
            await runner.abandon()
            await assert_another_makes_it_whole(worker, 0)

    asyncio.run(scenario())


@pytest.mark.kafka
@pytest.mark.parametrize("step", ["begin_transaction", "commit_transaction"])
def test_who_is_given_up_amid_a_transaction_leaves_nothing_twice(kafka_stack: Servers, step: str) -> None:
    """Outputs of a transaction that has not been sent, or not been committed, are the successor's to publish."""
    feed = fresh_feed("amid-transaction")
    send(kafka_stack, feed, LOG)

    async def scenario() -> None:
        async with shell(kafka_stack, feed) as worker:
            runner = await owner_at_a_checkpoint(worker)
            producer, begun = runner._publisher._producer, asyncio.Event()

            async def held() -> None:
                begun.set()
                await asyncio.Event().wait()

            setattr(producer, step, held)
            folding = asyncio.create_task(worker.fold(runner, 800))
            await begun.wait()
            await runner.abandon()
            with pytest.raises(KafkaError, match="given up"):
                await folding
            await assert_another_makes_it_whole(worker)

    asyncio.run(scenario())


@pytest.mark.parametrize(("step", "flipped"), [("_stage", False), ("_flip_to", False), ("_direct", True)])
def test_an_owner_that_dies_amid_a_checkpoint_leaves_the_one_before_or_the_new_one(servers: Servers, step: str, flipped: bool) -> None:
    """Killed while chunks are staged, before the manifest flips and after it: what a successor makes of either is the same bytes."""
    feed = fresh_feed("killed")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await owner_at_a_checkpoint(worker)
            await worker.fold(runner, 600)
            reached = killed_at(runner, step)
            runner.begin_checkpoint()
            await worker.fold(runner, 800)  # published and served, and in no checkpoint
            await reached.wait()
            await runner.abandon()
            successor = await assert_another_makes_it_whole(worker, 600 if flipped else 400)
            source = await worker.on_topic("events")
            whole = fold_in_cuts(feed, LOG._replace(times=[record.timestamp * 1000 for record in source]), [])
            assert successor.fold.all_chunks() == whole.chunks
            assert [record.value for record in await worker.on_topic("scores")] == [item.value for item in whole.records["scores"]]

    asyncio.run(scenario())
