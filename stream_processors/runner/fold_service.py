"""The service that owns the worker's partitions: a Kafka consumer, a runner for each place, timers.

It is a `mode.Service` on the Faust app, so Faust supervises it; stock Faust agents would cost some 70 µs an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import mode
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from redis.asyncio import Redis

from contracts.definition import Feed
from contracts.errors import Fenced
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.redis_connection import async_client
from stream_processors.decoding.batches import Fetched
from stream_processors.joiner.joiner_runner import JoinerRunner
from stream_processors.runner.clients import SESSION_MS, group_consumer, has_transactions, plain_producer
from stream_processors.runner.feed_runners import FeedRunners
from stream_processors.runner.idle import IdleWatch
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.runner.partition_runner import PartitionRunner
from stream_processors.topics import ensure_topics

POLL_MS = 200  # a longer wait delays a rebalance's answer; the fetch returns as soon as there is anything
CHECKPOINT_SECONDS = 5.0  # of work folded again after a crash; shorter writes more
IDLE_CHECKPOINT_SECONDS = 0.5  # so that status and a takeover see a quiet partition as it is
TAKE_AGAIN_SECONDS = 2 * SESSION_MS / 1000  # who took our place is in the group by then, or gone: without it nobody would fold that place
GC_OBJECTS = 50_000  # a batch makes thousands of short-lived tuples; at Python's 700 the collector takes 7 % of the time
LOGS = ("events", "evidence")
LEARNING_LOGS = ("labels", "examples")  # of feeds with a target
log = logging.getLogger("streamgauge.worker")


class FoldService(mode.Service):
    """Folds every partition that the group gives this worker, of all feeds of the plant."""

    def __init__(
        self, feeds: list[Feed], servers: Servers, plant: str, metrics: WorkerMetrics, history: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.feeds = feeds
        self.servers = servers
        self.metrics = metrics
        self.history = history
        self.group = f"streamgauge-{plant}"
        self.owner = f"{socket.gethostname()}-{os.getpid()}"
        self.runners: dict[TopicPartition, PartitionRunner] = {}
        self.ready = False
        self._waiting: list[TopicPartition] = []  # assigned, paused, not taken yet
        self._gone: dict[TopicPartition, float] = {}  # assigned, but taken by another worker: when (monotonic) to take them back
        self._full: set[TopicPartition] = set()  # paused, since too many of their labels wait
        self._turn = 0  # of assignments: what was fetched in an earlier one is stale
        self._lock = asyncio.Lock()
        self._logs: dict[str, tuple[FeedRunners, str]] = {}
        self._idle = IdleWatch()
        self._clients = contextlib.AsyncExitStack()  # what is open, to be closed in reverse

    async def on_start(self) -> None:
        """Makes topics, connects, joins the group."""
        kafka = self.servers.kafka
        gc.freeze()
        gc.set_threshold(GC_OBJECTS, 20, 50)
        self._redis: Redis = await async_client(self.servers.redis)
        self._clients.push_async_callback(self._redis.aclose)
        self._producer = plain_producer(kafka)
        self._clients.push_async_callback(self._producer.stop)
        await self._producer.start()
        transactions = await has_transactions(kafka)
        if not transactions:
            log.warning("the broker has no transactions: a worker that lost its partition can leave a repeated record that differs")
        if self.history is None:
            log.info("no full copies of checkpoints are kept: neither --history nor STREAMGAUGE_HISTORY names a place for them")
        for feed in self.feeds:
            found = await asyncio.to_thread(ensure_topics, feed, kafka)
            for finding in found.findings:
                log.warning(finding)
            ids = {state.name: state.topic_id for state in found.topics.values()}
            runners = FeedRunners(feed, kafka, self._redis, self._producer, transactions, ids, self.history)
            self._clients.push_async_callback(runners.stop)
            await runners.start()
            for name in LOGS + (LEARNING_LOGS if feed.target is not None else ()):
                self._logs[topic_name(feed, name)] = (runners, name)
        self._consumer = group_consumer(kafka, self.group, self.owner)
        self._clients.push_async_callback(self._consumer.stop)
        await self._consumer.start()
        self._consumer.subscribe(list(self._logs), listener=_Rebalance(self))

    async def on_stop(self) -> None:
        """Checkpoints, leaves the group at once, closes everything."""
        async with self._clients, self._lock:
            await self._give_up(list(self.runners))

    @mode.Service.timer(1.0)
    async def _look_for_idle(self) -> None:
        """Puts one observation on `evidence` for a partition of events that nobody is heard on any more."""
        if self._lock.locked():
            return  # a takeover or a large batch is at work; the next second will do
        async with self._lock:
            for place, runner in self.runners.items():
                if runner.place.log == "events" and (found := self._idle.observation(place, runner, time.monotonic())):
                    await self._producer.send_and_wait(topic_name(runner.place.feed, "evidence"), found, partition=0)

    @mode.Service.task
    async def _fold(self) -> None:
        while not self.should_stop:
            turn = self._turn
            passed = await self._consumer.getbatches(timeout_ms=0 if self._waiting else POLL_MS)
            async with self._lock:
                if turn == self._turn and not self.should_stop:
                    for place, fetched in passed:
                        await self._process(place, fetched)
                    await self._settle()
                    await self._checkpoint_due()
                    self._want_back()
                    if self._waiting:
                        await self._take(self._waiting.pop(0))

    async def _process(self, place: TopicPartition, fetched: Fetched) -> None:
        runner = self.runners.get(place)
        if runner is None:
            return
        began = time.perf_counter()
        gaps = runner.progress.gaps
        async with self._owned(place):
            outputs = await runner.process(fetched)
            if runner.progress.gaps > gaps and gaps == 0:
                say = "%s/%d: offsets without a record were passed (aborted transactions, compaction or retention)"
                log.warning(say, place.topic, place.partition)
            if fetched.batch.n:
                self._idle.heard(place, fetched.batch, time.monotonic())
                self.metrics.folded(runner, fetched.batch, outputs, time.perf_counter() - began)

    async def _settle(self) -> None:
        """Ends labels whose events have come; reads no more of a partition while too many of it wait."""
        for place, runner in list(self.runners.items()):
            if isinstance(runner, JoinerRunner):
                async with self._owned(place):
                    await runner.settle()
                    if runner.full:
                        self._consumer.pause(place)
                        self._full.add(place)
                    elif place in self._full:
                        self._consumer.resume(place)
                        self._full.discard(place)

    async def _checkpoint_due(self) -> None:
        now = time.monotonic()
        for place, runner in list(self.runners.items()):
            quiet = now - self._idle.last_heard(place) > IDLE_CHECKPOINT_SECONDS
            if runner.changed and (now - runner.checkpointed_at > CHECKPOINT_SECONDS or quiet):
                await self._checkpoint(place, runner)

    async def _checkpoint(self, place: TopicPartition, runner: PartitionRunner) -> None:
        async with self._owned(place):
            with self.metrics.checkpointing():
                await runner.checkpoint()
            with contextlib.suppress(KafkaError):  # the group's offsets serve lag tools only; the manifest is what counts
                await self._consumer.commit({place: runner.progress.next_offset})

    @contextlib.asynccontextmanager
    async def _owned(self, place: TopicPartition) -> AsyncIterator[None]:
        """Lets go of a place in whose work another worker shows, or an error: of what is half done there must be no checkpoint."""
        try:
            yield
        except Fenced:
            await self._lost(place)
        except BaseException:
            await self.runners.pop(place).abandon()
            raise

    async def _lost(self, place: TopicPartition) -> None:
        """Another owner has taken the place: nothing may be written any more."""
        runner = self.runners.pop(place)
        self._consumer.pause(place)
        self._let_go(place)
        await runner.abandon()

    def _let_go(self, place: TopicPartition) -> None:
        log.warning("%s/%d was taken by another worker; this one lets go", place.topic, place.partition)
        self._gone[place] = time.monotonic() + TAKE_AGAIN_SECONDS

    def _want_back(self) -> None:
        """Places that the group still gives this worker: who took them was no member any more, and has ended or will be told."""
        due = [place for place, at in self._gone.items() if at < time.monotonic()]
        for place in due:
            del self._gone[place]
            if place in self._consumer.assignment():
                self._waiting.append(place)

    async def _take(self, place: TopicPartition) -> None:
        """Takes a place and reads on from where its state stands."""
        feed_runners, name = self._logs[place.topic]
        await asyncio.gather(*(self._logs[each.topic][0].fence(self._logs[each.topic][1], each.partition) for each in self._waiting))
        try:
            runner = await feed_runners.take(name, place.partition, self.owner)
        except Fenced:  # a rebalance that this worker has yet to hear of gave it to another
            self._let_go(place)
            return
        if place not in self._consumer.assignment():  # lost again meanwhile; whoever has it fences this runner
            await runner.abandon()
            return
        self.runners[place] = runner
        self._consumer.seek(place, runner.progress.next_offset)
        self._consumer.resume(place)
        self._idle.taken(place, time.monotonic())
        log.info("took %s/%d at offset %d", place.topic, place.partition, runner.progress.next_offset)
        self.ready = not self._waiting

    async def assigned(self, places: Iterable[TopicPartition]) -> None:
        """Notes what is to be taken; the fold task takes it, since no heartbeat is sent while this callback runs."""
        async with self._lock:
            self._turn += 1
            self._waiting = sorted(places)
            self._consumer.pause(*self._waiting)
            self.ready = self.ready or not self._waiting

    async def revoked(self, places: Iterable[TopicPartition]) -> None:
        """Checkpoints and gives up each place."""
        async with self._lock:
            self._turn += 1
            self._waiting, self._gone = [], {}
            for feed_runners, _ in self._logs.values():
                await feed_runners.forget_fenced()
            await self._give_up([place for place in places if place in self.runners])

    async def _give_up(self, places: list[TopicPartition]) -> None:
        for place in places:
            with contextlib.suppress(Fenced):
                await self.runners.pop(place).release()


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands aiokafka's calls to the service; an error in them must end the worker, not be logged and forgotten."""

    def __init__(self, service: FoldService) -> None:
        self._service = service

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._guard(self._service.revoked(revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._guard(self._service.assigned(assigned))

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            await self._service.crash(error)
            raise
