"""`<feed>.models` as everyone reads it: versions by name, answers, and the newest rollout."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.errors import ServerUnavailable
from contracts.ids import parse_id
from contracts.record_reader import RecordReader
from contracts.records import Answer, Rollout, Snapshot, Switch
from online_model.placement import Placement
from stream_processors.log_ends import end_offset

READ_TIMEOUT = 60.0  # seconds without a record; an open transaction is ended by the broker before
ModelRecord = Snapshot | Rollout | Answer
_RECORDS = RecordReader[ModelRecord](ModelRecord)


class Models:
    """What the records of the models topic say, taken one by one; repeats and what is no record change nothing."""

    def __init__(self) -> None:
        self.snapshots: dict[str, Snapshot] = {}
        self.rollouts: list[Rollout] = []
        self.answers: dict[str, list[Answer]] = {}  # by request
        self._newest: tuple[int, int, int] = (-1, -1, -1)

    def take(self, value: bytes | None) -> ModelRecord | None:
        """Takes one record's value; returns the record where it says something new."""
        record = _RECORDS.read(value)
        if record is None:
            return None
        if isinstance(record, Snapshot):
            return self.snapshots.setdefault(record.version, record)  # immutable: the first stands
        if isinstance(record, Answer):
            self.answers.setdefault(record.request, []).append(record)
            return record
        try:
            position = parse_id(record.id)
        except ValueError:
            return None
        if (here := (position.generation, position.offset, position.n)) <= self._newest:
            return None
        self._newest = here
        self.rollouts.append(record)
        return record

    @property
    def rollout(self) -> Rollout | None:
        """The newest: what is in place, and what runs beside it."""
        return self.rollouts[-1] if self.rollouts else None

    def half_widths(self) -> dict[str, float]:
        """Of the 90 % interval around each version's numbers; revisions have that of their version."""
        return {name.partition(".")[0]: found.half_width for name, found in self.snapshots.items() if found.half_width is not None}

    def placement(self, champion: str | None, challenger: str | None, share: float) -> Placement:
        """The versions by name; one that is not known is left out."""
        return Placement(self.snapshots.get(champion or ""), self.snapshots.get(challenger or ""), share)

    def placement_of(self, switch: Switch) -> Placement:
        """What a recorded switch put in place."""
        return self.placement(switch.version, switch.challenger, switch.share)


class ModelsLog:
    """Follows the models of one feed."""

    def __init__(self, topic: str, consumer: AIOKafkaConsumer) -> None:
        self.models = Models()
        self._place = TopicPartition(topic, 0)
        self._consumer = consumer  # of no group, for this topic alone
        self._next: int | None = None

    async def read_to_end(self) -> None:
        """Reads on to the present end: what another process has acted on is known here, too.

        Raises:
            ServerUnavailable: the broker did not hand the records out in time.
        """
        end = await end_offset(self._consumer, self._place)
        if self._next is None:
            self._next = (await self._consumer.beginning_offsets([self._place]))[self._place]
        self._consumer.assign([self._place])
        self._consumer.seek(self._place, self._next)
        loop = asyncio.get_running_loop()
        moved = loop.time()
        while (before := self._next) < end:
            await self.refresh(200)
            if self._next > before:
                moved = loop.time()
            if loop.time() - moved > READ_TIMEOUT:
                raise ServerUnavailable(f"{self._place.topic}: Kafka did not hand out offset {self._next} within {READ_TIMEOUT:.0f} s")

    async def refresh(self, timeout_ms: int = 0) -> None:
        """Takes in what has been fetched meanwhile."""
        for records in (await self._consumer.getmany(self._place, timeout_ms=timeout_ms)).values():
            for record in records:
                self.models.take(record.value)
        self._next = await self._consumer.position(self._place)
