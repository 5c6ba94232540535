"""One output topic read along with the fold, so that neither side has to be held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import TopicPartition

from contracts.settings import KafkaSettings
from stream_processors.archive.archived_log import ArchivedLog
from stream_processors.archive.whole_log import WholeLog
from stream_processors.log_ends import end_offset
from stream_processors.log_fold import OutRecord
from stream_processors.record_sources import is_of_generation_before
from stream_processors.runner.clients import free_consumer, stopped
from stream_processors.verification.comparison import Comparison
from stream_processors.verification.log_reader import as_published


class OutputReader:
    """Compares one output of one place: `expect` what the fold gives, portion by portion, then `finish`.

    Args:
        archived: what files hold of the topic's partition.
        prefix: of the place's ids in the generation folded again.
        first, end: source offsets first ≤ offset < end are compared.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, partition: int, archived: ArchivedLog, prefix: str, first: int, end: int) -> None:
        self.comparison = Comparison(f"{topic}/{partition}")
        self._consumer = free_consumer(kafka)
        self._topic, self._partition, self._archived = topic, partition, archived
        self._prefix, self._first, self._end = prefix, first, end
        self._portions: AsyncIterator[list[Any]] | None = None
        self._started = False
        self._seen = False  # the first records that are left

    async def expect(self, records: Sequence[OutRecord]) -> None:
        """Takes what the fold gives and reads the topic until all of it has been met."""
        self.comparison.expect([record for record in records if record.offset >= self._first])
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
            await stopped(self._consumer)

    async def _read_on(self) -> bool:
        if self._portions is None:
            self._portions = await self._open()
        records = await anext(self._portions, None)
        if records is None:
            return False
        self._look_at_the_first(records)
        self.comparison.find(as_published(records, self._prefix, self._first, self._end))
        return True

    async def _open(self) -> AsyncIterator[list[Any]]:
        await self._consumer.start()
        self._started = True
        end = await end_offset(self._consumer, TopicPartition(self._topic, self._partition))
        log = WholeLog(self._archived, self._consumer, self._topic, self._partition)
        start = await log.first()
        self.comparison.begins_late = start > 0
        return log.portions(start, end)

    def _look_at_the_first(self, records: list[Any]) -> None:
        """Where the topic begins with records of the place's generations before, retention has deleted none of this one."""
        if self.comparison.begins_late and not self._seen:
            self.comparison.begins_late = not any(is_of_generation_before(record.value, self._prefix) for record in records[:1])
        self._seen = True
