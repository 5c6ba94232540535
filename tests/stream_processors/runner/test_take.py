"""Taking a place: generations and their causes, and what a predecessor published is not sent again."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from contracts.errors import Fenced
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.partition_reader import PartitionReader
from feature_store.redis_layout import directory_keys
from stream_processors.log_fold import Outputs, OutRecord
from stream_processors.runner.clients import TRANSACTION_MS
from stream_processors.runner.new_generation import LogBounds
from stream_processors.runner.partition_runner import PartitionRunner
from tests.stream_processors.runner.places import Shell, fresh_feed, own_store, send, shell
from tests.stream_processors.stream_fold.golden import FEED, golden_log
from tests.stream_processors.stream_fold.streams import fold_in_cuts, hostile, served

pytestmark = pytest.mark.integration
KINDS = ("scores", "dead-letters", "evidence")
LOG, _ = hostile(fresh_feed("plan"), 11, 2_400, 7)
COUNT = len(LOG.values)
MANY, _ = hostile(fresh_feed("plan"), 11, 2_400, 60)  # devices enough for several chunks of state


async def assert_whole(worker: Shell, runner: PartitionRunner, count: int = COUNT) -> None:
    """Every record of the log is counted, has its output on a topic once, and the store holds the vectors of the state."""
    counters = runner.fold.counters()
    assert runner.progress.balanced(counters)
    assert runner.progress.read == count
    for kind in KINDS:
        ids = await worker.ids(kind)
        assert ids or kind == "evidence", kind
        assert set(ids.values()) <= {1}, f"{kind}: {[name for name, n in ids.items() if n > 1][:3]} stand more than once"
    assert len(await worker.ids("scores")) == counters["folded"]
    assert len(await worker.ids("dead-letters")) == counters["dead_lettered"] + counters["late"]
    vectors = served(runner.fold.everything_served())
    found = await PartitionReader(worker.redis, worker.feed.name, 0).vectors(list(vectors))
    assert dict(zip(vectors, found, strict=True)) == vectors


async def assert_another_makes_it_whole(worker: Shell, begins: int | None = None, count: int = COUNT) -> PartitionRunner:
    """A successor, which begins at that offset, folds to the end; then all holds that `assert_whole` says. Gives the successor."""
    successor = await worker.take(owner="two")
    assert begins is None or successor.progress.next_offset == begins
    await worker.fold(successor)
    await successor.release()
    await assert_whole(worker, successor, count)
    return successor


def test_a_first_start_is_generation_1(servers: Servers) -> None:
    """Nobody was there before: generation 1 begins at the log's start, and all outputs stand on their topics once."""
    feed = fresh_feed("first")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take()
            (first,) = await worker.generations()
            assert (first.generation, first.cause, first.from_offset, first.definition) == (1, "first start", 0, feed.hash)
            await worker.fold(runner)
            await runner.release()
            await assert_whole(worker, runner)
            manifest = await PartitionReader(worker.redis, feed.name, 0).manifest()
            assert manifest is not None
            assert (manifest.offset, manifest.counters["read"], manifest.epoch) == (runner.progress.next_offset, COUNT, runner.epoch)

    asyncio.run(scenario())


@pytest.mark.parametrize("checkpointed", [0, 800])
def test_a_crash_after_publishing_repeats_no_id(servers: Servers, checkpointed: int) -> None:
    """A worker that dies between publishing and its checkpoint leaves a successor that sends exactly what is missing."""
    feed = fresh_feed("crash")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take(owner="one")
            if checkpointed:
                await worker.fold(runner, checkpointed)
                await runner.checkpoint()
            await worker.fold(runner, 1_600)
            await runner.abandon()  # no checkpoint: as a kill between the two

            before = {kind: await worker.ids(kind) for kind in KINDS}
            successor = await worker.take(owner="two")
            assert successor.progress.next_offset == checkpointed
            assert successor.generation == 1
            await worker.fold(successor, 1_600)
            assert {kind: await worker.ids(kind) for kind in KINDS} == before
            await worker.fold(successor)
            await successor.release()
            await assert_whole(worker, successor)
            assert [g.cause for g in await worker.generations()] == ["first start"]

    asyncio.run(scenario())


def test_a_crash_amid_publishing_sends_the_rest(servers: Servers) -> None:
    """Where only some of a batch's outputs were acknowledged before the crash, the successor sends the others."""
    feed = fresh_feed("amid")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take(owner="one")
            await worker.fold(runner, 400)
            hand_over = runner._publisher.hand_over

            def half(records):  # the process dies when half of the scores and nothing else is out
                hand_over({t: items[: len(items) // 2] for t, items in records.items() if t.endswith("scores")})
                raise ConnectionError

            runner._publisher.hand_over = half
            with pytest.raises(ConnectionError):
                await worker.fold(runner, 800)
            await runner.published()
            await runner.abandon()
            await assert_another_makes_it_whole(worker)

    asyncio.run(scenario())


def test_a_checkpoint_amid_what_was_published_forgets_none_of_it(servers: Servers) -> None:
    """A successor that checkpoints before it has passed all that was published leaves it known to the next one."""
    feed = fresh_feed("twice")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take(owner="one")
            await worker.fold(runner, 1_600)
            await runner.abandon()
            runner = await worker.take(owner="two")
            await worker.fold(runner, 800)
            await runner.checkpoint()
            await runner.abandon()
            runner = await worker.take(owner="three")
            assert runner.progress.next_offset == 800
            await worker.fold(runner)
            await runner.release()
            await assert_whole(worker, runner)
            manifest = await PartitionReader(worker.redis, feed.name, 0).manifest()
            assert manifest is not None
            assert manifest.output_ends[f"{feed.name}.scores", 0] >= len(await worker.on_topic("scores")), "else tails are read for ever"

    asyncio.run(scenario())


def test_a_takeover_gives_the_bytes_of_an_undisturbed_run(servers: Servers) -> None:
    """Records on the topics after crashes are, byte for byte and in order, those of a run that nothing interrupted."""
    feed = fresh_feed("bytes")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            for stop in (500, 900, 1_700):
                runner = await worker.take(owner=f"until {stop}")
                await worker.fold(runner, stop)
                if stop == 900:
                    await runner.checkpoint()
                await runner.abandon()
            last = await worker.take(owner="last")
            await worker.fold(last)
            await last.release()
            source = await worker.on_topic("events")
        whole = fold_in_cuts(
            feed,
            LOG._replace(times=[r.timestamp * 1000 for r in source], keys=[r.key for r in source], values=[r.value for r in source]),
            [],
        )
        async with shell(servers, feed) as worker:
            for kind in KINDS:
                found = [(r.key, r.value, tuple(r.headers)) for r in await worker.on_topic(kind)]
                assert found == [(i.key, i.value, tuple(i.headers)) for i in whole.records[kind]], kind

    asyncio.run(scenario())


def test_a_fenced_runner_writes_nothing(servers: Servers) -> None:
    """Once another owner has taken the place, the one before gets Fenced and neither serves, checkpoints nor opens a generation."""
    feed = fresh_feed("fenced")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            zombie = await worker.take(owner="zombie")
            await worker.fold(zombie, 400)
            await zombie.checkpoint()
            owner = await worker.take(owner="owner")
            await worker.fold(owner, 800)
            await owner.checkpoint()
            reader = PartitionReader(worker.redis, feed.name, 0)
            vectors = served(owner.fold.everything_served())
            before = await reader.vectors(list(vectors)), await reader.manifest()
            zombie._changed = True
            with pytest.raises(Fenced, match="taken by a later owner"):
                await zombie.checkpoint()
            with pytest.raises(Fenced):
                await zombie._serve(zombie.fold.everything_served())
            with pytest.raises(Fenced):
                await zombie._serve(Outputs(created=[(b"x", 1)]))
            assert (await reader.vectors(list(vectors)), await reader.manifest()) == before
            if worker.transactions:
                with pytest.raises(Exception, match=r"(?i)fenced|epoch"):
                    await worker.fold(zombie, 800)
            await zombie.abandon()
            await worker.fold(owner)
            await owner.release()
            await assert_whole(worker, owner)

    asyncio.run(scenario())


@pytest.mark.parametrize("lost", ["everything", "checkpoint only", "directory only"])
def test_a_store_that_forgot_gets_everything_again(servers: Servers, lost: str) -> None:
    """Emptied during a run, Redis holds state, vectors and directory again after the next checkpoint, and a successor goes on."""
    feed = fresh_feed("forgot")
    send(servers, feed, MANY)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take()
            await worker.fold(runner, 1_600)
            await runner.checkpoint()
            if lost == "everything":
                await worker.redis.flushall()
            elif lost == "checkpoint only":
                keys = [key async for key in worker.redis.scan_iter(match="*") if b":v:" not in key and b"directory" not in key]
                await worker.redis.delete(*keys)
            else:
                await worker.redis.delete(*directory_keys(feed.name))
            await worker.fold(runner, 1_603)  # touches a few devices only
            for _ in range(3):  # the first notices, the second writes
                await runner.checkpoint()
            assert set(await worker.redis.hkeys(directory_keys(feed.name).entries)) == set(served(runner.fold.everything_served()))
            await runner.abandon()
            successor = await worker.take()
            assert successor.progress.next_offset == 1_603
            assert successor.generation == 1
            await worker.fold(successor)
            await successor.release()
            await assert_whole(worker, successor, len(MANY.values))
            directory = await worker.redis.hkeys(directory_keys(feed.name).entries)
            assert set(directory) == set(served(successor.fold.everything_served()))

    with own_store(servers) as own:
        asyncio.run(scenario(own))


def test_a_store_that_forgot_before_a_release_gets_everything_from_it(servers: Servers) -> None:
    """The last checkpoint of an owner that ends in order is whole, also where it is the one that notices."""
    feed = fresh_feed("released")
    send(servers, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take()
            await worker.fold(runner, 800)
            await runner.checkpoint()
            await worker.fold(runner, 1_600)
            await worker.redis.flushall()
            await runner.release()
            successor = await worker.take()
            assert successor.progress.next_offset == 1_600
            await worker.fold(successor)
            await successor.release()
            await assert_whole(worker, successor)

    with own_store(servers) as own:
        asyncio.run(scenario(own))


def test_a_store_that_forgot_while_nobody_ran_is_filled_from_the_log(servers: Servers) -> None:
    """With no checkpoint left and the log still whole, the same generation is folded again from its birth, and no id repeats."""
    feed = fresh_feed("empty")
    send(servers, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take()
            await worker.fold(runner)
            await runner.release()
            await worker.redis.flushall()
            successor = await worker.take()
            assert (successor.generation, successor.progress.next_offset) == (1, 0)
            await worker.fold(successor)
            await successor.release()
            await assert_whole(worker, successor)

    with own_store(servers) as own:
        asyncio.run(scenario(own))


def bounds_of(start: int, end: int, topic_id: str | None, is_cut: bool = False):
    async def bounds(place, _) -> LogBounds:
        return LogBounds(start, end, topic_id, is_cut)

    return bounds


@pytest.mark.parametrize(
    ("before", "after", "checkpointed", "cause", "start"),
    [
        (LogBounds(0, 800, "id-1"), LogBounds(0, 800, "id-2"), True, "topic recreated", 0),
        (LogBounds(0, 800, None), LogBounds(0, 500, None), True, "log ends before the stored offset", 0),
        (LogBounds(0, 800, "id-1"), LogBounds(600, 800, "id-1"), False, "state lost beyond recovery", 600),
        (LogBounds(0, 800, "id-1"), LogBounds(600, 800, "id-1"), True, "", 800),
        (LogBounds(0, 800, "id-1"), LogBounds(0, 800, "id-1"), False, "", 0),
    ],
)
def test_what_opens_a_generation(stack: Servers, before, after, checkpointed, cause, start):
    """Another topic, a log that is shorter than what was read, a birth no longer in the log: each opens one, and nothing else does."""
    feed = fresh_feed("cause")
    send(stack, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            worker.runners._bounds = bounds_of(*before)
            runner = await worker.take()
            await worker.fold(runner, 800)
            await (runner.release() if checkpointed else runner.abandon())
            worker.runners._bounds = bounds_of(*after)
            successor = await worker.take()
            generations = await worker.generations()
            assert [g.cause for g in generations] == (["first start", cause] if cause else ["first start"])
            assert successor.generation == len(generations)
            assert successor.progress.next_offset == start
            if cause:
                assert successor.fold.counters()["folded"] == 0
                assert generations[-1].from_offset == start
            await successor.abandon()

    with own_store(stack) as own:
        asyncio.run(scenario(own))


def test_another_definition_opens_a_generation_and_goes_on_where_the_last_one_stood(stack: Servers) -> None:
    """A changed setting begins an empty state at the stored offset; its records bear the new generation, none repeats."""
    feed = fresh_feed("definition")
    send(stack, feed, LOG)
    changed = replace(feed, windows=("1m",))

    async def scenario() -> None:
        async with shell(stack, feed) as worker:
            runner = await worker.take()
            await worker.fold(runner, 800)
            await runner.release()
        async with shell(stack, changed) as worker:
            successor = await worker.take()
            assert (successor.generation, successor.progress.next_offset) == (2, 800)
            await worker.fold(successor)
            await successor.release()
            assert [g.cause for g in await worker.generations()] == ["first start", "definition or fold changed"]
            ids = await worker.ids("scores")
            assert set(ids.values()) == {1}
            places = Counter(name.split("/")[1] for name in ids)
            assert places["2"] == successor.fold.counters()["folded"] > 0
            assert {int(name.split("/")[3]) for name in ids if name.split("/")[1] == "2"} <= set(range(800, COUNT))
            again = await worker.take()
            assert (again.generation, again.progress.next_offset) == (2, COUNT)
            await again.abandon()

    asyncio.run(scenario())


def test_the_judge_is_taken_like_any_other_place(servers: Servers) -> None:
    """The evidence of a run is folded by the judge's runner, crashes included; its alerts stand once and have its generation."""
    feed = replace(FEED, name=fresh_feed("judge").name)
    send(servers, feed, golden_log())

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take()
            await worker.fold(runner)
            await runner.release()
            one = await worker.take("evidence", "one")
            await worker.fold(one)
            alerts = await worker.ids("alerts")
            await one.abandon()
            two = await worker.take("evidence", "two")
            assert two.progress.next_offset == 0
            await worker.fold(two)
            await two.release()
            assert await worker.ids("alerts") == alerts
            assert alerts
            assert set(alerts.values()) == {1}
            counters = two.fold.counters()
            assert counters["folded"] == len(await worker.on_topic("evidence"))
            assert two.progress.balanced(counters)
            three = await worker.take("evidence", "three")
            assert three.fold.counters() == counters
            assert three.progress.next_offset == two.progress.next_offset
            await three.abandon()

    asyncio.run(scenario())


def test_values_do_not_fall_where_the_store_was_emptied_and_its_owner_is_dead(servers: Servers) -> None:
    """The successor folds from the birth on, and serves nothing until it has passed what readers may have seen: the log as it found it."""
    feed = fresh_feed("emptied")

    async def scenario(own: Servers) -> None:
        async with shell(own, feed) as worker:
            runner = await worker.take(owner="one")
            await worker.fold(runner, 1_600)
            vectors = served(runner.fold.everything_served())
            await runner.abandon()
            await worker.redis.flushall()
            reader = PartitionReader(worker.redis, feed.name, 0)
            successor = await worker.take(owner="two")
            await worker.fold(successor, 400)
            assert await reader.vectors(list(vectors)) == [None] * len(vectors)
            await successor.checkpoint()
            await successor.abandon()
            successor = await worker.take(owner="three")  # the store has a state again, and that of long ago
            assert successor.progress.next_offset == 400
            for end in (800, 1_600):
                await worker.fold(successor, end)
                assert await reader.vectors(list(vectors)) == [None] * len(vectors)
            await worker.fold(successor)
            vectors = served(successor.fold.everything_served())
            assert dict(zip(vectors, await reader.vectors(list(vectors)), strict=True)) == vectors
            await assert_whole(worker, successor)
            await successor.release()

    with own_store(servers) as own:
        send(own, feed, LOG)
        asyncio.run(scenario(own))


@pytest.mark.kafka
def test_places_taken_one_after_the_other_wait_for_no_open_transaction(kafka_stack: Servers) -> None:
    """A dead worker's transaction on an output that its places share is ended before the first of them is taken."""
    feed = fresh_feed("open", partitions=2)
    evidence = topic_name(feed, "evidence")

    async def scenario() -> None:
        async with shell(kafka_stack, feed) as dead, shell(kafka_stack, feed) as worker:
            publisher = (await dead.runners.take("events", 1, "dead"))._publisher
            await publisher._producer.begin_transaction()
            await publisher._send(list(publisher._encoded(evidence, [OutRecord(0, 0, 0, b"", b"{}")])))
            async with asyncio.timeout(TRANSACTION_MS / 2000):
                for partition in (0, 1):
                    await worker.runners.fence("events", partition)
                for partition in (0, 1):
                    await (await worker.runners.take("events", partition, "next")).abandon()

    asyncio.run(scenario())
