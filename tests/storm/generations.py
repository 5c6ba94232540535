"""Generations that are over: each must end where the next begins, and what it published must still be what its fold gives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from contracts.definition import Feed
from contracts.records import Switch
from contracts.settings import Servers
from contracts.topics import topic_name
from stream_processors.log_ends import end_offset
from stream_processors.models_log import Models
from stream_processors.record_sources import source_of
from stream_processors.runner.clients import batch_consumer, free_consumer, stopped
from stream_processors.runner.place import Place
from stream_processors.runner.progress import Progress
from stream_processors.runner.switch_log import Recorded, model_switches
from stream_processors.verification.comparison import Comparison
from stream_processors.verification.log_reader import as_published, read_batches, read_models, read_portions, read_switches
from tests.storm.oracle import Verdict

BY_RULE = "definition or fold changed"
Begun = Sequence[Mapping[str, Any]]


def judge_those_before(feed: Feed, definitions: Mapping[str, Feed], servers: Servers, begun: Begun, transactions: bool) -> Verdict:
    """Folds every generation that another followed again, with its own definition, and looks where the next one begins.

    Args:
        feed: the present definition.
        definitions: those before it, by hash; this one may be among them.
        begun: what the watcher saw of checkpoints.
        transactions: of the broker. Without them an owner that was fenced amid a batch has published some outputs of it and not others.
    """
    return asyncio.run(_Before(feed, definitions, servers, begun, transactions).judge())


class _Over(NamedTuple):
    """A generation and the one that followed it."""

    place: Place
    switch: Switch
    next: Switch


class _Before:
    def __init__(self, feed: Feed, definitions: Mapping[str, Feed], servers: Servers, begun: Begun, transactions: bool) -> None:
        self._feed, self._definitions, self._kafka = feed, {**definitions, feed.hash: feed}, servers.kafka
        self._begun, self._transactions = begun, transactions
        self._recorded: list[Recorded] = []
        self._models = Models()

    async def judge(self) -> Verdict:
        self._recorded = await read_switches(self._feed, self._kafka)
        self._models = await read_models(self._feed, self._kafka)
        total = Verdict(0, 0, 0, [])
        for over in self._over():
            total += self._starts_by_rule(over)
            if over.place.log != "labels":  # what labels come to is recorded truth, no function of their log
                total += await self._folded_again(over)
        return total

    def _over(self) -> list[_Over]:
        found: dict[tuple[str, int], list[Switch]] = {}
        for _, switch in self._recorded:
            if switch.kind == "generation":
                found.setdefault((switch.log, switch.partition), []).append(switch)
        pairs = [pair for switches in found.values() for pair in pairwise(switches)]
        return [_Over(Place(self._definitions[one.definition], _log(one), one.partition), one, other) for one, other in pairs]

    def _starts_by_rule(self, over: _Over) -> Verdict:
        """At the last checkpoint of the newest generation before it that had one."""
        place, begins = over.place, over.next.from_offset
        name = f"{place.topic}/{place.partition}: generation {over.next.generation} ({over.next.cause})"
        seen = [found for found in self._begun if found["begun"] == place.store_name and found["generation"] >= over.next.generation]
        if over.next.cause != BY_RULE and not over.next.cause.startswith("migrated"):
            return Verdict(0, 0, 1, [f"{name} had to begin"])
        if not seen:
            return Verdict(0, 0, 1, [f"{name}: no checkpoint of it or of a later one was seen"])
        due = min(seen, key=lambda found: int(found["generation"]))["before"][1]
        if begins == due:
            return Verdict(0, 0, 0, [])
        return Verdict(abs(begins - due), 0, 0, [f"{name} begins at {begins}, the last checkpoint before it was at {due}"])

    async def _folded_again(self, over: _Over) -> Verdict:
        """All that the generation published, also beyond its last checkpoint, as far as that went."""
        place, switch = over.place, over.switch
        prefix, first, end = place.id_prefix(switch.generation), switch.from_offset, over.next.from_offset
        records = {kind: await self._published(*at) for kind, at in place.outputs.items()}
        if self._transactions:
            offsets = [source[0] for found in records.values() for record in found if (source := source_of(record.value, prefix))]
            end = max([end - 1, *offsets]) + 1
        outputs = {kind: Comparison(f"{kind} of {place.topic}/{place.partition} in generation {switch.generation}") for kind in records}
        for kind, comparison in outputs.items():
            comparison.find(as_published(records[kind], prefix, first, end))
        await self._expect(over, outputs, end)
        total = Verdict(0, 0, 0, [])
        for comparison in outputs.values():
            comparison.finish()
            doubled = comparison.repeated if self._transactions else 0
            total += Verdict(comparison.lost, doubled, comparison.changed + comparison.extra, comparison.differences)
            total += Verdict(0, 0, 0, [f"{comparison.name}: {doubled} stand twice"] if doubled else [])
        return total

    async def _expect(self, over: _Over, outputs: Mapping[str, Comparison], end: int) -> None:
        place, switch = over.place, over.switch
        fold = place.new_fold(switch.generation)
        for placed in model_switches(self._recorded, place.topic, place.partition, switch.generation):
            fold.place_models(placed.from_offset, self._models.placement_of(placed))
        start = Progress.of(switch, None).next_offset
        consumer = batch_consumer(self._kafka)
        await consumer.start()
        try:
            async for fetched in read_batches(consumer, place.topic, place.partition, start, end):
                records = fold.fold(fetched.batch).records
                for kind, comparison in outputs.items():
                    comparison.expect([record for record in records.get(kind, []) if record.offset >= switch.from_offset])
        finally:
            await stopped(consumer)

    async def _published(self, topic: str, partition: int) -> list[Any]:
        consumer = free_consumer(self._kafka)
        await consumer.start()
        try:
            end = await end_offset(consumer, TopicPartition(topic, partition))
            return [record async for records in read_portions(consumer, topic, partition, 0, end) for record in records]
        finally:
            await stopped(consumer)


def _log(switch: Switch) -> str:
    """The kind of log, of a switch that names a topic; the storm's events have no topic of another name."""
    return switch.log.rpartition(".")[2]


def places_of(feed: Feed, partitions: int) -> list[str]:
    """Every place of a feed with a target, by its topic and partition."""
    logs = [(log, p) for log in ("events", "labels") for p in range(partitions)]
    return [f"{topic_name(feed, log)}/{p}" for log, p in (*logs, ("evidence", 0), ("examples", 0))]
