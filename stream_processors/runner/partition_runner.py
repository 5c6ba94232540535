"""One fold at work on one partition: taken, restored, folded, published, served, checkpointed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import TopicPartition

from contracts.errors import StateError
from contracts.records import Switch
from feature_store.checkpoint import Checkpoint, Manifest
from feature_store.full_copies import FullCopies
from feature_store.partition_store import PartitionStore, Taken
from stream_processors.decoding.batches import Fetched
from stream_processors.log_ends import end_offset
from stream_processors.log_fold import LogFold, Outputs, OutRecord, joined
from stream_processors.models_log import ModelsLog
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.copying import Copying
from stream_processors.runner.new_generation import DEFINITION_CHANGED, FIRST_START, LogBounds, is_another, why_new_generation
from stream_processors.runner.place import Place
from stream_processors.runner.placed import Placed
from stream_processors.runner.progress import Progress
from stream_processors.runner.published import Published, find_published
from stream_processors.runner.publisher import Publisher, end_task
from stream_processors.runner.switch_log import Recorded, Superseded, SwitchLog, current_generation, model_switches, superseding

WITHHOLD_TO = "withhold_to"  # in a manifest's `extra`
INLINE_RECORDS = 256  # a smaller batch folds faster than another thread wakes
log = logging.getLogger("streamgauge.runner")


class Flipped(NamedTuple):
    """A checkpoint that is in the store, and the seconds from its snapshot on."""

    manifest: Manifest
    seconds: float


class PartitionRunner:
    """Owns one place from `take` until `release`, or until a call raises Fenced."""

    def __init__(
        self,
        place: Place,
        store: PartitionStore,
        publisher: Publisher,
        switches: SwitchLog,
        owner: str,
        history: str | None = None,
        models: ModelsLog | None = None,
    ) -> None:
        self.place = place
        self.generation = 0
        self.epoch = -1
        self.progress = Progress(0, 0)
        self.fold: LogFold = place.new_fold(0)
        self._changed = False  # since the last snapshot
        self.checkpointed_at = 0.0  # monotonic seconds
        self.looked_at = 0.0  # of the last `look_after`, too
        self._store = store
        self._publisher = publisher
        self._switches = switches
        self._owner = owner
        self._history = history  # URL under which full copies stand; None: there are none
        self._copying: Copying | None = None
        self._staging: asyncio.Task[Flipped | None] | None = None  # a snapshot on its way into the store
        self._flipped: Flipped | None = None  # since `look` was last called
        self._forgot = False  # the store said so while the fold may have been at work
        self._models = models  # of a feed with a target, for its events alone
        self._placed = Placed()
        self._published: dict[str, Published] = {}  # by output kind, until the fold has passed it
        self._withhold_to = 0  # older values than this offset's were read already, from a store that has been emptied since
        self.topic_id: str | None = None  # of the log that is folded

    async def take(self, bounds: LogBounds, tail: PlainConsumer) -> int:
        """Becomes the owner, puts back the state, and returns the offset to read from (semantics.md, section 5)."""
        place = self.place
        self.epoch = await self._switches.append(Switch(kind="taken", log=place.topic, partition=place.partition, owner=self._owner))
        recorded = await self._switches.read_to(self.epoch)
        self._refuse_superseded(recorded)
        taken = await self._store.take(self.epoch)
        generation = current_generation(recorded, place.topic, place.partition)
        checkpoint = await self._restore(taken)
        copy = await self._full_copy(generation.switch, checkpoint, bounds) if self._history and generation else None
        checkpoint = copy or checkpoint
        cause = why_new_generation(place, self.fold.version, generation, checkpoint, bounds)
        self.topic_id = bounds.topic_id
        if checkpoint is not None:
            self._publisher.ends |= checkpoint.manifest.output_ends
        if cause:
            begun = await self._begin(cause, generation, checkpoint, bounds)
        else:
            assert generation is not None
            begun = generation.switch
            await self._go_on(begun, checkpoint)
            await self._schedule_models(recorded)
            await self._find_published(tail)
            if copy is not None:
                self._owe_everything()
            await self._withhold(checkpoint if copy is None else None, tail)
        await self._serve_everything()  # also raises the generation that readers believe
        self.checkpointed_at = time.monotonic()
        if self._history:
            copies = FullCopies(self._history, place.feed.name, begun)
            self._copying = Copying(copies, self.progress.next_offset, self.checkpointed_at)
        return self.progress.next_offset

    def _refuse_superseded(self, recorded: list[Recorded]) -> None:
        """Before the store is touched: a generation of the old definition would undo what the place was migrated to."""
        place, mine = self.place, self.place.feed.hash
        found = superseding(recorded, place.topic, place.partition, mine, self.fold.version, self._switches.began)
        if found is not None:
            raise Superseded(
                f"{place.topic}/{place.partition} is folded with definition {found.definition} (fold {found.fold_version}) since "
                f"generation {found.generation} ({found.cause}); this worker has {mine} (fold {self.fold.version}). Stop it, and start one "
                "with the new plant file; started again as it is, it would take the place back"
            )

    async def _restore(self, taken: Taken) -> Checkpoint | None:
        try:
            checkpoint = await self._store.restore(taken)
        except StateError as error:
            log.error("%s/%d: no checkpoint can be used: %s", self.place.topic, self.place.partition, error)
            return None
        if checkpoint is not None and checkpoint.fell_back:
            log.warning("%s/%d: the checkpoint before the newest is used: %s", self.place.topic, self.place.partition, checkpoint.fell_back)
        return checkpoint

    async def _full_copy(self, generation: Switch, checkpoint: Checkpoint | None, bounds: LogBounds) -> Checkpoint | None:
        """The newest full copy, where Redis has no state of the generation from which the log still goes on."""
        assert self._history is not None
        stored = checkpoint.manifest if checkpoint else None
        if stored and stored.generation == generation.generation and stored.offset >= bounds.start:
            return None
        if is_another(generation.topic_id, bounds.topic_id):
            return None
        copies = FullCopies(self._history, self.place.feed.name, generation)
        found = await asyncio.to_thread(copies.newest, bounds.start)
        if found is not None:
            name, offset = f"{self.place.topic}/{self.place.partition}", found.manifest.offset
            log.warning("%s: Redis has no state to go on from; it is taken from the full copy at offset %d", name, offset)
        return found

    async def _begin(self, cause: str, before: Recorded | None, checkpoint: Checkpoint | None, bounds: LogBounds) -> Switch:
        """Opens a generation, aloud, with an empty state."""
        place = self.place
        start = bounds.start
        if cause == DEFINITION_CHANGED and checkpoint is not None:
            start = max(checkpoint.manifest.offset, bounds.start)
        self.generation = before.switch.generation + 1 if before else 1
        self.fold = place.new_fold(self.generation)
        self.progress = Progress(start, start)
        begun = Switch(
            kind="generation",
            log=place.topic,
            partition=place.partition,
            generation=self.generation,
            from_offset=start,
            topic_id=bounds.topic_id,
            definition=place.feed.hash,
            fold_version=self.fold.version,
            cause=cause,
            epoch=self.epoch,
        )
        await self._switches.record(begun)
        say = log.info if cause == FIRST_START else log.warning
        say("%s/%d: generation %d begins at offset %d: %s", place.topic, place.partition, self.generation, start, cause)
        return begun

    async def _go_on(self, generation: Switch, checkpoint: Checkpoint | None) -> None:
        """Puts back the state of the generation, or begins it anew at its birth where the store lost it."""
        self.generation = generation.generation
        self.fold = self.place.new_fold(self.generation)
        if checkpoint is not None and checkpoint.manifest.generation != self.generation:
            checkpoint = None
        if checkpoint is not None:
            self.fold.restore(checkpoint.chunks)
        self.progress = Progress.of(generation, checkpoint.manifest if checkpoint else None)

    async def _schedule_models(self, recorded: list[Recorded]) -> None:
        """Puts what owners before this one have recorded of models where they recorded it."""
        if self._models is None:
            return
        await self._models.read_to_end()
        for switch in model_switches(recorded, self.place.topic, self.place.partition, self.generation):
            self._placed = Placed(switch.from_offset, switch.version, switch.challenger, switch.share)
            self.fold.place_models(switch.from_offset, self._models.models.placement_of(switch))

    async def _follow_models(self) -> None:
        """Records the newest rollout as a switch, and puts it in place from the next record on."""
        assert self._models is not None
        await self._models.refresh()
        rollout, here = self._models.models.rollout, self.progress.next_offset
        if rollout is None or self._placed.shows(rollout):
            return
        if self._published or here < self._placed.from_offset:
            return  # what lies ahead has been predicted by an owner before this one, and stands on its topics
        self._placed = Placed(here, rollout.champion, rollout.challenger, rollout.share)
        switch = Switch(
            kind="model",
            log=self.place.topic,
            partition=self.place.partition,
            owner=self._owner,
            generation=self.generation,
            from_offset=here,
            version=rollout.champion,
            challenger=rollout.challenger,
            share=rollout.share,
            cause=rollout.id,
            epoch=self.epoch,
        )
        await self._switches.record(switch)  # before any output that it governs
        self.fold.place_models(here, self._models.models.placement_of(switch))

    async def _withhold(self, stored: Checkpoint | None, tail: PlainConsumer) -> None:
        """Serves nothing before the fold has passed all that owners before this one may have served, where the store had lost its state.

        It would take older values than readers have had from it, and an owner serves ahead of what it has published. One after this one
        knows from the manifest.
        """
        if stored is not None and stored.manifest.generation == self.generation:
            self._withhold_to = int(stored.manifest.extra.get(WITHHOLD_TO, 0))
        else:
            self._withhold_to = await end_offset(
                tail, TopicPartition(self.place.topic, self.place.partition)
            )  # asked once the store is fenced

    @property
    def _withheld(self) -> bool:
        return self.progress.next_offset < self._withhold_to

    async def _serve_everything(self) -> None:
        """Values are absolute, so writing them again changes nothing; none while they are withheld."""
        if self._withheld:
            await self._store.serve(self.generation, [], [])
            return
        everything = self.fold.everything_served()
        await self._store.serve(self.generation, everything.entities, everything.vectors)
        if everything.created:
            await self._store.serve_directory(self.generation, everything.created)

    async def _find_published(self, tail: PlainConsumer) -> None:
        """Finds which outputs from here on stand on their topics already; of a generation just begun there are none."""
        prefix = self.place.id_prefix(self.generation)
        for kind, at in self.place.outputs.items():
            found = await find_published(tail, *at, self._publisher.ends.get(at, 0), prefix, self.progress.next_offset)
            self._published[kind] = found
            self._publisher.ends[at] = found.end
        self._forget_passed()

    async def process(self, fetched: Fetched) -> Outputs:
        """Folds what was fetched, serves what it came to, and hands it over to be published. After an error the runner must be given up."""
        if self._models is not None:
            await self._follow_models()
        now = time.monotonic()
        edge = self._copying.due(self.progress.next_offset, fetched.next_offset, now) if self._copying else None
        if edge is None or edge <= fetched.start:  # retention has taken what reaches beyond the edge
            return await self._process(fetched)
        before, rest = fetched.cut(edge)
        outputs = await self._process(before)
        await self._copy(now)
        return joined(outputs, await self._process(rest)) if rest.start < rest.next_offset else outputs

    async def _copy(self, now: float) -> None:
        """Copies a checkpoint that is flipped here: so the copy is of an owner that was not overtaken, and of published outputs."""
        assert self._copying is not None
        manifest = await self.checkpoint()
        if manifest is not None:
            chunks = await asyncio.get_running_loop().run_in_executor(None, self.fold.all_chunks)
            self._copying.start(manifest, chunks, now)

    async def _process(self, fetched: Fetched) -> Outputs:
        batch = fetched.batch
        if batch.n <= INLINE_RECORDS:
            outputs = self.fold.fold(batch)
        else:
            outputs = await asyncio.get_running_loop().run_in_executor(None, self.fold.fold, batch)
        withheld = self._withheld
        self.progress.advance(fetched)
        self._changed = True
        records = {self.place.outputs[kind][0]: self._not_published(kind, items) for kind, items in outputs.records.items()}
        self._publisher.hand_over(records)
        await (self._serve_everything() if withheld else self._serve(outputs))
        await self._publisher.room()
        self._forget_passed()
        return outputs

    def _not_published(self, kind: str, items: Sequence[OutRecord]) -> Sequence[OutRecord]:
        return self._published[kind].without(items) if kind in self._published else items

    def _forget_passed(self) -> None:
        self._published = {kind: ids for kind, ids in self._published.items() if not ids.passed(self.progress.next_offset)}

    def _output_ends(self) -> dict[tuple[str, int], int]:
        """Where the next owner begins to look for what is published.

        While ids found there lie ahead of the fold, that is where this owner began: they stand before the acknowledged end.
        """
        return self._publisher.ends | {self.place.outputs[kind]: ids.start for kind, ids in self._published.items()}

    async def _serve(self, outputs: Outputs) -> None:
        forgot = False
        if outputs.entities:
            forgot = (await self._store.serve(self.generation, outputs.entities, outputs.vectors)).forgot
        if outputs.created:
            forgot |= (await self._store.serve_directory(self.generation, outputs.created)).forgot
        if forgot:
            await self._remind()

    async def _remind(self) -> None:
        """Puts everything back into a store that forgot it: vectors and directory now, all chunks with the next checkpoint."""
        log.warning("%s/%d: Redis had forgotten; state and vectors are written again", self.place.topic, self.place.partition)
        await self._serve_everything()
        self._owe_everything()

    async def published(self) -> None:
        """Waits until all outputs are published; raises as `Publisher.published`."""
        await self._publisher.published()

    async def look_after(self) -> None:
        """Asks whether the store still has what it was given, of a place for which there is nothing else to ask it."""
        self.looked_at = time.monotonic()
        forgot = (await self._store.serve(self.generation, [], [])).forgot
        if self.place.log == "events":
            forgot |= (await self._store.serve_directory(self.generation, [])).forgot
        if forgot:
            await self._remind()

    def _owe_everything(self) -> None:
        """The next checkpoint has all chunks: the store has none that it could keep."""
        self.fold.forget_handed_out()
        self._changed = True

    @property
    def staging(self) -> bool:
        """Whether a snapshot is on its way into the store, or has arrived and `look` was not called since."""
        return self._staging is not None

    @property
    def changed(self) -> bool:
        """Whether anything is in no checkpoint yet."""
        return self._changed or self.staging

    def begin_checkpoint(self) -> None:
        """Takes a snapshot of what has changed, which goes into the store while the fold goes on; `look` sees its end."""
        assert not self.staging, "its parts would be in the next one's place"
        snapshot = self._snapshot(), self.fold.changed_chunks()
        self._changed = False
        self.checkpointed_at = time.monotonic()
        self._staging = asyncio.create_task(self._stage(*snapshot, self._publisher.handed_over))

    async def checkpoint(self) -> Manifest | None:
        """The same to its end, after the end of the one before.

        Returns:
            The manifest; None where nothing had changed, or the store had forgotten and the next call writes everything.
        """
        await self._end_staging()
        if not self._changed:
            return None
        self.begin_checkpoint()
        return await self._end_staging()

    async def look(self) -> Flipped | None:
        """Raises what has ended publishing or a checkpoint; afterwards there must be no other, since its chunks have been handed out.

        Returns:
            The newest checkpoint, if it was flipped since the last call.
        """
        self._publisher.check()
        if self._staging is not None and self._staging.done():
            await self._end_staging()
        flipped, self._flipped = self._flipped, None
        return flipped

    async def staged(self) -> None:
        """Waits for the end of what is being staged, whatever it is; `look` tells."""
        if self._staging is not None:
            await asyncio.wait({self._staging})

    def _snapshot(self) -> Manifest:
        """What a checkpoint here covers. Output ends are those of now: one acknowledged later would hide ids from the next owner."""
        return Manifest(
            generation=self.generation,
            offset=self.progress.next_offset,
            definition=self.place.feed.hash,
            fold_version=self.fold.version,
            epoch=self.epoch,
            counters=self.fold.counters() | self.progress.counters() | {"start_offset": self.progress.start_offset},
            output_ends=self._output_ends(),
            topic_id=self.topic_id,
            extra={WITHHOLD_TO: self._withhold_to} if self._withheld else {},
        )

    async def _stage(self, manifest: Manifest, chunks: dict[str, bytes], handed_over: int) -> Flipped | None:
        """Stages chunks and flips the manifest once all that it covers is published; it was served before the snapshot."""
        await self._publisher.published(handed_over)
        stored = await self._store.checkpoint(manifest, chunks)
        self._changed |= not stored.written
        self._forgot |= stored.forgot
        return Flipped(manifest, time.monotonic() - self.checkpointed_at) if stored.written else None

    async def _end_staging(self) -> Manifest | None:
        if self._staging is None:
            return None
        await self.staged()
        flipped = self._staging.result()
        self._staging = None
        self._flipped = flipped or self._flipped
        if self._forgot:
            self._forgot = False
            await self._remind()
        return flipped.manifest if flipped else None

    async def release(self) -> None:
        """Gives the place up after a last checkpoint."""
        try:
            await self.last_checkpoint()
        finally:
            await self.abandon()

    async def last_checkpoint(self) -> None:
        """Of an owner that then gives the place up."""
        await self.checkpoint()
        if self._changed:  # the store had forgotten: the first call noticed, the second writes everything
            await self.checkpoint()

    async def abandon(self) -> None:
        """Ends its own producer and what it stages, and nothing else: another owner goes on from the last checkpoint."""
        if self._staging is not None:
            await end_task(self._staging)
        await self._publisher.close()
