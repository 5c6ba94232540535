"""Full copies at work: a place whose state Redis has lost goes on from the newest one as if nothing had happened."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

from contracts.errors import Fenced, HistoryError
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.full_copies import decode_copy
from feature_store.partition_reader import PartitionReader
from feature_store.readers import AsyncFeatureReader
from stream_processors.runner import copying
from stream_processors.runner.copying import Copying
from stream_processors.runner.partition_runner import LogBounds, PartitionRunner
from tests.stream_processors.runner.places import PORTION, Shell, fresh_feed, own_store, send, shell
from tests.stream_processors.runner.test_take import COUNT, KINDS, LOG, MANY, assert_whole, bounds_of
from tests.stream_processors.stream_fold.golden import FEED, golden_log
from tests.stream_processors.stream_fold.streams import Log, fold_in_cuts, served

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def at_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is due at the newest multiple of 100 in each batch, whatever the clock says."""
    monkeypatch.setattr(copying, "COPY_SECONDS", 0.0)


async def fold_and_copy(worker: Shell, runner: PartitionRunner, end: int, every: int = PORTION) -> None:
    """Folds to an offset in batches of `every` records; what was copied on the way stands before the next batch comes."""
    assert runner._copying
    for at in [*range(runner.progress.next_offset + every, end, every), end]:
        await worker.fold(runner, at)
        runner._copying.join()


def copied(history: Path) -> list[int]:
    """Offsets of the copies of all logs and generations."""
    return sorted(int(path.stem) for path in history.rglob("*.checkpoint"))


def copy_at(history: Path, offset: int) -> Path:
    """The one copy at an offset."""
    (path,) = history.rglob(f"{offset:012d}.checkpoint")
    return path


def damage(path: Path) -> None:
    """Changes one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def as_log(records: list[Any]) -> Log:
    """Records as they stand on the topic, with the timestamps that the broker gave them."""
    return Log([r.timestamp * 1000 for r in records], [r.key for r in records], [r.value for r in records])


async def assert_undisturbed(worker: Shell) -> None:
    """What stands on the output topics is, byte for byte and in order, what one fold over the log gives."""
    source = await worker.on_topic("events")
    whole = fold_in_cuts(worker.feed, as_log(source), [])
    for kind in KINDS:
        found = [(r.key, r.value, tuple(r.headers)) for r in await worker.on_topic(kind)]
        assert found == [(i.key, i.value, tuple(i.headers)) for i in whole.records.get(kind, [])], kind


def test_a_copy_is_due_at_multiples_of_the_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before its time has come, or so many records have passed; then before the newest multiple of 100 that a batch reaches."""
    monkeypatch.setattr(copying, "COPY_SECONDS", 300.0)
    found = Copying(None, 50, 1_000.0)  # type: ignore[arg-type]
    assert found.due(50, 450, 1_299.0) is None
    assert found.due(50, 450, 1_300.0) == 400
    assert found.due(400, 499, 1_300.0) is None, "no multiple is passed"
    assert found.due(399, 400, 1_300.0) == 400
    assert found.due(50, 10_000_120, 1_000.0) == 10_000_100, "so many records"
    assert found.due(50, 10_000_020, 1_000.0) is None


def test_state_that_redis_lost_is_taken_from_the_newest_copy(servers: Servers, tmp_path: Path) -> None:
    """Flushed while no worker lives, Redis is filled once the fold has passed what was read before; nothing is lost, doubled or changed."""
    feed = fresh_feed("flushed")
    send(servers, feed, MANY)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            runner = await worker.take()
            await fold_and_copy(worker, runner, 1_250, 390)
            assert copied(tmp_path) == [700, 1_100, 1_200]
            known = served(runner.fold.everything_served())
            runner._copying = None
            await worker.fold(runner, 1_600)
            await runner.abandon()
            await worker.redis.flushall()

            successor = await worker.take()
            assert (successor.generation, successor.progress.next_offset) == (1, 1_200)
            async with AsyncFeatureReader(servers.redis, feed) as reader:
                table = await reader.read([name.decode() for name in known])
                assert (table.offset < 0).all(), "readers have had newer values than the copy's"
            await worker.fold(successor, 1_203)  # touches a few devices only
            await successor.checkpoint()
            await successor.abandon()
            last = await worker.take()
            assert last.progress.next_offset == 1_203, "the checkpoint in Redis is whole again"
            await worker.fold(last)
            await last.release()
            await assert_whole(worker, last, len(MANY.values))
            await assert_undisturbed(worker)
            assert [g.cause for g in await worker.generations()] == ["first start"]

    with own_store(servers) as own:
        asyncio.run(scenario(own))


def test_a_damaged_copy_is_passed_over_for_the_one_before(servers: Servers, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of the newest copy a byte is changed, the one before is used; with all damaged the generation is folded again from its birth."""
    feed = fresh_feed("damaged")
    send(servers, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            runner = await worker.take()
            await fold_and_copy(worker, runner, 1_600)
            await runner.release()
            for offset, then in ((1_600, 1_200), (1_200, 800), (800, 0)):
                assert offset in copied(tmp_path)
                damage(copy_at(tmp_path, offset))
                await worker.redis.flushall()
                runner = await worker.take()
                assert (runner.generation, runner.progress.next_offset) == (1, then)
                assert f"{offset:012d}.checkpoint" in caplog.text
                await runner.abandon()
            runner = await worker.take()
            await worker.fold(runner)
            await runner.release()
            await assert_whole(worker, runner)
            await assert_undisturbed(worker)

    with own_store(servers) as own:
        asyncio.run(scenario(own))


@pytest.mark.kafka
def test_a_log_without_its_head_is_gone_on_with_from_the_copy(kafka_stack: Servers, tmp_path: Path) -> None:
    """Where Kafka has deleted the generation's birth and Redis is empty, the generation goes on; without a copy a new one begins."""
    feed = fresh_feed("headless")
    send(kafka_stack, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            runner = await worker.take()
            await fold_and_copy(worker, runner, 1_250)
            await runner.release()
            admin = KafkaAdminClient(**servers.kafka.client_options())
            at = TopicPartition(events_topic(feed), 0)
            whole = await worker.on_topic("events")
            admin.delete_records({at: 850})
            assert (await worker.consumer.beginning_offsets([at]))[at] == 850

            await worker.redis.flushall()
            runner = await worker.take()
            assert (runner.generation, runner.progress.next_offset) == (1, 1_200)
            await worker.fold(runner)
            await runner.release()
            await assert_whole(worker, runner)
            expected = fold_in_cuts(feed, as_log(whole), [])
            assert [r.value for r in await worker.on_topic("scores")] == [i.value for i in expected.records["scores"]]
            assert [g.cause for g in await worker.generations()] == ["first start"]

            admin.delete_records({at: COUNT - 1})
            admin.close()
            await worker.redis.flushall()
            runner = await worker.take()
            assert (runner.generation, runner.progress.next_offset) == (2, COUNT - 1)
            assert (await worker.generations())[-1].cause == "state lost beyond recovery"
            await runner.abandon()

    with own_store(kafka_stack) as own:
        asyncio.run(scenario(own))


@pytest.mark.parametrize(
    ("after", "generation", "offset"),
    [
        (LogBounds(500, 1_600, "id-1"), 1, 1_200),  # the log reaches back to the newest copy
        (LogBounds(1_201, 1_600, "id-1"), 2, 1_201),  # to none
        (LogBounds(0, 1_000, "id-1"), 2, 0),  # it ends before the copy: it is another log's
        (LogBounds(0, 1_600, "id-2"), 2, 0),  # the topic was created anew
    ],
)
def test_a_copy_is_used_where_the_log_goes_on_from_it(
    stack: Servers, tmp_path: Path, after: LogBounds, generation: int, offset: int
) -> None:
    """Copies from which the log does not go on are no state to go on with."""
    feed = fresh_feed("bounds")
    send(stack, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            worker.runners._bounds = bounds_of(0, COUNT, "id-1")
            runner = await worker.take()
            await fold_and_copy(worker, runner, 1_290)
            await runner.abandon()
            await worker.redis.flushall()
            worker.runners._bounds = bounds_of(*after)
            successor = await worker.take()
            assert (successor.generation, successor.progress.next_offset) == (generation, offset)
            await successor.abandon()

    with own_store(stack) as own:
        asyncio.run(scenario(own))


def test_a_redis_restored_from_an_old_backup_is_behind_the_copy(stack: Servers, tmp_path: Path) -> None:
    """A checkpoint whose offset the log has left behind gives way to a copy that it has not; else it is gone on with."""
    feed = fresh_feed("backup")
    send(stack, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            runner = await worker.take()
            await fold_and_copy(worker, runner, 390)
            await runner.checkpoint()
            backup = {key: await worker.redis.dump(key) async for key in worker.redis.scan_iter()}
            await fold_and_copy(worker, runner, 1_290)
            await runner.release()
            for start, offset in ((0, 390), (390, 390), (391, 1_200)):
                await worker.redis.flushall()
                for key, value in backup.items():
                    await worker.redis.restore(key, 0, value)
                worker.runners._bounds = bounds_of(start, COUNT, None)
                successor = await worker.take()
                assert (successor.generation, successor.progress.next_offset) == (1, offset)
                await successor.abandon()
            successor = await worker.take()
            await worker.fold(successor)
            await successor.release()
            await assert_whole(worker, successor)

    with own_store(stack) as own:
        asyncio.run(scenario(own))


def test_a_copy_depends_on_the_log_alone(stack: Servers, tmp_path: Path) -> None:
    """Two workers that were handed other batches give the same state for the same offset, and name the same offsets."""
    feed = fresh_feed("alike")
    send(stack, feed, LOG)

    async def scenario(servers: Servers, history: Path, every: int) -> None:
        async with shell(servers, feed, str(history)) as worker:
            runner = await worker.take()
            await fold_and_copy(worker, runner, 1_290, every)
            await runner.abandon()

    for name, every in (("one", 333), ("two", 57)):
        with own_store(stack) as own:
            asyncio.run(scenario(own, tmp_path / name, every))
    one, two = ({p.stem: decode_copy(p.read_bytes()) for p in (tmp_path / name).rglob("*.checkpoint")} for name in ("one", "two"))
    shared = one.keys() & two.keys()
    assert "000000001200" in shared
    for offset in shared:
        assert one[offset].chunks == two[offset].chunks
        assert one[offset].manifest.counters == two[offset].manifest.counters


def test_an_overtaken_owner_copies_nothing(servers: Servers, tmp_path: Path) -> None:
    """A copy is of a checkpoint that Redis took; whoever is fenced gets no further."""
    feed = fresh_feed("overtaken")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            zombie = await worker.take(owner="zombie")
            await fold_and_copy(worker, zombie, 250)
            owner = await worker.take(owner="owner")
            before = copied(tmp_path)
            with pytest.raises(Fenced):
                await zombie._copy(0.0)
            with pytest.raises(Exception, match=r"(?i)fenced|epoch|later owner"):
                await worker.fold(zombie, 800)
            zombie._copying.join()
            assert copied(tmp_path) == before == [200]
            await zombie.abandon()
            await owner.abandon()

    asyncio.run(scenario())


def test_a_copy_that_fails_stops_nothing(stack: Servers, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the history cannot be written, each attempt is told, and the fold goes on."""
    feed = fresh_feed("fails")
    send(stack, feed, LOG)
    file = tmp_path / "a file where the directory should be"
    file.write_bytes(b"")

    async def scenario() -> None:
        async with shell(stack, feed, str(file)) as worker:
            runner = await worker.take()
            await fold_and_copy(worker, runner, COUNT)
            await runner.release()
            await assert_whole(worker, runner)

    asyncio.run(scenario())
    failed = [r for r in caplog.records if r.levelno == logging.ERROR and "full copy of generation 1" in r.message]
    assert len(failed) >= 2
    assert "the next one is tried in its turn" in failed[0].message


def test_a_history_out_of_reach_opens_no_generation(stack: Servers, tmp_path: Path) -> None:
    """With no state in Redis a worker stops with a sentence rather than begin anew what may be kept."""
    feed = fresh_feed("reach")
    send(stack, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            runner = await worker.take()
            await fold_and_copy(worker, runner, 250)
            await runner.abandon()
            await worker.redis.flushall()
            path = copy_at(tmp_path, 200)
            aside = path.rename(path.with_suffix(".aside"))
            path.mkdir()
            with pytest.raises(HistoryError, match="see to it that the history can be reached"):
                await worker.take()
            assert len(await worker.generations()) == 1
            path.rmdir()
            aside.rename(path)
            again = await worker.take()
            assert again.progress.next_offset == 200
            await again.abandon()

    with own_store(stack) as own:
        asyncio.run(scenario(own))


def test_the_judge_is_copied_like_any_other_place(stack: Servers, tmp_path: Path) -> None:
    """The judge's state comes back from its copy, and its alerts stand once, as they were."""
    feed = replace(FEED, name=fresh_feed("judge-copy").name)
    send(stack, feed, golden_log())

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            runner = await worker.take()
            await worker.fold(runner)
            await runner.release()
            one = await worker.take("evidence", "one")
            await fold_and_copy(worker, one, 120)
            await worker.fold(one)
            alerts = await worker.ids("alerts")
            await one.release()
            state, counters = one.fold.all_chunks(), one.fold.counters()
            await worker.redis.flushall()
            two = await worker.take("evidence", "two")
            assert 0 < two.progress.next_offset < one.progress.next_offset
            await worker.fold(two)
            await two.release()
            assert await worker.ids("alerts") == alerts
            assert alerts
            assert (two.fold.all_chunks(), two.fold.counters()) == (state, counters)
            manifest = await PartitionReader(worker.redis, feed.name, "evidence").manifest()
            assert manifest is not None
            assert manifest.offset == two.progress.next_offset

    with own_store(stack) as own:
        asyncio.run(scenario(own))
