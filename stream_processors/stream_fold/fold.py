"""The stream fold over one partition of `<feed>.events`."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from contracts.columns import Columns, RawBatch, read_only
from contracts.definition import Feed
from contracts.outcomes import Outcome
from feature_store.feature_plan import feature_names
from online_model.anomaly_model import AnomalyModel
from online_model.conformal import new_group_scores
from online_model.evidence_buffer import EvidenceBuffer, new_evidence_buffer
from online_model.half_space_trees import make_trees
from online_model.half_space_trees_bytes import trees_from_bytes, trees_to_bytes
from online_model.placement import Placement
from online_model.prediction_drift import PredictedRows, version_word, watch_predictions
from online_model.river_adapter import make_river_model
from stream_processors.decoding.decoder import Decoder
from stream_processors.log_fold import LogFold, Outputs, joined
from stream_processors.stream_fold import entity_rows as head
from stream_processors.stream_fold import fold_kernel as kernel
from stream_processors.stream_fold.entity_index import rebuild_index
from stream_processors.stream_fold.fold_plan import plan_fold, row_words
from stream_processors.stream_fold.outputs import OutputWriter
from stream_processors.stream_fold.partition_state import (
    FIRST_SLOTS,
    EvictionOrder,
    make_eviction_order,
    new_entities,
    new_partition,
)
from stream_processors.stream_fold.partition_words import CLOCK, COUNTER_NAMES, ENTITIES, MEAN_STEP
from stream_processors.stream_fold.predictions import Predicted, Predictions
from stream_processors.stream_fold.state_chunks import (
    chunk_of,
    entities_from_chunks,
    entity_chunks,
    group_scores_from_bytes,
    group_scores_to_bytes,
    partition_from_bytes,
    partition_to_bytes,
)

FOLD_VERSION = 2  # raise with every change that may change a byte of output
ROWS_AT_ONCE = 4096  # rows of one kernel call: more costs cache, fewer costs calls
EVIDENCE_ROOM = 1024  # besides one a slot; the kernel stops and goes on when it is full
SUMMARY_ROOM = 64


class StreamFold(LogFold):
    """Validates, deduplicates, computes features, scores and watches one partition; see docs/semantics.md."""

    version = FOLD_VERSION

    def __init__(self, feed: Feed, partition: int, generation: int) -> None:
        self.feed = feed
        self.partition = partition
        self.generation = generation
        self.plan = plan_fold(feed)
        self.decoder = Decoder(feed)
        self.predictions = Predictions(feed)
        self.writer = OutputWriter(feed, partition, generation, self.plan, self.predictions)
        self._width = row_words(self.plan)
        self._slots = min(FIRST_SLOTS, feed.max_entities)
        self._entities = new_entities(self._slots, self._width)
        self._partition = new_partition(feed)
        names = [feature_names(feed)[at] for at in self.plan.score_inputs]
        self._trees = make_trees(names, feed.seed)
        self._model = None if self.plan.compiled_score else make_river_model(feed.anomaly, names, feed.seed)
        self._group = new_group_scores()
        self._order = EvictionOrder(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64))
        self._told: dict[str, int] = {}  # chunk -> CRC of what was last handed out
        self._buffer = self._new_buffer()
        self._scratch = kernel.new_scratch(len(feed.numbers), len(feed.categories), len(names), SUMMARY_ROOM)

    def fold(self, batch: RawBatch) -> Outputs:
        """Decodes and folds; batches may be cut anywhere, and are cut where another placement of models begins."""
        parts = []
        while batch.n and (edge := self.predictions.next_offset(int(batch.offset[-1]))) is not None:
            before, batch = batch.cut(edge)
            if before.n:
                parts.append(self.fold_columns(self.decoder.decode(before), before))
            self.predictions.put_in_place()
        parts.append(self.fold_columns(self.decoder.decode(batch), batch))
        return reduce(joined, parts)

    def place_models(self, from_offset: int, placement: Placement) -> None:
        """From the record at `from_offset` on these versions predict."""
        self.predictions.schedule(from_offset, placement)

    def fold_columns(self, columns: Columns, raw: RawBatch | None = None) -> Outputs:
        """Folds decoded records; without `raw`, dead letters hold no original."""
        clock = int(self._partition.P[CLOCK])
        rows = self.fold_rows(columns)
        folded = np.flatnonzero(rows.outcome == Outcome.FOLDED)
        predicted = self.predictions.predict(rows.vector[folded]) if self.feed.target is not None and len(folded) else []
        self._watch_predictions(columns, rows, folded, clock, predicted)
        return self.writer.outputs(columns, raw, rows, predicted)

    def _watch_predictions(
        self, columns: Columns, rows: kernel.RowOutputs, folded: NDArray[np.int64], clock: int, predicted: Predicted
    ) -> None:
        """Folds the champion's predictions once their batch is folded; `clock` is the partition's as of before the batch."""
        if not self.plan.prediction.words or not len(folded):
            return
        created = np.zeros(columns.n, np.bool_)
        created[rows.created[: rows.counts[1]]] = True
        times = columns.event_time[folded]
        batch = PredictedRows(
            folded,
            rows.slot[folded],
            created[folded],
            rows.flags[folded] & kernel.OUT_OF_ORDER == 0,
            times,
            columns.offset[folded],
            np.maximum(np.maximum.accumulate(times), clock),
        )
        version = version_word(self.predictions.champion)
        values = predicted[0][1] if version else np.zeros((0, self.feed.outputs))
        begin = 0
        while begin < len(folded):
            begin = watch_predictions(
                begin, self._entities.F, self._entities.W, self.plan.prediction, version, batch, values, self._buffer
            )  # fmt: skip
            self.writer.take_prediction_evidence(columns, self._buffer)

    def fold_rows(self, columns: Columns) -> kernel.RowOutputs:
        """Folds decoded records and returns what each row came to; evidence waits in the writer."""
        columns = columns._replace(offset=read_only(columns.offset), kafka_time=read_only(columns.kafka_time))  # files' can be written to
        n = columns.n
        rows = kernel.new_row_outputs(n, self.plan, 1 if self._model is None else n)
        begin, step = 0, n if self._model is None else 1
        while begin < n:
            row = begin
            begin, why = kernel.fold_rows(
                begin,
                min(begin + step, n),
                self.plan,
                self._entities,
                self._partition,
                self._order,
                self._trees,
                self._group,
                columns,
                rows,
                self._scratch,
                self._buffer,
            )
            self.writer.take_evidence(columns, self._buffer, self._scratch.summaries, rows.counts, self._entities)
            if why == kernel.GROW:
                self._grow()
            elif why == kernel.ORDER:
                self._order = make_eviction_order(self._entities, int(self._partition.P[ENTITIES]), head.LAST_OFFSET)
            if self._model is not None and begin > row:
                self._score_row(self._model, columns, rows, row)
                self.writer.take_evidence(columns, self._buffer, self._scratch.summaries, rows.counts, self._entities)
        kernel.collect_served(self._entities, rows)
        return rows

    def _score_row(self, model: AnomalyModel, columns: Columns, rows: kernel.RowOutputs, row: int) -> None:
        """Scores and learns one row with a model that is not compiled."""
        if rows.outcome[row] != Outcome.FOLDED or not rows.scaled[row]:
            return
        score = model.score_one(rows.inputs[row])
        if rows.flags[row] & kernel.OUT_OF_ORDER == 0:
            model.learn_one(rows.inputs[row])
        if score is not None:
            kernel.judge_score_outside(
                self.plan, self._entities, self._partition, self._group, columns, row, rows, float(score), self._buffer
            )

    def _new_buffer(self) -> EvidenceBuffer:
        return new_evidence_buffer(EVIDENCE_ROOM + self.plan.cells.max_evidence + self._slots)

    def _grow(self) -> None:
        """Twice the slots, up to the cap."""
        old = self._entities
        self._slots = min(2 * self._slots, self.feed.max_entities)
        self._entities = new_entities(self._slots, self._width)
        known = len(old.W)
        self._entities.W[:known] = old.W
        self._entities.last_row[:known] = old.last_row
        self._entities.changed[: len(old.changed)] = old.changed
        rebuild_index(self._entities.slots, self._entities.W, int(self._partition.P[ENTITIES]))
        self._buffer = self._new_buffer()

    def counters(self) -> dict[str, int]:
        """The four outcomes, each reason, and what else is counted, since the generation began."""
        return {name: int(self._partition.P[at]) for at, name in COUNTER_NAMES.items()} | {"entities": int(self._partition.P[ENTITIES])}

    def clock(self) -> tuple[int, float]:
        """The partition clock in µs (-1 before the first record) and the usual step of it."""
        return int(self._partition.P[CLOCK]), float(self._partition.PF[MEAN_STEP])

    def everything_served(self) -> Outputs:
        """The newest vector and the directory entry of every entity, as last served."""
        count = int(self._partition.P[ENTITIES])
        heads = self._entities.W[:count]
        vectors = np.full((count, self.plan.features.dimension), np.nan)
        kernel.vectors_now(self.plan, self._entities, count, vectors)
        blobs = self.writer.pack(
            heads[:, head.FOLDED_OFFSET],
            heads[:, head.NEWEST],
            heads[:, head.FOLDED_KAFKA_TIME],
            heads[:, head.PARTIAL].astype(np.uint8),
            vectors,
        )
        names = [head.name_of(heads, slot) for slot in range(count)]
        return Outputs({}, names, blobs, list(zip(names, heads[:, head.NEWEST].tolist(), strict=True)))

    def forget_handed_out(self) -> None:
        """The next `changed_chunks` hands out everything."""
        self._entities.changed[: self._chunk_count()] = 1
        self._told = {}

    def changed_chunks(self) -> dict[str, bytes]:
        """Rows in chunks of some 256 KB, and the partition's own words, trees and scores."""
        changed = {name: data for name, data in self._own_chunks().items() if zlib.crc32(data) != self._told.get(name)}
        self._told |= {name: zlib.crc32(data) for name, data in changed.items()}
        touched = np.flatnonzero(self._entities.changed).tolist()
        self._entities.changed[:] = 0
        return changed | self._row_chunks(touched)

    def all_chunks(self) -> dict[str, bytes]:
        """The same of the whole state."""
        return self._own_chunks() | self._row_chunks(range(self._chunk_count()))

    def _own_chunks(self) -> dict[str, bytes]:
        return {
            "partition": partition_to_bytes(self._partition),
            "model": trees_to_bytes(self._trees) if self._model is None else self._model.to_bytes(),
            "group": group_scores_to_bytes(self._group),
        }

    def _row_chunks(self, chunks: Iterable[int]) -> dict[str, bytes]:
        return entity_chunks(self._entities, int(self._partition.P[ENTITIES]), self.plan.rows_in_chunk, chunks)

    def _chunk_count(self) -> int:
        return -(-int(self._partition.P[ENTITIES]) // self.plan.rows_in_chunk)

    def restore(self, chunks: Mapping[str, bytes]) -> None:
        """Puts back the state of a checkpoint of the same definition and fold version."""
        self._partition = partition_from_bytes(self.feed, chunks)
        count = int(self._partition.P[ENTITIES])
        while self._slots < count:
            self._slots = min(2 * self._slots, self.feed.max_entities)
        self._entities = entities_from_chunks(chunks, count, self._slots, self._width, self.plan.rows_in_chunk)
        if self._model is None:
            self._trees = trees_from_bytes(chunk_of(chunks, "model"))
        else:
            self._model = self._model.from_bytes(chunk_of(chunks, "model"))
        self._group = group_scores_from_bytes(chunks)
        self._buffer = self._new_buffer()
        self._told = {}
