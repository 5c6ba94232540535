"""`<feed>.switches`: ownership, generations and other recorded decisions, read before anything is folded."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts.errors import Fenced, ServerUnavailable, StreamgaugeError
from contracts.record_reader import RecordReader
from contracts.records import Switch

_SWITCHES = RecordReader[Switch](Switch)
READ_TIMEOUT = 30.0  # seconds; a broker that lost its log's tail would otherwise hold a takeover for ever


class Superseded(StreamgaugeError):
    """Another definition has taken a place over from this worker's while it ran; it must not take it back."""


class Recorded(NamedTuple):
    """A switch and where it stands; a `taken` record's offset is its owner's epoch."""

    offset: int
    switch: Switch


class SwitchLog:
    """Appends to and reads the switches of one feed."""

    def __init__(self, topic: str, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self.topic = topic
        self._producer = producer
        self._consumer = consumer  # of no group, assigned to partition 0 of this topic alone
        self._records: list[Recorded] = []
        self._next = 0
        self.began = 0  # offset
        self._reading = asyncio.Lock()

    async def begin(self) -> None:
        """Notes in `began` where the log stands: what comes behind it is recorded while this worker runs."""
        place = TopicPartition(self.topic, 0)
        self.began = int((await self._consumer.end_offsets([place]))[place])

    async def append(self, switch: Switch) -> int:
        """Puts a switch down, acknowledged by all replicas, and returns its offset."""
        sent = await self._producer.send_and_wait(self.topic, msgspec.json.encode(switch), partition=0)
        return int(sent.offset)

    async def record(self, switch: Switch) -> int:
        """Puts a switch of a place's owner down, sees that it stands, and returns its offset.

        Raises:
            Fenced: a later `taken` stands before it, also one that a broker took down twice; whoever reads it will not act on it.
        """
        offset = await self.append(switch)
        if all(found.offset != offset for found in await self.read_to(offset)):
            raise Fenced(f"{switch.log}/{switch.partition} was taken again before offset {offset} of {self.topic}")
        return offset

    async def read_to(self, offset: int) -> list[Recorded]:
        """Every valid switch up to and including `offset`, from the first one on.

        Raises:
            ServerUnavailable: the broker did not hand them out in time.
        """
        async with self._reading:
            if self._next <= offset:
                await self._read_on(offset)
        return valid_switches([r for r in self._records if r.offset <= offset])

    async def _read_on(self, offset: int) -> None:
        place = TopicPartition(self.topic, 0)
        self._consumer.seek(place, self._next)
        deadline = asyncio.get_running_loop().time() + READ_TIMEOUT
        while self._next <= offset:
            for records in (await self._consumer.getmany(place, timeout_ms=200)).values():
                for record in records:
                    self._records.extend(decoded_switch(record.offset, record.value))
                    self._next = record.offset + 1
            # a control record at the end has no value to hand out, so the position tells as well
            self._next = max(self._next, await self._consumer.position(place))
            if asyncio.get_running_loop().time() > deadline:
                raise ServerUnavailable(f"{self.topic}: Kafka did not hand out the records up to offset {offset} in {READ_TIMEOUT:.0f} s")


def decoded_switch(offset: int, value: bytes | None) -> list[Recorded]:
    """The switch, or nothing where the record is none: a stranger's record must not stop a takeover."""
    switch = _SWITCHES.read(value)
    return [] if switch is None else [Recorded(offset, switch)]


def valid_switches(records: list[Recorded]) -> list[Recorded]:
    """Without those of an owner whose log and partition had been taken again before they were written."""
    newest: dict[tuple[str, int], int] = {}
    valid = []
    for record in records:
        place = (record.switch.log, record.switch.partition)
        if record.switch.kind == "taken":
            newest[place] = record.offset
        elif record.switch.epoch < newest.get(place, -1):
            continue
        valid.append(record)
    return valid


def current_generation(records: list[Recorded], log: str, partition: int) -> Recorded | None:
    """The generation that the partition's state is in, or None before its first start."""
    return max(_generations(records, log, partition), key=lambda r: r.switch.generation, default=None)


def superseding(records: list[Recorded], log: str, partition: int, definition: str, fold_version: int, began: int) -> Switch | None:
    """The generation of another definition that took a place over from this one at offset `began` or later; None where none did.

    A definition under which the place was never folded is the newer one, and begins a generation of its own.
    """
    found = current_generation(records, log, partition)
    if found is None or found.offset < began or _is_of(found.switch, definition, fold_version):
        return None
    own = any(_is_of(r.switch, definition, fold_version) for r in _generations(records, log, partition))
    return found.switch if own else None


def _generations(records: list[Recorded], log: str, partition: int) -> list[Recorded]:
    return [r for r in records if r.switch.kind == "generation" and (r.switch.log, r.switch.partition) == (log, partition)]


def _is_of(generation: Switch, definition: str, fold_version: int) -> bool:
    return (generation.definition, generation.fold_version) == (definition, fold_version)


def model_switches(records: list[Recorded], log: str, partition: int, generation: int) -> list[Switch]:
    """What was put in place in one generation of a partition, in order: a new generation begins with nothing in place."""
    own = [r.switch for r in records if r.switch.kind == "model" and (r.switch.log, r.switch.partition) == (log, partition)]
    return [switch for switch in own if switch.generation == generation]
