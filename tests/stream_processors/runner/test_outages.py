"""A worker whose servers are gone for a while: it waits with its state in memory, lets go of what it must, and ends when told to."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.records import Switch
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from feature_store.partition_reader import PartitionReader
from feature_store.redis_layout import partition_keys
from stream_processors.log_fold import OutRecord
from stream_processors.runner import fold_service
from stream_processors.runner.clients import SESSION_MS
from stream_processors.runner.fold_service import FoldService
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.runner.untaken import FORGIVEN_SECONDS, PAUSES, Untaken
from stream_processors.waiting import wait_for_redis
from streamgauge.local_stack import free_port
from streamgauge.local_stack.store import store_command
from tests.stream_processors.runner.places import fresh_feed, send, shell
from tests.stream_processors.runner.test_fold_service import LOG, assert_whole, eventually, part

pytestmark = pytest.mark.integration
ALL = len(LOG.values)


@pytest.fixture(autouse=True)
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that looks after a quiet place would be held there, and not amid the work that these tests want under way."""
    monkeypatch.setattr(fold_service, "LOOK_SECONDS", 3_600.0)


class Store:
    """A redis-server that a test kills, starts again empty, or lets hang."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(store_command(self.port), stdout=subprocess.DEVNULL)
        wait_for_redis(f"redis://127.0.0.1:{self.port}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def store() -> Iterator[Store]:
    found = Store()
    yield found
    found.go_on()
    found.kill()


@pytest.fixture
def servers(stack: Servers, store: Store) -> Servers:
    return Servers(stack.kafka, f"redis://127.0.0.1:{store.port}")


@contextlib.asynccontextmanager
async def worker(servers: Servers, feed) -> AsyncIterator[tuple[FoldService, TopicPartition]]:
    """A service that has folded and checkpointed the first part of the log; ended by whoever uses it."""
    await asyncio.to_thread(send, servers, feed, part(0, 600))
    service = FoldService([feed], servers, feed.name, WorkerMetrics())
    await service.start()
    place = TopicPartition(events_topic(feed), 0)
    try:
        await eventually(lambda: place in service.runners and service.ready)
        runner = service.runners[place]
        # all places: a checkpoint under way of another would be held in the place of the work that a test wants held
        await eventually(lambda: runner.progress.read == 600 and not any(each.changed for each in service.runners.values()))
        yield service, place
    finally:
        await service.stop()


def lag_told(service: FoldService, partition: int = 0) -> float:
    """Of the events, as Prometheus reads it."""
    lines = service.metrics.text().decode().splitlines()
    found = [line for line in lines if line.startswith("streamgauge_lag{") and f'log="events",partition="{partition}"' in line]
    return float(found[0].rpartition(" ")[2]) if found else -1.0


@pytest.mark.slow
def test_a_redis_that_is_gone_and_comes_back_empty_costs_nothing(servers: Servers, store: Store) -> None:
    """The worker waits longer than a session, fetches nothing, keeps its group, tells lag and reason, and goes on where it stood."""
    feed = fresh_feed("gone")

    async def scenario() -> None:
        async with worker(servers, feed) as (service, place):
            runner, turn = service.runners[place], service._turn
            store.kill()
            await asyncio.to_thread(send, servers, feed, part(600, 900))
            await eventually(lambda: service.redis.seconds > SESSION_MS / 1000 + 1)
            assert "Redis at 127.0.0.1" in service.waits_for and "does not answer" in service.waits_for
            assert service._consumer.paused() == service._consumer.assignment() != set()
            await asyncio.to_thread(send, servers, feed, part(900, ALL))
            await eventually(lambda: lag_told(service) >= 300)
            assert 'streamgauge_waiting_seconds{server="redis"} 0.0' not in service.metrics.text().decode()
            store.start()
            await eventually(lambda: runner.progress.read == ALL and not runner.changed)
            assert service.runners[place] is runner, "nothing was taken again"
            assert service._turn == turn, "no rebalance"
            assert service.ready
            await eventually(lambda: lag_told(service) == 0)
        async with shell(servers, feed) as after:
            await assert_whole(after)
            assert [g.cause for g in await after.generations()] == ["first start"]

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "hang"])
def test_told_to_stop_while_redis_is_gone_a_worker_ends_soon(servers: Servers, store: Store, how: str) -> None:
    """Within the 10 s that supervisors give, without a checkpoint of what is half done; the next worker goes on."""
    feed = fresh_feed("told")

    async def scenario() -> None:
        async with worker(servers, feed) as (service, place):
            getattr(store, how)()
            await asyncio.to_thread(send, servers, feed, part(600, ALL))
            runner = service.runners[place]
            await eventually(lambda: runner.progress.read > 600)
            began = time.monotonic()
            await service.stop()
            assert time.monotonic() - began < 8
            assert not service.crashed
        (store.start if how == "kill" else store.go_on)()
        async with shell(servers, feed) as after:
            await assert_whole(after)

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_rebalance_is_not_held_up_by_a_redis_that_is_gone(servers: Servers, store: Store) -> None:
    """What is half done is let go at once; given the place again, the worker takes it when Redis is back, from its checkpoint."""
    feed = fresh_feed("rebalance")

    async def scenario() -> None:
        async with worker(servers, feed) as (service, place):
            runner = service.runners[place]
            store.hang()
            await asyncio.to_thread(send, servers, feed, part(600, ALL))
            await eventually(lambda: runner.progress.read > 600)
            places = list(service._consumer.assignment())
            async with asyncio.timeout(SESSION_MS / 1000):
                await service.revoked(places)
            assert service.runners == {}
            await service.assigned(places)
            assert not service.ready
            store.go_on()
            await eventually(lambda: place in service.runners and service.runners[place].progress.read == ALL)
            await eventually(lambda: service.ready)
        async with shell(servers, feed) as after:
            await assert_whole(after)

    asyncio.run(scenario())


def test_a_rebalance_finds_a_place_that_is_being_let_go(servers: Servers) -> None:
    """What comes while a place is let go after an error has nothing left to hurry, and waits for it; the worker lives on."""
    feed = fresh_feed("letting-go")

    async def scenario() -> None:
        async with worker(servers, feed) as (service, place):
            runner, letting_go, may_end = service.runners[place], asyncio.Event(), asyncio.Event()
            abandon = runner.abandon

            async def slowly() -> None:
                letting_go.set()
                await may_end.wait()
                await abandon()

            async def refused(records: object) -> None:
                raise KafkaError

            runner._publisher.publish, runner.abandon = refused, slowly  # type: ignore[method-assign]
            service.kafka.failed("gone")  # so nobody waits for what can be let go
            await asyncio.to_thread(send, servers, feed, part(600, ALL))
            await letting_go.wait()
            revoking = asyncio.create_task(service.revoked([place]))
            await asyncio.sleep(0.2)
            may_end.set()
            await revoking
            await service.assigned(list(service._consumer.assignment()))
            await eventually(lambda: place in service.runners and service.runners[place].progress.read == ALL)
            assert not service.crashed
        async with shell(servers, feed) as after:
            await assert_whole(after)

    asyncio.run(scenario())


def test_a_place_whose_outputs_failed_is_given_up_in_a_rebalance(servers: Servers) -> None:
    """An error of publishing that nobody has looked at yet costs the place its last checkpoint, not the worker its life."""
    feed = fresh_feed("unseen")

    async def scenario() -> None:
        async with worker(servers, feed) as (service, place):
            runner = service.runners[place]

            async def refused(batches: object) -> None:
                raise KafkaError

            runner._publisher.publish = refused  # type: ignore[method-assign]
            async with service._lock:  # a rebalance comes before the fold task
                runner._publisher.hand_over({topic_name(feed, "scores"): [OutRecord(0, 0, 0, b"key", b"value")]})
                runner._changed = True
                await asyncio.sleep(0.1)
                await service._give_up([place])
            assert not service.crashed
        send(servers, feed, part(600, ALL))
        async with shell(servers, feed) as after:
            await assert_whole(after)

    asyncio.run(scenario())


@pytest.mark.slow
def test_who_is_fenced_while_taking_tries_again(servers: Servers, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that another owner holds is let go, not the process; when it is free it is taken."""
    monkeypatch.setattr(fold_service, "TAKE_AGAIN_SECONDS", 0.2)
    feed = fresh_feed("held")

    async def scenario() -> None:
        async with worker(servers, feed) as (service, place), shell(servers, feed) as other:
            fence = partition_keys(feed.name, 0).fence
            await other.redis.hset(fence, "epoch", 10**9)
            await asyncio.to_thread(send, servers, feed, part(600, ALL))
            await eventually(lambda: place not in service.runners)
            assert not service.ready
            await eventually(lambda: service._untaken._failed[place][0] >= 2)
            await other.redis.delete(fence)
            await eventually(lambda: place in service.runners and service.runners[place].progress.read == ALL)
            assert not service.crashed
        async with shell(servers, feed) as after:
            await assert_whole(after)

    asyncio.run(scenario())


def test_a_generation_that_nobody_would_believe_is_not_folded(servers: Servers) -> None:
    """A broker that puts a `taken` down twice voids what its owner says behind it: the owner sees that, and takes the place anew."""
    feed = fresh_feed("twice")
    send(servers, feed, part(0, 600))

    async def scenario() -> None:
        async with shell(servers, feed) as owner:
            append = owner.runners._switches.append
            repeats = iter([True])

            async def late(switch: Switch) -> int:
                """The acknowledged record is the first; the request that was thought lost is written after it."""
                offset = await append(switch)
                if switch.kind == "taken" and next(repeats, False):
                    await owner.producer.send_and_wait(topic_name(feed, "switches"), (await stored(owner, offset)), partition=0)
                return offset

            owner.runners._switches.append = late  # type: ignore[method-assign]
            with pytest.raises(Exception, match="was taken again before offset"):
                await owner.take()
            runner = await owner.take()
            assert [g.generation for g in await owner.generations()] == [1] == [runner.generation]
            await owner.fold(runner)
            await runner.release()

    async def stored(owner, offset: int) -> bytes:
        return next(r.value for r in await owner.on_topic("switches") if r.offset == offset)

    asyncio.run(scenario())


def test_a_place_is_tried_again_ever_more_rarely() -> None:
    """Pauses grow with each failure and are forgiven after a while; what is assigned is due at once, in order."""
    places = [TopicPartition("t", p) for p in (1, 0)]
    untaken = Untaken()
    untaken.assign(places, 0.0)
    assert (untaken.next(0.0), len(untaken)) == (places[1], 2)
    untaken.taken(places[1])
    untaken.taken(places[0])
    now = 10.0
    for pause in (*PAUSES, PAUSES[-1]):
        assert untaken.let_go(places[0], now) == pause
        assert untaken.next(now + pause - 0.1) is None
        now += pause
        assert untaken.next(now) == places[0]
    assert untaken.let_go(places[0], now + FORGIVEN_SECONDS + 1) == PAUSES[0]
    untaken.clear()
    assert len(untaken) == 0


def test_a_flipped_bit_costs_some_seconds_of_folding(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    """Of the newest checkpoint one bit of a chunk is changed: the next owner says so, goes on from the one before, and all is whole."""
    feed = fresh_feed("bit")
    send(servers, feed, LOG)

    async def scenario() -> None:
        async with shell(servers, feed) as owner:
            runner = await owner.take()
            for end in (400, 800):
                await owner.fold(runner, end)
                await runner.checkpoint()
            await runner.abandon()
            newest = (await PartitionReader(owner.redis, feed.name, 0).manifest()).chunks
            (changed,) = [part.id.encode() for name, parts in newest.items() for part in parts if name == "partition"]
            key = partition_keys(feed.name, 0).chunk + changed
            data = bytearray(await owner.redis.get(key))
            data[len(data) // 2] ^= 1
            await owner.redis.set(key, bytes(data))
            successor = await owner.take()
            assert successor.progress.next_offset == 400
            await owner.fold(successor)
            await successor.release()
        assert "the checkpoint before the newest is used" in caplog.text
        async with shell(servers, feed) as after:
            await assert_whole(after)

    asyncio.run(scenario())
