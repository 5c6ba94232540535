"""Outputs onto their topics: in transactions where the broker has them, else acknowledged; the fold goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder

from contracts.errors import Fenced
from stream_processors.log_fold import OutRecord
from stream_processors.record_columns import RecordColumns
from stream_processors.runner.clients import BATCH_BYTES, stopped
from stream_processors.runner.encoded_batch import encoded_batches, encodes

ABORT_SECONDS = 1.0  # a broker that is gone would hold up whoever lets go of the place
AHEAD_BYTES = 1_000_000  # that may wait for the next transaction; without a bound memory grows while the broker is slow


class Encoded(NamedTuple):
    """Records of one partition, as they go over the wire."""

    topic: str
    partition: int
    batch: BatchBuilder


class Publisher:
    """Sends outputs of one fold over one partition and knows how far each output partition is acknowledged.

    What is handed over while a transaction is under way goes into the next one: the fold need not wait for a commit, and the more there is
    to do, the more a transaction holds.
    """

    def __init__(self, producer: AIOKafkaProducer, transactional: bool) -> None:
        self._producer = producer
        self.transactional = transactional
        self.ends: dict[tuple[str, int], int] = {}  # (topic, partition) -> offset after the last acknowledged record
        self.handed_over = 0  # calls that had anything to publish
        self._published = 0  # of these
        self._waiting: list[Encoded] = []
        self._publishing: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()  # a transaction has begun or ended

    def hand_over(self, records: Mapping[str, Sequence[OutRecord]]) -> None:
        """Takes records, by topic, to be published in their order. They are encoded when it returns.

        Raises:
            Fenced, KafkaError: of an earlier transaction, as `published` does.
        """
        self.check()
        encoded = [each for topic, items in records.items() if items for each in self._encoded(topic, items)]
        if not encoded:
            return
        self._waiting += encoded
        self.handed_over += 1
        if self._publishing is None or self._publishing.done():
            self._publishing = asyncio.create_task(self._publish_waiting())

    async def room(self) -> None:
        """Waits while so much waits that no more should be handed over; raises as `published`."""
        while sum(each.batch.size() for each in self._waiting) > AHEAD_BYTES:
            await self._next()

    async def published(self, calls: int | None = None) -> None:
        """When it returns, every record of the first so many calls, or of all, is acknowledged (and committed).

        Raises:
            Fenced: a later owner has a producer of the same transactional id.
            KafkaError: nothing may be checkpointed; a successor finds what was published and suppresses it.
        """
        calls = self.handed_over if calls is None else calls
        self.check()
        while self._published < calls:
            await self._next()

    def check(self) -> None:
        """Raises what has ended the publishing, if anything has."""
        if self._publishing is not None and self._publishing.done():
            if self._publishing.cancelled():
                raise KafkaError("the partition was given up")
            self._publishing.result()

    async def _publish_waiting(self) -> None:
        try:
            while self._waiting:
                batches, self._waiting, calls = self._waiting, [], self.handed_over
                self._moved.set()
                await self.publish(batches)
                self._published = calls
        finally:
            self._moved.set()

    async def _next(self) -> None:
        """Until a transaction has begun or ended; raises what ended the publishing, before as well: then nothing begins any more."""
        self.check()
        self._moved.clear()
        await self._moved.wait()
        self.check()

    async def publish(self, batches: Sequence[Encoded]) -> None:
        """Sends all of them in one transaction."""
        if not self.transactional:
            await self._send(batches)
            return
        try:
            await self._producer.begin_transaction()
            try:
                await self._send(batches)
            except BaseException:
                await self._abort()
                raise
            await self._producer.commit_transaction()  # after an error here nobody knows whether it is: a successor looks
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced("another owner has taken the partition: its transactional producer fenced this one") from error
        except AssertionError as error:  # aiokafka's, of a producer that an error has ended since
            raise KafkaError(f"the partition's producer can publish no more: {error}") from error

    async def _abort(self) -> None:
        # a fenced or broken producer has nothing left to abort: the next owner's start does it, or the broker at the timeout
        # (it asserts that it has something to abort)
        with contextlib.suppress(KafkaError, TimeoutError, AssertionError):
            async with asyncio.timeout(ABORT_SECONDS):
                await self._producer.abort_transaction()

    async def _send(self, batches: Sequence[Encoded]) -> None:
        places: dict[tuple[str, int], list[BatchBuilder]] = {}
        for topic, partition, batch in batches:
            places.setdefault((topic, partition), []).append(batch)
        await asyncio.gather(*(self._send_batches(*place, mine) for place, mine in places.items()))

    async def _send_batches(self, topic: str, partition: int, batches: Iterable[BatchBuilder]) -> None:
        waiting = [(await self._producer.send_batch(batch, topic, partition=partition), batch.record_count()) for batch in batches]
        for future, count in waiting:
            self.ends[topic, partition] = (await future).offset + count

    def _encoded(self, topic: str, items: Sequence[OutRecord]) -> Iterator[Encoded]:
        if isinstance(items, RecordColumns) and encodes():
            for batch in encoded_batches(items, BATCH_BYTES, self.transactional):
                yield Encoded(topic, items.partition, batch)
            return
        partitions: dict[int, list[OutRecord]] = {}
        for item in items:
            partitions.setdefault(item.partition, []).append(item)
        for partition, mine in sorted(partitions.items()):
            for batch in self._batches(topic, mine):
                yield Encoded(topic, partition, batch)

    def _batches(self, topic: str, items: list[OutRecord]) -> Iterator[BatchBuilder]:
        batch = self._producer.create_batch()
        for item in items:
            headers = list(item.headers)
            if batch.append(key=item.key, value=item.value, timestamp=None, headers=headers) is None:
                yield batch
                batch = self._producer.create_batch()
                if batch.append(key=item.key, value=item.value, timestamp=None, headers=headers) is None:
                    raise ValueError(f"{topic}: a record of {len(item.value)} bytes is larger than a batch may be")
        yield batch

    async def close(self) -> None:
        """Begins nothing more, and ends the producer where it is this partition's own.

        What a shared producer was given goes out whatever is done here; it is waited for a while, so that a successor finds it.
        """
        self._waiting = []
        if self._publishing is not None:
            if not self.transactional:
                await asyncio.wait({self._publishing}, timeout=ABORT_SECONDS)
            await end_task(self._publishing)
        if self.transactional:
            await stopped(self._producer)


async def end_task(task: asyncio.Task[Any]) -> None:
    """Ends a task for which nobody waits any more; an error of it was told, or is not asked for."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
