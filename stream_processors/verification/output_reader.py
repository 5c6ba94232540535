"""One output topic read along with the fold, so that neither side has to be held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import TopicPartition

from contracts.settings import KafkaSettings
from stream_processors.log_ends import end_offset
from stream_processors.log_fold import OutRecord
from stream_processors.runner.clients import free_consumer
from stream_processors.verification.comparison import Comparison
from stream_processors.verification.log_reader import as_published, read_portions


class OutputReader:
    """Compares one output of one place: `expect` what the fold gives, portion by portion, then `finish`."""

    def __init__(self, kafka: KafkaSettings, topic: str, partition: int, prefix: str, first: int, end: int) -> None:
        self.comparison = Comparison(f"{topic}/{partition}")
        self._consumer = free_consumer(kafka)
        self._topic, self._partition = topic, partition
        self._prefix, self._first, self._end = prefix, first, end
        self._portions: AsyncIterator[list[Any]] | None = None
        self._started = False

    async def expect(self, records: Sequence[OutRecord]) -> None:
        """Takes what the fold gives and reads the topic until all of it has been met."""
        self.comparison.expect(records)
        while self.comparison.waiting and await self._read_on():
            pass

    async def finish(self) -> None:
        """Reads the topic to its end and settles what has no counterpart."""
        while await self._read_on():
            pass
        self.comparison.finish()

    async def stop(self) -> None:
        """Closes the reader."""
        if self._started:
            await self._consumer.stop()

    async def _read_on(self) -> bool:
        if self._portions is None:
            self._portions = await self._open()
        records = await anext(self._portions, None)
        if records is None:
            return False
        self.comparison.find(as_published(records, self._prefix, self._first, self._end))
        return True

    async def _open(self) -> AsyncIterator[list[Any]]:
        await self._consumer.start()
        self._started = True
        place = TopicPartition(self._topic, self._partition)
        end = await end_offset(self._consumer, place)
        start = (await self._consumer.beginning_offsets([place]))[place]
        return read_portions(self._consumer, self._topic, self._partition, start, end)
