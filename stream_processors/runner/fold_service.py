"""The service that owns the worker's partitions: a Kafka consumer, a runner for each place, timers.

It is a `mode.Service` on the Faust app, so Faust supervises it; stock Faust agents would cost some 70 µs an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import mode
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from redis.asyncio import Redis

from contracts.definition import Feed
from contracts.errors import Fenced, ServerUnavailable
from contracts.outage import Outage
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.redis_addresses import CLIENT_ERRORS
from feature_store.redis_connection import async_client
from stream_processors.decoding.batches import Fetched
from stream_processors.joiner.joiner_runner import JoinerRunner
from stream_processors.log_ends import end_offsets
from stream_processors.runner.clients import SESSION_MS, group_consumer, has_transactions, plain_producer, stopped
from stream_processors.runner.feed_runners import FeedRunners
from stream_processors.runner.idle import IdleWatch
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.runner.partition_runner import PartitionRunner
from stream_processors.runner.progress import LogChanged
from stream_processors.runner.rebalance import Rebalance
from stream_processors.runner.switch_log import Superseded
from stream_processors.runner.untaken import Untaken
from stream_processors.topics import ensure_topics

POLL_MS = 200  # a longer wait delays a rebalance's answer; the fetch returns as soon as there is anything
CHECKPOINT_SECONDS = 5.0  # of work folded again after a crash; shorter writes more
STAGED_AT_ONCE = 4  # more hold up the fold for longer, keep more copies of states in memory, and take more of Redis's time from readers
IDLE_CHECKPOINT_SECONDS = 0.5  # so that status and a takeover see a quiet partition as it is
TAKE_AGAIN_SECONDS = 2 * SESSION_MS / 1000  # who took our place is in the group by then, or gone: without it nobody would fold that place
GC_OBJECTS = 50_000  # a batch makes thousands of short-lived tuples; at Python's 700 the collector takes 7 % of the time
LOOK_SECONDS = 5.0  # a store that lost what it had of a quiet place would otherwise be believed until the next event
TOPIC_SECONDS = 10.0  # a topic created anew that has outgrown the old one by then would be folded as if it were the same
LAG_SECONDS = 5.0  # between two looks for how far the logs have gone
ANSWER_SECONDS = 4.0  # a broker that does not say within them is gone
YIELD_SECONDS = 3.0  # half a session: work that holds up a rebalance or the end for longer is let go, and folded again
RELEASE_SECONDS = 3.0  # of a last checkpoint; a server that hangs would hold up the end of the process
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
        self.redis = Outage("Redis", log, self._hold)
        self.kafka = Outage("Kafka", log)
        metrics.watch(self.redis, self.kafka)
        self._assigned = False  # at least once
        self._untaken = Untaken()  # assigned and paused
        self._held = False  # everything is paused, since Redis is waited for
        self._full: set[TopicPartition] = set()  # of labels; paused, since too many wait or the newest scores are not read yet
        self._cut: set[TopicPartition] = set()  # let go, since the log's end was seen to be gone
        self._looked: set[FeedRunners] = set()  # whose topics were looked at since places were last assigned or let go
        self._turn = 0  # of assignments: what was fetched in an earlier one is stale
        self._lock = asyncio.Lock()
        self._work: asyncio.Timeout | None = None  # what is done under the lock for one place, to be let go when it holds up more
        self._logs: dict[str, tuple[FeedRunners, str]] = {}
        self._idle = IdleWatch()
        self._committing: asyncio.Task[None] | None = None
        self._to_commit: dict[TopicPartition, int] = {}  # offsets of checkpoints
        self._open: list[Callable[[], Awaitable[None]]] = []  # closes what is open

    @property
    def waits_for(self) -> str:
        """What keeps it from its work; empty where nothing does."""
        gone = [outage.sentence for outage in (self.redis, self.kafka) if outage.reason]
        if gone or (self._assigned and not self._untaken):
            return "; ".join(gone)
        if standing := self._untaken.standing:
            return f"{standing} partitions that another definition has taken over: stop this worker, and start one of that definition"
        return f"{len(self._untaken)} partitions to be taken" if self._untaken else "no partitions yet"

    @property
    def ready(self) -> bool:
        """Whether it folds all that the group gave it."""
        return not self.waits_for

    async def on_start(self) -> None:
        """Makes topics, connects, joins the group."""
        kafka = self.servers.kafka
        gc.freeze()
        gc.set_threshold(GC_OBJECTS, 20, 50)
        self._redis: Redis = await async_client(self.servers.redis)
        self._open.append(self._redis.aclose)
        self._producer = plain_producer(kafka)
        self._open.append(functools.partial(stopped, self._producer))
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
            topics = {topic.name: topic for topic in found.topics.values()}
            runners = FeedRunners(feed, kafka, self._redis, self._producer, transactions, topics, self.history, self.redis)
            self._open.append(runners.stop)
            await runners.start()
            for name in LOGS + (LEARNING_LOGS if feed.target is not None else ()):
                self._logs[topic_name(feed, name)] = (runners, name)
        self._consumer = group_consumer(kafka, self.group, self.owner)
        self._open.append(functools.partial(stopped, self._consumer))
        await self._consumer.start()
        self._consumer.subscribe(list(self._logs), listener=Rebalance(self))

    async def on_stop(self) -> None:
        """Checkpoints, leaves the group at once, closes everything."""
        try:
            async with self._locked():
                await self._give_up(list(self.runners))
        finally:
            await asyncio.gather(*(close() for close in self._open))

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        """The lock, for what cannot wait long: work for a place that a server holds up is let go."""
        try:
            async with asyncio.timeout(0.0 if self.redis.reason or self.kafka.reason else YIELD_SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            if self._work is not None and not self._work.expired():
                self._work.reschedule(asyncio.get_running_loop().time())
            await self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    @mode.Service.timer(1.0)
    async def _look_for_idle(self) -> None:
        """Puts one observation on `evidence` for a partition of events that nobody is heard on any more."""
        if self._lock.locked():
            return  # a takeover or a large batch is at work; the next second will do
        async with self._lock:
            for place, runner in self.runners.items():
                if runner.place.log == "events" and (found := self._idle.observation(place, runner, time.monotonic())):
                    await self._tell_idle(runner.place.feed, found)

    async def _tell_idle(self, feed: Feed, found: bytes) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._producer.send_and_wait(topic_name(feed, "evidence"), found, partition=0)
        except (KafkaError, TimeoutError) as error:  # nobody is heard when the broker is gone, and that is no silence of devices
            log.warning("%s: that nobody is heard could not be recorded (%s)", feed.name, str(error) or "no answer")

    @mode.Service.timer(LAG_SECONDS)
    async def _measure_lag(self) -> None:
        """How far the logs have gone beyond what is folded, also while that stands still; and whether Kafka answers."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                ends = await self._ends(list(self._consumer.assignment()))
        except (KafkaError, ServerUnavailable, TimeoutError) as error:
            where, why = ",".join(self.servers.kafka.servers), str(error) or f"nothing within {ANSWER_SECONDS:.0f} s"
            self.kafka.failed(f"Kafka at {where} does not answer ({why})")
            return
        self.kafka.over()
        await self._ask_redis()
        known = {place: max(int(end), self._consumer.highwater(place) or 0) for place, end in ends.items() if place in self.runners}
        self.metrics.lag((self.runners[at].place, end - self.runners[at].progress.next_offset) for at, end in known.items())

    @mode.Service.timer(TOPIC_SECONDS)
    async def _look_at_topics(self) -> None:
        """Whether one was created anew; the fold task then lets go of its places."""
        with contextlib.suppress(ServerUnavailable):
            for runners in self._feeds():
                await runners.look_at_topics()

    def _feeds(self) -> set[FeedRunners]:
        return {runners for runners, _ in self._logs.values()}

    async def _ask_redis(self) -> None:
        """Whether it is back, for a worker that has no place left of which a call would tell."""
        if self.redis.reason and not self.runners and not self._untaken:
            with contextlib.suppress(TimeoutError, *CLIENT_ERRORS):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._redis.ping()
                self.redis.over()

    async def _ends(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The embedded broker lists ends that are behind, which shows only while nothing is fetched."""
        if not self._held:
            return dict(await self._consumer.end_offsets(places))
        found = await asyncio.to_thread(end_offsets, [(place.topic, place.partition) for place in places], self.servers.kafka)
        return {place: found[place.topic, place.partition] for place in places}

    @mode.Service.task
    async def _fold(self) -> None:
        while not self.should_stop:
            turn = self._turn
            passed = await self._fetch()
            async with self._lock:
                await self._wait_for_redis()
                await self._leave_other_topics()
                for place, fetched in passed:
                    if self._goes_on(turn):
                        await self._process(place, fetched)
                if self._goes_on(turn):
                    await self._look_at_runners(turn)
                if self._goes_on(turn):
                    await self._settle(turn)
                if self._goes_on(turn):
                    await self._checkpoint_due(turn)
                due = self._untaken.next(time.monotonic())
                if due is not None and self._goes_on(turn):
                    await self._take(due)
                self._resume()

    async def _wait_for_redis(self) -> None:
        """A checkpoint that Redis does not take is waited for as any call is: nothing is folded, and nobody is called idle meanwhile."""
        staging = [runner for runner in self.runners.values() if runner.staging] if self.redis.reason else []
        if staging:
            with contextlib.suppress(TimeoutError):
                async with self._yielding():
                    await asyncio.gather(*(runner.staged() for runner in staging))

    async def _leave_other_topics(self) -> None:
        for place, runner in list(self.runners.items()):
            if self._logs[place.topic][0].is_another(runner):
                await self._let_go(place, LogChanged("the topic was created anew"))

    def _goes_on(self, turn: int) -> bool:
        """Whether the places are still those of that turn; what was fetched before is stale."""
        return turn == self._turn and not self.should_stop

    async def _fetch(self) -> list[tuple[TopicPartition, Fetched]]:
        due = self._untaken.next(time.monotonic()) is not None
        try:
            return await self._consumer.getbatches(timeout_ms=0 if due else POLL_MS)
        except KafkaError as error:
            await self.kafka.wait(error)
            return []

    async def _hold(self) -> None:
        """While Redis is waited for nothing is fetched, and the group goes on seeing that this worker lives."""
        assigned = self._consumer.assignment()
        self._consumer.pause(*assigned)
        self._held = True
        with contextlib.suppress(KafkaError):
            await self._consumer.getmany(timeout_ms=0)  # nothing comes, but five minutes without a call end the membership

    def _resume(self) -> None:
        """Ends `_hold`."""
        if self._held and not self.redis.reason:
            self._held = False
            self._idle.went_on(time.monotonic())
            self._consumer.resume(*(self._consumer.assignment() & self.runners.keys() - self._full))

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

    async def _look_at_runners(self, turn: int) -> None:
        """Notes checkpoints that are flipped; lets go of places whose outputs or checkpoint failed meanwhile."""
        for place, runner in list(self.runners.items()):
            if self._goes_on(turn):
                async with self._owned(place):
                    if (flipped := await runner.look()) is not None:
                        self.metrics.checkpointed(flipped.seconds)
                        self._to_commit[place] = flipped.manifest.offset
        offsets = {place: offset for place, offset in self._to_commit.items() if place in self.runners}
        if offsets and (self._committing is None or self._committing.done()):
            self._to_commit = {}
            self._committing = asyncio.create_task(self._commit(offsets))

    async def _settle(self, turn: int) -> None:
        """Ends labels whose events have come; reads no more of a partition while too many of it wait."""
        for place, runner in list(self.runners.items()):
            if isinstance(runner, JoinerRunner) and self._goes_on(turn):
                async with self._owned(place):
                    await runner.settle()
                    if runner.full:
                        self._consumer.pause(place)
                        self._full.add(place)
                    elif place in self._full:
                        self._consumer.resume(place)
                        self._full.discard(place)

    async def _checkpoint_due(self, turn: int) -> None:
        now, due = time.monotonic(), list[PartitionRunner]()
        for place, runner in list(self.runners.items()):
            quiet = now - self._idle.last_heard(place) > IDLE_CHECKPOINT_SECONDS
            if not self._goes_on(turn):
                return
            if runner.changed and not runner.staging and (now - runner.checkpointed_at > CHECKPOINT_SECONDS or quiet):
                due.append(runner)
            elif not runner.changed and now - max(runner.checkpointed_at, runner.looked_at) > LOOK_SECONDS:
                async with self._owned(place):
                    await runner.look_after()
        room = STAGED_AT_ONCE - sum(runner.staging for runner in self.runners.values())
        if due and room > 0 and self._goes_on(turn):
            with self.metrics.snapshot():
                for runner in sorted(due, key=lambda runner: runner.checkpointed_at)[:room]:
                    runner.begin_checkpoint()

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        """The group's offsets serve lag tools only; nobody waits for a broker that is gone to take them."""
        with contextlib.suppress(KafkaError):
            await self._consumer.commit(offsets)

    @contextlib.asynccontextmanager
    async def _owned(self, place: TopicPartition) -> AsyncIterator[None]:
        """Lets go of a place in whose work another worker shows, or an error: of what is half done there must be no checkpoint.

        Where Kafka failed, the place is taken again: its producer may be in a state that none comes back from.
        """
        try:
            async with self._yielding():
                yield
        except (Fenced, KafkaError, LogChanged, ServerUnavailable, TimeoutError) as error:
            await self._let_go(place, error)
        except BaseException:
            await self.runners.pop(place).abandon()
            raise

    @contextlib.asynccontextmanager
    async def _yielding(self) -> AsyncIterator[None]:
        """What `_locked` may end; what is done about it afterwards it may not."""
        try:
            async with asyncio.timeout(None) as self._work:
                yield
        finally:
            self._work = None

    async def _let_go(self, place: TopicPartition, error: Exception) -> None:
        """Nothing may be written any more for a place; while the group leaves it here, it is taken again."""
        name = f"{place.topic}/{place.partition}"
        runner = self.runners.pop(place, None)
        self._full.discard(place)
        self._looked.clear()
        if isinstance(error, LogChanged):
            self._cut.add(place)
        if place in self._consumer.assignment():
            self._consumer.pause(place)
        pause = self._untaken.let_go(place, time.monotonic(), TAKE_AGAIN_SECONDS if isinstance(error, Fenced) else 0.0)
        if isinstance(error, Fenced):
            log.warning("%s was taken by another worker; this one lets go, and takes it again in %.0f s if it stays its own", name, pause)
        elif not isinstance(error, TimeoutError):
            log.warning("%s is let go, and taken again in %.0f s: %s", name, pause, str(error) or type(error).__name__)
        else:
            log.warning("%s is let go amid its work, which held up a rebalance or the end", name)
        if runner is not None:
            await runner.abandon()

    async def _prepare_due(self) -> None:
        """Ends what owners before have left open of all places that are to be taken, and sees what their topics are now."""
        due = [(*self._logs[place.topic], place.partition) for place in self._untaken.due(time.monotonic())]
        unseen = {runners for runners, _, _ in due} - self._looked
        looks = [runners.prepare_topics() for runners in unseen]
        await asyncio.gather(*looks, *(runners.fence(name, partition) for runners, name, partition in due))
        self._looked |= unseen

    async def _take(self, place: TopicPartition) -> None:
        """Takes a place and reads on from where its state stands."""
        feed_runners, name = self._logs[place.topic]
        try:
            async with self._yielding():
                await self._prepare_due()
                runner = await feed_runners.take(name, place.partition, self.owner, place in self._cut)
        except Superseded as error:
            log.error("%s", error)
            self._untaken.stand(place)
            return
        except (Fenced, KafkaError, ServerUnavailable, TimeoutError) as error:
            await self._let_go(place, error)
            return
        self._untaken.taken(place)
        self._cut.discard(place)
        if place not in self._consumer.assignment():  # lost again meanwhile; whoever has it fences this runner
            await runner.abandon()
            return
        self.runners[place] = runner
        self._consumer.seek(place, runner.progress.next_offset)
        if isinstance(runner, JoinerRunner) and runner.full:
            self._full.add(place)
        else:
            self._consumer.resume(place)
        self._idle.taken(place, time.monotonic())
        log.info("took %s/%d at offset %d", place.topic, place.partition, runner.progress.next_offset)

    async def assigned(self, places: Iterable[TopicPartition]) -> None:
        """Notes what is to be taken; the fold task takes it, since no heartbeat is sent while this callback runs."""
        self._turn += 1
        async with self._locked():
            self._looked.clear()
            given = sorted(places)
            self._untaken.assign(given, time.monotonic())
            self._consumer.pause(*given)
            self._assigned = True

    async def revoked(self, places: Iterable[TopicPartition]) -> None:
        """Checkpoints and gives up each place."""
        self._turn += 1
        async with self._locked():
            self._untaken.clear()
            self._cut.clear()  # of a log that others fold meanwhile it would be said too late
            await asyncio.gather(*(runners.forget_fenced() for runners in self._feeds()))
            await self._give_up([place for place in places if place in self.runners])

    async def _give_up(self, places: list[TopicPartition]) -> None:
        """With a last checkpoint, unless Redis is gone: a successor then folds again what came after the one before."""
        runners = {place: self.runners.pop(place) for place in places}
        try:
            for place, runner in runners.items():
                await self._last_checkpoint(place, runner)
        finally:
            await asyncio.gather(*(runner.abandon() for runner in runners.values()))

    async def _last_checkpoint(self, place: TopicPartition, runner: PartitionRunner) -> None:
        server = self.kafka
        try:
            if not self.redis.reason:
                async with asyncio.timeout(0.0 if self.kafka.reason else RELEASE_SECONDS):
                    await runner.published()
                server = self.redis
                async with asyncio.timeout(RELEASE_SECONDS):
                    await runner.last_checkpoint()
        except Fenced:
            return
        except TimeoutError:
            server.failed(f"what a last checkpoint waits for took more than {RELEASE_SECONDS:.0f} s")
        except (KafkaError, ServerUnavailable) as error:
            server.failed(error)
        if runner.changed:
            name = f"{place.topic}/{place.partition}"
            log.warning("%s is given up without a last checkpoint: %s", name, self.redis.sentence or self.kafka.sentence)
