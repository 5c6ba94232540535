"""The joiner as a fold over one partition of `<feed>.labels`, with `<feed>.scores` as a side input.

What labels of several partitions come to, and when those that wait do, depends on what has been read of the scores. So it is no
pure function of its log: the order of `<feed>.examples` is recorded truth, and a successor reads what stands there (`recall`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from contracts.columns import RawBatch
from contracts.definition import Feed
from contracts.errors import StateError
from contracts.ids import RecordId, is_id, parse_id
from contracts.outcomes import MAX_ORIGINAL_BYTES, LabelReason
from contracts.record_reader import RecordReader
from contracts.records import DeadLetter, Example, Remark
from contracts.topics import topic_name
from contracts.unreadable import UNREADABLE
from stream_processors.archive.score_decoding import ScoreRecord
from stream_processors.decoding.batches import keys_and_values
from stream_processors.joiner.joiner import Joined, Joiner, LabelRecord, Refused, Remarked, Settled, Step
from stream_processors.joiner.labels import is_told, score_name, value_numbers, value_of_numbers
from stream_processors.joiner.recorded import Recorded, RecordedExample
from stream_processors.joiner.score_index import ScoreIndex
from stream_processors.joiner.told import EventName, Told
from stream_processors.joiner.waiting import Waiting, WaitingLabels
from stream_processors.log_fold import LogFold, Outputs, OutRecord

CHUNK = "joiner"
_EXAMPLES, _LETTERS, _REMARKS = RecordReader[Example](Example), RecordReader[DeadLetter](DeadLetter), RecordReader[Remark](Remark)
COUNTS = ("joined", "duplicate", "correction", "too_late", "unmatched", "remarks")


class JoinerFold(LogFold):
    """Decodes labels, lets the joiner decide, encodes examples and dead letters."""

    version = 1

    def __init__(self, feed: Feed, partition: int, generation: int) -> None:
        self.now = -1  # wall clock of the next batch, µs; −1 where there is none
        self._feed = feed
        self._partition = partition
        self._topic = topic_name(feed, "labels")
        self.prefix = f"{feed.name}/{generation}/{labels_place(partition)}/"
        self._generation = generation
        self._waiting, self._told = WaitingLabels(), Told()
        self._remarked: set[int] = set()  # offsets of labels ahead of the fold whose remarks stand there
        self.joiner = Joiner(feed, ScoreIndex(), self._waiting, self._told, dict.fromkeys(COUNTS, 0))

    @property
    def waiting(self) -> int:
        """Labels that have not ended."""
        return len(self._waiting)

    @property
    def recorded(self) -> bool:
        """Whether labels of what the owner before has published have not been accounted for."""
        return bool(self.joiner.recorded or self._remarked)

    def waiting_at(self, offset: int) -> Waiting | None:
        """The label at an offset, where it has not ended."""
        return next(iter(self._waiting.get([offset])), None)

    def join_with(self, index: ScoreIndex) -> None:
        """The index of the feed's scores, which other places of the feed may share."""
        self.joiner.index = index

    def fold(self, batch: RawBatch) -> Outputs:
        """Takes labels in; what they come to is decided by `plan` and `settle`."""
        return self._outputs(self.joiner.take(label_records(batch), self.now))

    def plan(self, limit: int) -> list[Step]:
        """The next steps; see `Joiner.plan`."""
        return self.joiner.plan(limit, self.now)

    def settle(self, steps: Sequence[Step], records: Mapping[tuple[int, int], ScoreRecord]) -> Outputs:
        """What the steps come to."""
        return self._outputs(self.joiner.settle(steps, records))

    def recall(self, examples: Sequence[bytes], letters: Sequence[bytes], remarks: Sequence[bytes], next_offset: int) -> None:
        """Values of records that stand on the topics behind the checkpoint's outputs, in their order; others' are passed over.

        `next_offset`: where the fold goes on.
        """
        self.joiner.recorded = Recorded(
            [example for value in examples if (example := self._recorded_example(value))],
            [letter for value in letters if (letter := self._recorded_letter(value))],
            lambda offset, n: offset < next_offset and all(n < label.examples for label in self._waiting.get([offset])),
        )

        own = (parse_id(name) for name in map(_id_of_remark, remarks) if self._is_own(name))
        self._remarked = {name.offset for name in own if name.offset >= next_offset}

    def clock(self) -> tuple[int, float]:
        """Greatest event time of the scores; the step is of no use here."""
        return self.joiner.index.clock(), 0.0

    def changed_chunks(self) -> dict[str, bytes]:
        """Counters, and the chunks of waiting labels and of told events that changed."""
        return self._own_chunk() | self._waiting.changed_chunks() | self._told.changed_chunks()

    def all_chunks(self) -> dict[str, bytes]:
        """Everything."""
        return self._own_chunk() | self._waiting.all_chunks() | self._told.all_chunks()

    def forget_handed_out(self) -> None:
        """Makes the next `changed_chunks` hand out everything."""
        self._waiting.forget_handed_out()
        self._told.forget_handed_out()

    def restore(self, chunks: Mapping[str, bytes]) -> None:
        """Puts back what `all_chunks` handed out."""
        try:
            counts, told, floor = msgspec.msgpack.decode(chunks[CHUNK], type=tuple[list[int], int, int])
        except (KeyError, *UNREADABLE) as error:
            raise StateError(f"the joiner's checkpoint cannot be read: {error}") from error
        self._waiting, self._told = WaitingLabels(), Told()
        self._waiting.restore(chunks)
        self._told.restore(chunks, told, floor)
        counted = dict(zip(COUNTS, counts, strict=True))
        self.joiner = Joiner(self._feed, self.joiner.index, self._waiting, self._told, counted)

    def counters(self) -> dict[str, int]:
        """By outcome, with those that wait; `folded`, `late` and `dead_lettered` say the same in the words of every fold."""
        counts = self.joiner.counts | {"waiting": self.waiting}
        folded = counts["joined"] + counts["correction"] + counts["waiting"] + counts["remarks"]
        return counts | {"folded": folded, "late": counts["too_late"], "dead_lettered": counts["unmatched"]}

    def _own_chunk(self) -> dict[str, bytes]:
        counts = [self.joiner.counts[name] for name in COUNTS]
        return {CHUNK: msgspec.msgpack.encode((counts, self._told.count, self._told.floor))}

    def _outputs(self, settled: Settled) -> Outputs:
        records = {
            "examples": list(map(self.example, settled.examples)),
            "dead-letters": list(map(self.letter, settled.letters)),
            "remarks": [self.remark(item) for item in settled.remarks if item.record.offset not in self._remarked],
        }
        self._remarked -= {item.record.offset for item in settled.remarks}
        return Outputs({kind: items for kind, items in records.items() if items})

    def remark(self, remarked: Remarked) -> OutRecord:
        """The record for `<feed>.remarks`."""
        offset, kafka_time, key, _ = remarked.record
        remark = Remark(id=self._id(offset, "remark", 0), when=kafka_time, label=remarked.label)
        return OutRecord(offset, 0, 0, key, msgspec.json.encode(remark))

    def example(self, joined: Joined) -> OutRecord:
        """The record for `<feed>.examples`."""
        score = joined.record.score
        example = Example(
            id=self._id(joined.label, "example", joined.n),
            score=score.id,
            entity=score.entity,
            event_time=score.event_time,
            value=value_numbers(self._feed, joined.value),
            previous=None if joined.previous is None else value_numbers(self._feed, joined.previous),
            version=score.version,
            predictions=score.predictions,
            vector=base64.b64encode(joined.record.vector or b"").decode(),
        )
        return OutRecord(joined.label, joined.n, 0, score.entity.encode(), msgspec.json.encode(example))

    def letter(self, refused: Refused) -> OutRecord:
        """The record for `<feed>.dead-letters`."""
        label = refused.label
        if isinstance(label, Waiting):
            kept: bytes | None = label.original
            length, digest = label.length, label.sha256.hex()
        else:
            value = label.value or b""
            kept = None if label.value is None else value[:MAX_ORIGINAL_BYTES]
            length, digest = len(value), hashlib.sha256(value).hexdigest()
        letter = DeadLetter(
            id=self._id(label.offset, "dead-letter", 0),
            reason=refused.reason.code,
            field=None,
            topic=self._topic,
            partition=self._partition,
            offset=label.offset,
            kafka_time=label.kafka_time if label.kafka_time >= 0 else None,
            length=length,
            sha256=digest,
            key=None if label.key is None else base64.b64encode(label.key).decode(),
            original=None if kept is None else base64.b64encode(kept).decode(),
            truncated=length > len(kept or b""),
        )
        return OutRecord(label.offset, 0, self._partition, label.key, msgspec.json.encode(letter))

    def _id(self, offset: int, kind: str, n: int) -> str:
        return str(RecordId(self._feed.name, self._generation, labels_place(self._partition), offset, kind, n))

    def _recorded_example(self, value: bytes) -> RecordedExample | None:
        found = _EXAMPLES.read(value)
        score = None if found is None else score_name(found.score)
        if found is None or score is None or not self._is_own(found.id) or not is_told(self._feed, found.value):
            return None
        name = parse_id(found.id)
        number = value_of_numbers(self._feed, found.value)
        event = EventName(score.partition, score.offset)
        return RecordedExample(name.offset, name.n, event, found.event_time, number, found.previous is not None)

    def _is_own(self, name: str) -> bool:
        """Whether an id is of this place and generation, and not a stranger's that begins like one."""
        return name.startswith(self.prefix) and is_id(name)

    def _recorded_letter(self, value: bytes) -> tuple[int, LabelReason] | None:
        found = _LETTERS.read(value)
        if found is None or not self._is_own(found.id) or found.reason.upper() not in LabelReason.__members__:
            return None
        return found.offset, LabelReason[found.reason.upper()]


def _id_of_remark(value: bytes) -> str:
    remark = _REMARKS.read(value)
    return "" if remark is None else remark.id


def label_records(batch: RawBatch) -> list[LabelRecord]:
    """The records of a batch one by one."""
    rows = zip(batch.offset.tolist(), batch.kafka_time.tolist(), keys_and_values(batch), strict=True)
    return [LabelRecord(offset, time, key, value) for offset, time, (key, value) in rows]


def labels_place(partition: int) -> str:
    """What ids and the store's keys of a partition of labels bear."""
    return f"labels-{partition}"
