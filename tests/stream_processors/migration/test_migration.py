"""Another definition takes over a running feed whose log has lost its head: as if it had always been the feed's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import SettingsError, StateError
from contracts.settings import Servers
from feature_store.partition_reader import PartitionReader
from feature_store.readers import AsyncFeatureReader
from feature_store.redis_connection import async_client
from stream_processors.migration.migration import Migration, MigrationReport
from stream_processors.runner.partition_runner import PartitionRunner
from stream_processors.status import feed_status
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.verification.verification import SAME, verify_feed
from tests.stream_processors.archive.headless import archive, delete_head, differences, short_cuts
from tests.stream_processors.runner.places import Shell, fresh_feed, own_store, send, shell
from tests.stream_processors.runner.test_copying import as_log
from tests.stream_processors.runner.test_take import COUNT, LOG
from tests.stream_processors.stream_fold.streams import Log, served

pytestmark = pytest.mark.integration
BEFORE = 1_800  # records of the log that the old definition folds
WINDOWS = ["1m", "5m", "2h"]  # the last one is new, and longer than all that Kafka still has


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short raw files."""
    short_cuts(monkeypatch)


def part(first: int, end: int) -> Log:
    return Log(LOG.times[first:end], LOG.keys[first:end], LOG.values[first:end])


async def migrate(worker: Shell, new: object, history: Path, cut_over: bool = True) -> MigrationReport:
    redis = await async_client(worker.servers.redis)
    try:
        return await Migration(worker.feed, new, worker.servers.kafka, redis, str(history), lambda *_: None).run(cut_over)  # type: ignore[arg-type]
    finally:
        await redis.aclose()


async def folded(worker: Shell, owner: str) -> PartitionRunner:
    runner = await worker.take(owner=owner)
    await worker.fold(runner)
    await runner.checkpoint()
    return runner


@pytest.mark.kafka
def test_a_long_window_is_added_where_the_head_is_gone(kafka_stack: Servers, tmp_path: Path) -> None:
    """Served are the values of a clean fold of everything, at once and after more events; none is lost or doubled, verify says same."""
    old = replace(fresh_feed("migrated"), archive="raw")
    new = replace(old, windows=WINDOWS)
    send(kafka_stack, old, part(0, BEFORE))

    async def scenario(servers: Servers) -> None:
        async with shell(servers, old) as before, shell(servers, new) as after:
            runner = await folded(before, "old")
            whole = as_log(await before.on_topic("events"))
            await archive(servers, old, tmp_path)
            delete_head(servers, old, {"events": 1_150})
            tried = await migrate(before, new, tmp_path, cut_over=False)
            assert tried.places == []
            assert len(await before.generations()) == 1, "a dry run leaves no trace"

            report = await migrate(before, new, tmp_path)
            assert [tuple(place) for place in report.places] == [(0, 2, 0, BEFORE)]
            clean = StreamFold(new, 0, 2)
            clean.fold(whole.batch(0, BEFORE))
            expected = served(clean.everything_served())
            found = await PartitionReader(after.redis, new.name, 0).vectors(list(expected))
            assert dict(zip(expected, found, strict=True)) == expected
            async with AsyncFeatureReader(servers.redis, new) as reader:
                table = await reader.read([name.decode() for name in expected])
            assert (table.offset >= 0).all(), "readers see the new values before a worker of the new definition has come"
            short = StreamFold(new, 0, 2)
            short.fold(whole.batch(1_150, BEFORE))
            assert served(short.everything_served()) != expected, "what Kafka still has would not do"

            send(servers, old, part(BEFORE, COUNT))
            with pytest.raises(Exception, match=r"(?i)fenced|epoch|later owner"):
                await before.fold(runner)
            await runner.abandon()
            successor = await folded(after, "new")
            assert (successor.generation, successor.progress.start_offset) == (2, 0)
            rest = as_log(await before.on_topic("events"))
            assert [g.cause for g in await after.generations()] == ["first start", f"migrated from definition {old.hash}"]
            n = COUNT - BEFORE
            clean.fold(Log(rest.times[-n:], rest.keys[-n:], rest.values[-n:], BEFORE).batch(0, n))
            expected = served(clean.everything_served())
            found = await PartitionReader(after.redis, new.name, 0).vectors(list(expected))
            assert dict(zip(expected, found, strict=True)) == expected
            ids = await after.ids("scores")
            assert set(ids.values()) == {1}
            offsets = [int(name.split("/")[3]) for name in ids]
            assert len(set(offsets)) == len(offsets), "each event has the score of one definition"
            status = await feed_status(new, servers)
            assert status["balanced"]
            assert status["totals"]["read"] == COUNT
            await successor.release()
            judge = await after.take("evidence")
            await after.fold(judge)
            judge._changed = True
            await judge.release()
            redis = await async_client(servers.redis)
            verified = await verify_feed(new, servers.kafka, redis, str(tmp_path), lambda *_: None)
            await redis.aclose()
            assert (verified.verdict, differences(verified), verified.reason) == (SAME, [], "")
            assert (verified.places[0].first, verified.places[0].end) == (0, COUNT)

            await after.redis.flushall()
            again = await after.take(owner="after Redis was lost")
            assert again.generation == 3, "no history was named: nothing is made up of what is left"
            await again.abandon()

    with own_store(kafka_stack) as own:
        asyncio.run(scenario(own))


def test_a_worker_goes_on_from_the_copy_that_a_migration_leaves(stack: Servers, tmp_path: Path) -> None:
    """Killed after its switch and before its checkpoint, or with Redis lost then, the new state stands beside the history."""
    old = fresh_feed("copied")
    new = replace(old, windows=WINDOWS)
    send(stack, old, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, old) as before, shell(servers, new, str(tmp_path)) as after:
            runner = await folded(before, "old")
            await runner.release()
            await migrate(before, new, tmp_path)
            await after.redis.flushall()
            successor = await after.take()
            assert (successor.generation, successor.progress.next_offset) == (2, COUNT)
            clean = StreamFold(new, 0, 2)
            clean.fold(as_log(await after.on_topic("events")).batch(0, COUNT))
            assert served(successor.fold.everything_served()) == served(clean.everything_served())
            await successor.release()

    with own_store(stack) as own:
        asyncio.run(scenario(own))


def test_what_cannot_be_migrated_is_refused(stack: Servers, tmp_path: Path) -> None:
    """Two feeds, one definition, no worker yet, or a generation of a third definition: a sentence, and nothing is changed."""
    old = fresh_feed("refused")
    send(stack, old, part(0, 300))

    async def scenario(servers: Servers) -> None:
        async with shell(servers, old) as worker:
            with pytest.raises(SettingsError, match="two feeds"):
                await migrate(worker, replace(old, name="other"), tmp_path)
            with pytest.raises(SettingsError, match="alike"):
                await migrate(worker, replace(old, archive="raw"), tmp_path)
            with pytest.raises(StateError, match="start a worker"):
                await migrate(worker, replace(old, windows=WINDOWS), tmp_path)
            runner = await folded(worker, "old")
            await runner.release()
            third = worker._replace(feed=replace(old, tiles=5))
            with pytest.raises(StateError, match="is folded with definition"):
                await migrate(third, replace(old, windows=WINDOWS), tmp_path)
            assert len(await worker.generations()) == 1

    with own_store(stack) as own:
        asyncio.run(scenario(own))
