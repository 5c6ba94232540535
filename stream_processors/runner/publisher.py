"""Outputs onto their topics: a batch's records in one transaction where the broker has transactions, else acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder

from contracts.errors import Fenced
from stream_processors.log_fold import OutRecord
from stream_processors.record_columns import RecordColumns
from stream_processors.runner.clients import BATCH_BYTES, stopped
from stream_processors.runner.encoded_batch import encoded_batches, encodes

ABORT_SECONDS = 1.0  # a broker that is gone would hold up whoever lets go of the place


class Publisher:
    """Sends outputs of one fold over one partition and knows how far each output partition is acknowledged."""

    def __init__(self, producer: AIOKafkaProducer, transactional: bool) -> None:
        self._producer = producer
        self.transactional = transactional
        self.ends: dict[tuple[str, int], int] = {}  # (topic, partition) -> offset after the last acknowledged record

    async def publish(self, records: Mapping[str, Sequence[OutRecord]]) -> None:
        """Sends all records, by topic; when it returns, every one of them is acknowledged (and committed).

        Raises:
            Fenced: a later owner has a producer of the same transactional id.
            KafkaError: nothing may be checkpointed; a successor finds what was published and suppresses it.
        """
        if not any(records.values()):
            return
        if not self.transactional:
            await self._send(records)
            return
        try:
            await self._producer.begin_transaction()
            try:
                await self._send(records)
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

    async def _send(self, records: Mapping[str, Sequence[OutRecord]]) -> None:
        await asyncio.gather(*(self._send_topic(topic, items) for topic, items in records.items() if items))

    async def _send_topic(self, topic: str, items: Sequence[OutRecord]) -> None:
        if isinstance(items, RecordColumns) and encodes():
            await self._send_batches(topic, items.partition, encoded_batches(items, BATCH_BYTES, self.transactional))
            return
        partitions: dict[int, list[OutRecord]] = {}
        for item in items:
            partitions.setdefault(item.partition, []).append(item)
        await asyncio.gather(*(self._send_batches(topic, p, self._batches(topic, mine)) for p, mine in sorted(partitions.items())))

    async def _send_batches(self, topic: str, partition: int, batches: Iterable[BatchBuilder]) -> None:
        waiting = [(await self._producer.send_batch(batch, topic, partition=partition), batch.record_count()) for batch in batches]
        for future, count in waiting:
            self.ends[topic, partition] = (await future).offset + count

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
        """Ends the producer where it is this partition's own."""
        if self.transactional:
            await stopped(self._producer)
