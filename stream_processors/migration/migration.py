"""Folds what archive and Kafka hold of a feed's events with a new definition, and lets the new state take over.

::

    archive ─► Kafka ─► the old owner's checkpoint      fence, fold the rest        copy ─► switch ─► checkpoint ─► served
    folded with the old and the new definition          up to its last checkpoint   from here on readers see the new values
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from contracts.definition import Feed
from contracts.errors import SettingsError, StateError
from contracts.records import Alert, Switch
from contracts.settings import KafkaSettings
from contracts.topics import events_topic, topic_name
from feature_store.checkpoint import Checkpoint, Manifest
from feature_store.full_copies import FullCopies
from feature_store.history_files import HistoryFiles
from feature_store.partition_reader import PartitionReader
from feature_store.partition_store import PartitionStore
from feature_store.redis_layout import vector_lifetime_s
from stream_processors.archive.whole_log import FeedArchive, WholeLog, open_archive, whole_switches
from stream_processors.decoding.batches import Fetched, raw_batch
from stream_processors.judge_fold import JudgeFold
from stream_processors.log_fold import LogFold, OutRecord
from stream_processors.runner.clients import (
    batch_consumer,
    free_consumer,
    has_transactions,
    plain_producer,
    stopped,
    transactional_producer,
)
from stream_processors.runner.place import Place
from stream_processors.runner.progress import Progress
from stream_processors.runner.switch_log import SwitchLog, current_generation

OWNER = "migrate"
Say = Callable[[str, int, int], None]  # (place, offsets folded, offsets in all)
log = logging.getLogger("streamgauge.migrate")


class Incident(NamedTuple):
    """What a definition raises; `entity` and `field` are empty where it is about all of them."""

    event_time: int  # when it opens
    kind: str
    entity: str
    field: str


class MigratedPlace(NamedTuple):
    """One partition's new generation."""

    partition: int
    generation: int
    first: int  # source offsets first ≤ offset < cut_over were folded into its state
    cut_over: int


class MigrationReport(NamedTuple):
    """`places` has the partitions that were cut over now."""

    feed: str
    places: list[MigratedPlace]
    both: int  # incidents that the two definitions raise alike
    only_old: list[Incident]
    only_new: list[Incident]


class _Dated(msgspec.Struct):
    event_time: int


class _Beside:
    """Both folds of one partition, and what they gave as evidence."""

    def __init__(self, old: Place, new: Place, before: Switch, first: int) -> None:
        self.old, self.place, self.before = old, new, before
        self.generation = before.generation + 1
        self.fold: LogFold = new.new_fold(self.generation)
        self.progress = Progress(first, first)
        self.evidence: tuple[list[OutRecord], list[OutRecord]] = ([], [])  # of the old and of the new definition
        self._old_fold = old.new_fold(self.generation)

    def take(self, fetched: Fetched) -> None:
        self.evidence[0].extend(self._old_fold.fold(fetched.batch).records.get("evidence", []))
        self.evidence[1].extend(self.fold.fold(fetched.batch).records.get("evidence", []))
        self.progress.advance(fetched)


class Migration:
    """One feed's way from an old definition to a new one.

    Args:
        old, new: of the same name, topic and partitions.
        history: URL of the archive, and of the full copies that the workers keep.
        say: is told how far each partition is.

    Raises:
        SettingsError: the definitions are not two of one feed.
    """

    def __init__(self, old: Feed, new: Feed, kafka: KafkaSettings, redis: Redis, history: str, say: Say) -> None:
        if (old.name, events_topic(old)) != (new.name, events_topic(new)):
            raise SettingsError(f"'{old.name}' on {events_topic(old)} and '{new.name}' on {events_topic(new)} are two feeds")
        if old.hash == new.hash:
            raise SettingsError(f"feed '{old.name}' is defined alike in both files; there is nothing to migrate")
        self._old, self._new, self._kafka, self._redis, self._history, self._say = old, new, kafka, redis, history, say
        self._source, self._reader, self._producer = batch_consumer(kafka), free_consumer(kafka), plain_producer(kafka)
        self._archive: FeedArchive

    async def run(self, cut_over: bool) -> MigrationReport:
        """Folds beside the running workers, tells what would differ, and cuts over where asked to.

        Raises:
            StateError: a partition is not folded with the old definition, or has no checkpoint yet; or all are migrated.
            HistoryError: the archive cannot be read.
            Fenced: a worker took the partition meanwhile; run it again, and the partitions that are done are left as they are.
        """
        clients: tuple[AIOKafkaConsumer | AIOKafkaProducer, ...] = (self._source, self._reader, self._producer)
        for client in clients:
            await client.start()
        try:
            self._archive = await open_archive(self._new, self._kafka, HistoryFiles(self._history))
            partitions = range(self._archive.topics[events_topic(self._new)].partitions)
            beside = [found for partition in partitions if (found := await self._fold_beside(partition)) is not None]
            if not beside:
                raise StateError(
                    f"every partition of {events_topic(self._new)} is folded with the new definition already; start its workers"
                )
            before, after = (self._incidents(feed, beside, at) for at, feed in enumerate((self._old, self._new)))
            places = [await self._cut_over(item) for item in beside] if cut_over else []
        finally:
            for client in clients:
                await stopped(client)
        return MigrationReport(self._new.name, places, len(before & after), sorted(before - after), sorted(after - before))

    async def _fold_beside(self, partition: int) -> _Beside | None:
        """Both folds up to the last checkpoint; None of a partition that a migration which did not come to its end has cut over."""
        old, new = (Place(feed, "events", partition) for feed in (self._old, self._new))
        found = current_generation(await whole_switches(self._new, self._kafka, self._archive), new.topic, partition)
        manifest = await PartitionReader(self._redis, new.feed.name, new.store_name).manifest()
        if found is not None and found.switch.definition == self._new.hash:
            log.info("%s/%d is folded with the new definition already", new.topic, partition)
            return None
        if found is None or manifest is None or manifest.generation != found.switch.generation:
            raise StateError(f"{new.topic}/{partition}: no checkpoint of its generation yet; start a worker and let it fold")
        if found.switch.definition != self._old.hash:
            raise StateError(
                f"{new.topic}/{partition} is folded with definition {found.switch.definition}, the old file has {self._old.hash}"
            )
        beside = _Beside(old, new, found.switch, await self._log(new).first())
        await self._fold_to(beside, manifest.offset)
        return beside

    async def _fold_to(self, beside: _Beside, end: int) -> None:
        first = beside.progress.start_offset
        async for fetched in self._log(beside.place).batches(beside.progress.next_offset, end):
            beside.take(fetched)
            self._say(f"{beside.place.topic}/{beside.place.partition}", beside.progress.next_offset - first, end - first)

    async def _cut_over(self, beside: _Beside) -> MigratedPlace:
        """Becomes the owner, folds up to the old owner's last checkpoint, and puts the new state in its place."""
        place = beside.place
        if await has_transactions(self._kafka):  # fences the owner before, which then lets go
            producer = transactional_producer(self._kafka, place.transactional_id)
            await producer.start()
            await stopped(producer)
        topic = topic_name(place.feed, "switches")
        self._reader.assign([TopicPartition(topic, 0)])
        switches = SwitchLog(topic, self._producer, self._reader)
        epoch = await switches.append(Switch(kind="taken", log=place.topic, partition=place.partition, owner=OWNER))
        store = PartitionStore(self._redis, place.feed.name, place.store_name, vector_lifetime_s(place.feed))
        checkpoint = await store.restore(await store.take(epoch))
        if checkpoint is None or checkpoint.manifest.generation != beside.before.generation:
            raise StateError(f"{place.topic}/{place.partition}: its owner began another generation meanwhile; run the migration again")
        await self._fold_to(beside, checkpoint.manifest.offset)
        return await self._put_in_place(beside, switches, store, checkpoint, epoch)

    async def _put_in_place(
        self, beside: _Beside, switches: SwitchLog, store: PartitionStore, checkpoint: Checkpoint, epoch: int
    ) -> MigratedPlace:
        place, fold, progress = beside.place, beside.fold, beside.progress
        begun = Switch(
            kind="generation",
            log=place.topic,
            partition=place.partition,
            generation=beside.generation,
            from_offset=progress.next_offset,
            state_from=progress.start_offset,
            topic_id=beside.before.topic_id,
            definition=place.feed.hash,
            fold_version=fold.version,
            cause=f"migrated from definition {self._old.hash}",
            epoch=epoch,
        )
        manifest = Manifest(
            generation=beside.generation,
            offset=progress.next_offset,
            definition=place.feed.hash,
            fold_version=fold.version,
            epoch=epoch,
            counters=fold.counters() | progress.counters() | {"start_offset": progress.start_offset},
            output_ends=checkpoint.manifest.output_ends,
            topic_id=beside.before.topic_id,
        )
        chunks = fold.all_chunks()
        # before the switch: a worker that finds the generation and no checkpoint of it goes on from the copy
        FullCopies(self._history, place.feed.name, begun).write(manifest, chunks)
        await switches.record(begun)  # where a worker has taken the place again it must not stand in the store either
        if not (await store.checkpoint(manifest, chunks)).written:
            log.warning("%s/%d: Redis had forgotten; the new worker takes the state from the full copy", place.topic, place.partition)
        everything = fold.everything_served()
        await store.serve(beside.generation, everything.entities, everything.vectors)
        if everything.created:
            await store.serve_directory(beside.generation, everything.created)
        log.info("%s/%d: generation %d goes on at offset %d", place.topic, place.partition, beside.generation, progress.next_offset)
        return MigratedPlace(place.partition, beside.generation, progress.start_offset, progress.next_offset)

    def _log(self, place: Place) -> WholeLog:
        return WholeLog(self._archive.log("events", place.partition), self._source, place.topic, place.partition)

    def _incidents(self, feed: Feed, beside: list[_Beside], at: int) -> set[Incident]:
        """What a judge makes of the evidence of all partitions, in the order of event time, partition, offset and n."""
        dated = [
            (msgspec.json.decode(item.value, type=_Dated).event_time, one.place.partition, item.offset, item.n, item.value)
            for one in beside
            for item in one.evidence[at]
        ]
        values: list[bytes | None] = [item[-1] for item in sorted(dated)]
        alerts = JudgeFold(feed, 1).fold(raw_batch(range(len(values)), [-1] * len(values), [None] * len(values), values)).records
        opened = [msgspec.json.decode(record.value, type=Alert) for record in alerts.get("alerts", [])]
        return {Incident(a.event_time, a.kind, a.entity or "", a.field or "") for a in opened if a.status == "opened"}
