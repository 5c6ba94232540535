"""Folds every log of a feed again from the birth of its newest generation, and compares all that it gave.

Archive and log are read as one. Where neither reaches back to the birth, the fold begins with the oldest full copy of the state
from which they go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from contracts.definition import Feed
from contracts.errors import HistoryError, NotCheckable
from contracts.records import Switch
from contracts.settings import KafkaSettings
from feature_store.checkpoint import Checkpoint
from feature_store.full_copies import FullCopies
from feature_store.history_files import HistoryFiles, ScoreFile
from feature_store.partition_reader import PartitionReader
from stream_processors.archive.whole_log import FeedArchive, WholeLog, open_archive, whole_models, whole_switches
from stream_processors.models_log import Models
from stream_processors.runner.clients import batch_consumer, free_consumer, stopped
from stream_processors.runner.place import Place
from stream_processors.runner.progress import Progress
from stream_processors.runner.switch_log import Recorded, current_generation, model_switches
from stream_processors.verification.history_comparison import HistoryComparison, HistoryReport
from stream_processors.verification.label_verification import LabelVerification
from stream_processors.verification.log_reader import partition_count
from stream_processors.verification.output_reader import OutputReader
from stream_processors.verification.reports import PlaceReport, Say
from stream_processors.verification.state_comparison import compare_state

SAME, DIFFERENT, NOT_CHECKABLE = "same", "different", "not checkable"


class Range(NamedTuple):
    """What of a place can be folded again."""

    generation: Switch
    copy: Checkpoint | None  # from which the fold begins; None: from the generation's birth
    checkpoint: Checkpoint  # up to which


class FeedReport(NamedTuple):
    """What was compared of one feed."""

    feed: str
    verdict: str
    reason: str
    places: list[PlaceReport]
    history: HistoryReport | None = None  # None where nothing could be checked


async def places_of(feed: Feed, kafka: KafkaSettings) -> list[Place]:
    """What is folded of a feed and can be folded again."""
    places = [Place(feed, "events", p) for p in range(await partition_count(feed, kafka))]
    learning = (
        [Place(feed, "examples", 0), *(Place(feed, "labels", place.partition) for place in places)] if feed.target is not None else []
    )
    return [*places, Place(feed, "evidence", 0), *learning]


async def verify_feed(
    feed: Feed, kafka: KafkaSettings, redis: Redis, history: str, say: Say, places: Sequence[Place] | None = None
) -> FeedReport:
    """Verifies one feed; a log that is no longer there, or of another fold version, makes it not checkable.

    `history` is the directory or URL where archiver and workers write; nothing need be there. `places`: those to verify, else all.
    """
    verifier = _Verifier(feed, kafka, redis, HistoryFiles(history), say)
    try:
        chosen = await places_of(feed, kafka) if places is None else places
        await verifier.start()
        reports = [await verifier.verify(place) for place in chosen]
    except (NotCheckable, HistoryError) as error:
        return FeedReport(feed.name, NOT_CHECKABLE, str(error), [])
    finally:
        await verifier.stop()
    verdict = DIFFERENT if any(p.differences for p in reports) else SAME
    return FeedReport(feed.name, verdict, "", reports, verifier.history_report())


class _Verifier:
    """Readers of one feed's logs."""

    def __init__(self, feed: Feed, kafka: KafkaSettings, redis: Redis, history: HistoryFiles, say: Say) -> None:
        self._feed = feed
        self._kafka = kafka
        self._redis = redis
        self._say = say
        self._history = history
        self._files: list[ScoreFile] = []
        self._compared = [0, 0]  # files that are the same, and others
        self._source = batch_consumer(kafka)
        self._recorded: list[Recorded] = []
        self._models = Models()
        self._archive: FeedArchive

    async def start(self) -> None:
        await self._source.start()
        self._archive = await open_archive(self._feed, self._kafka, self._history)
        self._recorded = await whole_switches(self._feed, self._kafka, self._archive)
        self._models = await whole_models(self._feed, self._kafka, self._archive)
        self._files = await asyncio.to_thread(self._history.scores, self._feed.name)

    async def stop(self) -> None:
        await stopped(self._source)

    def history_report(self) -> HistoryReport:
        """After all places."""
        return HistoryReport(self._history.shown, len(self._files), self._compared[0], len(self._files) - sum(self._compared))

    async def verify(self, place: Place) -> PlaceReport:
        log = WholeLog(self._archive.log(place.log, place.partition), self._source, place.topic, place.partition)
        if await self._is_untouched(place, log):
            return PlaceReport(f"{place.topic}/{place.partition}", 0, 0, 0, {"gone": 0}, [], {})
        if place.log == "labels":
            return await self._verify_labels(place)
        generation, copy, checkpoint = await self._range(place, log)
        fold = place.new_fold(generation.generation)
        if copy is not None:
            fold.restore(copy.chunks)
        progress = Progress.of(generation, copy.manifest if copy else None)
        for switch in model_switches(self._recorded, place.topic, place.partition, generation.generation):
            fold.place_models(switch.from_offset, self._models.placement_of(switch))
        start, read, end = progress.next_offset, progress.read, checkpoint.manifest.offset
        first = max(start, generation.from_offset)
        prefix = place.id_prefix(generation.generation)
        outputs = {
            kind: OutputReader(self._kafka, topic, partition, self._archive.log(kind, partition), prefix, first, end)
            for kind, (topic, partition) in place.outputs.items()
        }
        files = HistoryComparison(place, generation, self._history, self._files, first, end)
        name = f"{place.topic}/{place.partition}"
        try:
            async for fetched in log.batches(start, end):
                records = fold.fold(fetched.batch).records
                progress.advance(fetched)
                for kind, output in outputs.items():
                    await output.expect(records.get(kind, []))
                files.expect(records.get("scores", []))
                self._say(name, progress.next_offset - start, end - start)
            for output in outputs.values():
                await output.finish()
        finally:
            for output in outputs.values():
                await output.stop()
        files.finish()
        self._compared = [self._compared[0] + files.same, self._compared[1] + files.different]
        compared = {"read": progress.read - read, "files": files.same, "gone": 0}
        for kind, output in outputs.items():
            compared[kind] = output.comparison.same
            compared["gone"] += output.comparison.gone
        differences = [line for output in outputs.values() for line in output.comparison.differences] + files.differences
        state = await compare_state(place, fold, progress, checkpoint, self._redis)
        tally = {kind: output.comparison.tally for kind, output in outputs.items()}
        tally |= {"files": {"changed": len(files.differences)}, "state": {"changed": len(state.differences)}}
        lines = differences + state.differences
        return PlaceReport(name, generation.generation, start, end, compared | state.compared, lines, tally, copy is not None)

    async def _is_untouched(self, place: Place, log: WholeLog) -> bool:
        """Whether workers have the log and never got a record of this place: there is no checkpoint of nothing, and nothing to compare.

        A partition just added has not even a generation.
        """
        if not any(found.switch.kind == "generation" and found.switch.log == place.topic for found in self._recorded):
            return False
        manifest = await PartitionReader(self._redis, self._feed.name, place.store_name).manifest()
        return manifest is None and await log.end() == 0

    async def _verify_labels(self, place: Place) -> PlaceReport:
        generation, checkpoint = await self._generation(place)
        consumer = free_consumer(self._kafka)
        await consumer.start()
        try:
            labels = LabelVerification(place, generation, self._archive, self._kafka, self._source, self._recorded)
            return await labels.run(checkpoint, consumer, self._say)
        finally:
            await stopped(consumer)

    async def _range(self, place: Place, log: WholeLog) -> Range:
        """What to fold again. Where the log lacks the birth, from the oldest copy: more is checked than from the newest."""
        name = f"{place.topic}/{place.partition}"
        generation, checkpoint = await self._generation(place)
        first, born = await log.first(), generation.state_begins
        if first <= born:
            return Range(generation, None, checkpoint)
        copies = FullCopies(self._history.url, self._feed.name, generation)
        copy = await asyncio.to_thread(copies.oldest, first)
        if copy is None or copy.manifest.offset > checkpoint.manifest.offset:
            raise NotCheckable(
                f"{name}: Kafka and the history at {self._history.shown} keep offsets from {first} on, the generation began at {born}, "
                "and there is no full copy of its state from which they go on"
            )
        return Range(generation, copy, checkpoint)

    async def _generation(self, place: Place) -> tuple[Switch, Checkpoint]:
        """The newest generation of a place and its checkpoint, where this plant file and this version can fold it again."""
        name = f"{place.topic}/{place.partition}"
        found = current_generation(self._recorded, place.topic, place.partition)
        checkpoint = await PartitionReader(self._redis, self._feed.name, place.store_name).checkpoint()
        if found is None or checkpoint is None or checkpoint.manifest.generation != found.switch.generation:
            raise NotCheckable(f"{name}: no checkpoint of its generation yet; start a worker and let it fold")
        if found.switch.definition != self._feed.hash:
            raise NotCheckable(f"{name}: was folded with another definition ({found.switch.definition}) than the plant file has now")
        if found.switch.fold_version != place.new_fold(0).version:
            raise NotCheckable(f"{name}: was folded by version {found.switch.fold_version} of the fold; verify compares within one version")
        return found.switch, checkpoint
