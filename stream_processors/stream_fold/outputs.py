"""From what rows came to, to complete records: scores, dead letters, evidence, served vectors."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.columns import F64, I64, U8, Columns, RawBatch
from contracts.definition import Feed
from contracts.ids import RecordId
from contracts.outcomes import MAX_ORIGINAL_BYTES, Outcome, Reason
from contracts.records import AdwinChange, DeadLetter, Evidence, Sample
from contracts.topics import events_topic
from feature_store.feature_plan import feature_names
from feature_store.served_vector import VectorPacker
from online_model import consistency
from online_model import evidence_buffer as evidence
from online_model.prediction_drift import watched_outputs
from stream_processors.log_fold import Outputs, OutRecord
from stream_processors.record_columns import RecordColumns
from stream_processors.stream_fold.entity_rows import name_of
from stream_processors.stream_fold.fold_kernel import SUMMARY, FoldPlan, RowOutputs
from stream_processors.stream_fold.fold_plan import statistics_per_entity
from stream_processors.stream_fold.partition_state import Entities
from stream_processors.stream_fold.partition_words import COUNTER_NAMES, ENTITIES
from stream_processors.stream_fold.predictions import Predicted, Predictions
from stream_processors.stream_fold.score_text import model_name, score_room, write_scores

VECTOR_HEADER = "vector"  # little-endian float64 of the features, in the definition's order


class OutputWriter:
    """Makes the final bytes of a stream fold's outputs; what is computed here depends on the rows alone."""

    def __init__(self, feed: Feed, partition: int, generation: int, plan: FoldPlan, predictions: Predictions) -> None:
        self._feed = feed
        self._predictions = predictions
        self._partition = partition
        self._generation = generation
        self._cells = statistics_per_entity(plan)
        self._prefix = f"{feed.name}/{generation}/{partition}/".encode()
        self._model = model_name(feed).encode()
        self._packer = VectorPacker(feed, generation)
        self._numbers = [n.name for n in feed.numbers]
        self._watched = watched_outputs(feed)
        self._inputs = [feature_names(feed)[at] for at in plan.score_inputs]
        self._evidence: list[OutRecord] = []

    def outputs(self, columns: Columns, raw: RawBatch | None, rows: RowOutputs, predicted: Predicted) -> Outputs:
        """All records of a folded batch with what was predicted of its folded rows, and the evidence taken since the last call."""
        records: dict[str, Sequence[OutRecord]] = {}
        folded = np.flatnonzero(rows.outcome == Outcome.FOLDED)
        if len(folded):
            records["scores"] = self._scores(columns, rows, folded, predicted)
        if len(folded) < columns.n:
            letters = np.flatnonzero(rows.reason).tolist()
            if letters:
                originals = None if raw is None else _Originals(raw)
                records["dead-letters"] = [self._dead_letter(columns, originals, rows, row) for row in letters]
        if evidence_records := self.hand_out_evidence():
            records["evidence"] = evidence_records
        served = np.sort(rows.served[: rows.counts[0]])
        partial = (rows.flags[served] >> 8).astype(np.uint8)
        vectors = self.pack(columns.offset[served], rows.as_of[served], columns.kafka_time[served], partial, rows.vector[served])
        new = rows.created[: rows.counts[1]]
        created = list(zip(_names(columns, new), columns.event_time[new].tolist(), strict=True))
        return Outputs(records, _names(columns, served), vectors, created)

    def hand_out_evidence(self) -> list[OutRecord]:
        """The evidence taken since the last call; for a caller that needs no records of rows, such as a backtest."""
        out, self._evidence = self._evidence, []
        return out

    def pack(self, offset: I64, event_time: I64, kafka_time: I64, partial: U8, vectors: F64) -> list[bytes]:
        """Vectors as they are served."""
        return self._packer.pack(offset, event_time, kafka_time, partial, vectors)

    def _scores(self, columns: Columns, rows: RowOutputs, folded: NDArray[np.int64], predicted: Predicted) -> RecordColumns:
        ends = np.zeros(columns.n, np.int64)
        prefix, model = np.frombuffer(self._prefix, np.uint8), np.frombuffer(self._model, np.uint8)
        out = np.empty(score_room(self._prefix, self._model, columns.n, len(columns.entity)), np.uint8)
        used = write_scores(prefix, model, columns, rows, out, ends)
        values, value_end = out[:used], ends[folded]
        if predicted:
            ends_of_texts = self._predictions.texts(predicted, columns.entity_hash[folded])
            texts = [value[:-1] + text for value, text in zip(_pieces(values, value_end), ends_of_texts, strict=True)]
            values, value_end = np.frombuffer(b"".join(texts), np.uint8), np.cumsum([len(text) for text in texts])
        which = slice(None) if len(folded) == columns.n else folded  # all, nearly always: then nothing is copied
        return RecordColumns(
            self._partition,
            columns.offset[which],
            columns.entity,
            np.concatenate(([0], columns.entity_end[:-1]))[which],
            columns.entity_end[which],
            values,
            value_end,
            VECTOR_HEADER,
            rows.vector[which].astype("<f8", copy=False).view(np.uint8).reshape(len(folded), -1),
            rows.log_vector[which] != 0,
        )

    def _dead_letter(self, columns: Columns, originals: _Originals | None, rows: RowOutputs, row: int) -> OutRecord:
        offset, reason, field = int(columns.offset[row]), Reason(int(rows.reason[row])), int(columns.reason_field[row])
        key, value = (None, None) if originals is None else originals.of(row)
        letter = DeadLetter(
            id=self._id(offset, "dead-letter", 0),
            reason=reason.code,
            field=self._feed.fields[field].name if field >= 0 else None,
            topic=events_topic(self._feed),
            partition=self._partition,
            offset=offset,
            kafka_time=int(columns.kafka_time[row]) if columns.kafka_time[row] >= 0 else None,
            length=len(value or b""),
            sha256=hashlib.sha256(value or b"").hexdigest(),
            key=None if key is None else base64.b64encode(key).decode(),
            original=None if value is None else base64.b64encode(value[:MAX_ORIGINAL_BYTES]).decode(),
            truncated=len(value or b"") > MAX_ORIGINAL_BYTES,
        )
        return OutRecord(offset, 0, self._partition, key, msgspec.json.encode(letter))

    def _id(self, offset: int, kind: str, n: int) -> str:
        return str(RecordId(self._feed.name, self._generation, str(self._partition), offset, kind, n))

    def take_evidence(
        self, columns: Columns, buffer: evidence.EvidenceBuffer, summaries: NDArray[np.int64], counts: NDArray[np.int64], entities: Entities
    ) -> None:
        """Empties the buffer into records; called whenever the kernel stops, while slots still mean what they meant."""
        summary = 0
        for at in range(int(buffer.used[0])):
            row = int(buffer.row[at])
            offset = int(columns.offset[row])
            n = self._evidence[-1].n + 1 if self._evidence and self._evidence[-1].offset == offset else 0
            if buffer.source[at] == SUMMARY:
                record = self._summary(offset, n, int(buffer.clock[at]), summaries[summary])
                summary += 1
            else:
                slot = int(buffer.slot[at])
                record = self._level(offset, n, at, buffer, name_of(entities.W, slot).decode() if slot >= 0 else None)
            self._put_evidence(offset, n, record)
        buffer.used[0] = 0
        counts[2] = 0

    def take_prediction_evidence(self, columns: Columns, buffer: evidence.EvidenceBuffer) -> None:
        """Empties the buffer, filled once the batch was folded, into records that follow the others of their rows."""
        if not (used := int(buffer.used[0])):
            return
        names, told = _pieces(columns.entity, columns.entity_end), Counter(record.offset for record in self._evidence)
        for at in range(used):
            row = int(buffer.row[at])
            offset = int(columns.offset[row])
            self._put_evidence(offset, told[offset], self._level(offset, told[offset], at, buffer, names[row].decode()))
            told[offset] += 1
        self._evidence.sort(key=lambda record: (record.offset, record.n))
        buffer.used[0] = 0

    def _put_evidence(self, offset: int, n: int, record: Evidence) -> None:
        self._evidence.append(OutRecord(offset, n, 0, str(self._partition).encode(), msgspec.json.encode(record)))

    def _summary(self, offset: int, n: int, clock: int, words: NDArray[np.int64]) -> Evidence:
        return Evidence(
            id=self._id(offset, "evidence", n),
            kind="summary",
            partition=self._partition,
            event_time=clock,
            entities=int(words[ENTITIES]),
            counters={name: int(words[at]) for at, name in COUNTER_NAMES.items() if words[at]},
            cells={source: per_entity * int(words[ENTITIES]) for source, per_entity in self._cells.items()},
        )

    def _level(self, offset: int, n: int, at: int, buffer: evidence.EvidenceBuffer, entity: str | None) -> Evidence:
        numbers = buffer.numbers[at].tolist()
        field = int(buffer.field[at])
        fields = self._watched if buffer.source[at] == evidence.Source.PREDICTION else self._numbers
        return Evidence(
            id=self._id(offset, "evidence", n),
            kind="level",
            partition=self._partition,
            event_time=int(buffer.clock[at]),
            source=evidence.Source(int(buffer.source[at])).name.lower(),  # type: ignore[arg-type]
            entity=entity,
            field=fields[field] if field >= 0 else None,
            log10_e=numbers[evidence.LOG10_E],
            direction=int(numbers[evidence.DIRECTION]) if not math.isnan(numbers[evidence.DIRECTION]) else 0,
            since=_integer(numbers[evidence.SINCE]),
            since_offset=_integer(numbers[evidence.SINCE_OFFSET]),
            readings=_integer(numbers[evidence.READINGS]) or 0,
            reference=_sample(numbers[evidence.REFERENCE_N : evidence.REFERENCE_STD + 1]),
            current=_sample(numbers[evidence.CURRENT_N : evidence.CURRENT_STD + 1]),
            ks=_number(numbers[evidence.KS]),
            ks_p=_number(numbers[evidence.KS_P]),
            psi=_number(numbers[evidence.PSI]),
            adwin=_adwin_change(numbers[evidence.ADWIN_TIME : evidence.ADWIN_NEW_MEAN + 1]),
            contributions=self._contributions(int(buffer.source[at]), numbers),
        )

    def _contributions(self, source: int, numbers: list[float]) -> dict[str, float]:
        names = consistency.NAMES if source == evidence.Source.CONSISTENCY else self._inputs
        pairs = zip(numbers[evidence.CONTRIBUTOR : evidence.CONTRIBUTION], numbers[evidence.CONTRIBUTION :], strict=True)
        return {names[int(which)]: share for which, share in pairs if not math.isnan(which)}


def _pieces(buffer: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[bytes]:
    """A buffer cut at `ends`: one list comprehension, as a call a piece would cost more than all else."""
    data, stops = buffer.tobytes(), ends.tolist()
    return [data[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def _names(columns: Columns, rows: I64) -> list[bytes]:
    """Entities of some rows."""
    data, ends = columns.entity.tobytes(), columns.entity_end
    starts = np.where(rows > 0, ends[rows - 1], 0)
    return [data[start:end] for start, end in zip(starts.tolist(), ends[rows].tolist(), strict=True)]


class _Slices:
    """Pieces of a buffer by row, as bytes."""

    def __init__(self, buffer: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self._bytes = buffer.tobytes()
        self._ends = [0, *ends.tolist()]

    def __getitem__(self, row: int) -> bytes:
        return self._bytes[self._ends[row] : self._ends[row + 1]]


class _Originals:
    """Keys and values of a batch by row; cut out once, since a flood of dead letters would copy the batch for each of them."""

    def __init__(self, raw: RawBatch) -> None:
        self._raw = raw
        self._keys, self._values = _Slices(raw.keys, raw.key_end), _Slices(raw.values, raw.value_end)

    def of(self, row: int) -> tuple[bytes | None, bytes | None]:
        """(key, value), None where null."""
        return (
            None if self._raw.key_null[row] else self._keys[row],
            None if self._raw.value_null[row] else self._values[row],
        )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _integer(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None


def _sample(values: list[float]) -> Sample | None:
    n, mean, std = (_number(v) for v in values)
    return None if not n or mean is None else Sample(n=int(n), mean=mean, std=std or 0.0)


def _adwin_change(values: list[float]) -> AdwinChange | None:
    time, old_n, old_mean, new_n, new_mean = values
    if math.isnan(time):
        return None
    return AdwinChange(event_time=int(time), old_n=int(old_n), old_mean=old_mean, new_n=int(new_n), new_mean=new_mean)
