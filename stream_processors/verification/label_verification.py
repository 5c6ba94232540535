"""A verification of the labels of one partition: what the joiner published, against labels and scores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.outcomes import LabelOutcome, LabelReason
from contracts.record_reader import RecordReader
from contracts.records import DeadLetter, Example, Label, Switch
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from feature_store.checkpoint import Checkpoint
from feature_store.feature_columns import feature_names
from stream_processors.archive.score_decoding import decode_scores, vector_of
from stream_processors.archive.whole_log import FeedArchive, WholeLog
from stream_processors.decoding.batches import plain_batch
from stream_processors.joiner.joiner import LabelRecord, Refused, Remarked
from stream_processors.joiner.joiner_fold import JoinerFold, label_records
from stream_processors.joiner.labels import read_label, score_name
from stream_processors.joiner.score_heads import score_heads
from stream_processors.joiner.told import EventName
from stream_processors.joiner.waiting import waiting_label
from stream_processors.log_ends import end_offset
from stream_processors.record_sources import is_of_generation_before, source_of
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.place import Place
from stream_processors.runner.switch_log import Recorded
from stream_processors.verification.label_audit import FoundExample, LabelAudit, ToldLabel
from stream_processors.verification.label_scores import LabelScores
from stream_processors.verification.log_reader import read_portions
from stream_processors.verification.reports import PlaceReport, Say

Found = dict[int, tuple[bytes | None, bytes]]  # offset of the label -> key and value of its record

_EXAMPLES, _LETTERS = RecordReader[Example](Example), RecordReader[DeadLetter](DeadLetter)


class LabelVerification:
    """Reads everything that has to do with the labels of one place, and compares.

    Args:
        source: a consumer of batches, free to be used.
        recorded: the feed's switches.
    """

    def __init__(
        self,
        place: Place,
        generation: Switch,
        archive: FeedArchive,
        kafka: KafkaSettings,
        source: PlainConsumer,
        recorded: list[Recorded],
    ) -> None:
        self._place, self._feed, self._generation = place, place.feed, generation
        self._archive, self._kafka, self._source = archive, kafka, source
        self._definitions = {
            (r.switch.partition, r.switch.generation): r.switch.definition
            for r in recorded
            if r.switch.kind == "generation" and r.switch.log == topic_name(place.feed, "events")
        }
        self._prefix = place.id_prefix(generation.generation)
        self._whole = True  # nothing of what the comparison needs has been deleted
        self._same = {"dead-letters": 0, "remarks": 0}
        self._unreadable = self._remarks = 0

    async def run(self, checkpoint: Checkpoint, consumer: AIOKafkaConsumer, say: Say) -> PlaceReport:
        """Compares up to the checkpoint; `consumer` hands out records and is free to be used."""
        place, end = self._place, checkpoint.manifest.offset
        name = f"{place.topic}/{place.partition}"
        fold = place.new_fold(self._generation.generation)
        assert isinstance(fold, JoinerFold)
        fold.restore(checkpoint.chunks)
        examples = self._as_examples([r async for r in self._published(consumer, "examples", 0)])
        found = {
            "dead-letters": self._by_label([r async for r in self._published(consumer, "dead-letters", place.partition)]),
            "remarks": self._by_label([r async for r in self._published(consumer, "remarks", 0)]),
        }
        log = WholeLog(self._archive.log("labels", place.partition), self._source, place.topic, place.partition)
        first = max(await log.first(), self._generation.from_offset)
        self._whole &= first == self._generation.from_offset
        told: list[ToldLabel] = []
        letters: dict[int, LabelOutcome] = {}
        differences: list[str] = []
        async for fetched in log.batches(first, end):
            for record in label_records(fetched.batch):
                label, outcome, wrong = self._look_at(fold, record, found)
                told += [label] if label else []
                letters |= {record.offset: outcome} if outcome is not None else {}
                differences += [wrong] if wrong else []
            say(name, fetched.next_offset - first, end - first)
        scores = LabelScores(
            [label.truth for label in told], [EventName(e.score.partition, e.score.offset) for e in examples], self._feed.lateness_us
        )
        await self._read_scores(consumer, scores)
        audit = LabelAudit(self._feed, fold, told, letters, scores, end, self._whole)
        for line in differences:
            audit.differ(line)
        for kind, rest in found.items():
            for offset in sorted(rest):
                if first <= offset < end:
                    audit.differ(f"{kind}: one of label {offset}, of which there should be none")
        audit.compare(examples)
        if self._whole:
            audit.compare_counts(self._unreadable, self._remarks)
        compared = {"read": len(told) + self._unreadable + self._remarks, "examples": audit.same, "gone": audit.gone} | self._same
        lines, tally = [f"{name}: {line}" for line in audit.finish()], {"examples": {"changed": audit.different}}
        return PlaceReport(name, self._generation.generation, first, end, compared, lines, tally)

    async def _published(self, consumer: AIOKafkaConsumer, kind: str, partition: int) -> AsyncIterator[Any]:
        """Records of the place on an output topic, each id once; notes where the topic's head is gone."""
        topic = topic_name(self._feed, kind)
        end = await end_offset(consumer, TopicPartition(topic, partition))
        log = WholeLog(self._archive.log(kind, partition), consumer, topic, partition)
        first = await log.first()
        seen: set[tuple[int, int]] = set()
        begun = first == 0
        async for records in log.portions(first, end):
            if not begun and records:
                begun = is_of_generation_before(records[0].value, self._prefix)
                self._whole &= begun
                begun = True
            for record in records:
                source = source_of(record.value, self._prefix)
                if source and source not in seen:
                    seen.add(source)
                    yield record

    def _as_examples(self, records: list[Any]) -> list[FoundExample]:
        out = []
        for record in records:
            source = source_of(record.value, self._prefix)
            example = _EXAMPLES.read(record.value)
            if example and source and score_name(example.score):
                out.append(FoundExample(*source, record.key, record.value, example))
        return out

    def _by_label(self, records: list[Any]) -> Found:
        return {source[0]: (record.key, record.value) for record in records if (source := source_of(record.value, self._prefix))}

    def _look_at(
        self, fold: JoinerFold, record: LabelRecord, found: dict[str, Found]
    ) -> tuple[ToldLabel | None, LabelOutcome | None, str | None]:
        """A truth; what it ended as where a dead letter says so; and what is wrong with its letter or remark."""
        read = read_label(self._feed, record.value)
        letter = found["dead-letters"].pop(record.offset, None)
        if isinstance(read, Label):
            self._remarks += 1
            expected = fold.remark(Remarked(record, read))
            return (
                None,
                None,
                self._compare("remarks", record.offset, found["remarks"].pop(record.offset, None), (expected.key, expected.value)),
            )
        if read is None:
            self._unreadable += 1
            item = fold.letter(Refused(record, LabelReason.LABEL_UNREADABLE))
            return None, None, self._compare("dead-letters", record.offset, letter, (item.key, item.value))
        label = ToldLabel(record.offset, record.kafka_time, read)
        if letter is None:
            return label, None, None
        told = _LETTERS.read(letter[1])
        if told is None or told.reason.upper() not in LabelReason.__members__:
            return label, None, f"dead-letters: that of label {record.offset} cannot be read"
        reason = LabelReason[told.reason.upper()]
        outcome = LabelOutcome.TOO_LATE if reason == LabelReason.LABEL_TOO_LATE else LabelOutcome.UNMATCHED
        waited = waiting_label(record.offset, record.kafka_time, -1, read, record.key, record.value or b"")
        item = fold.letter(Refused(waited, reason))
        return label, outcome, self._compare("dead-letters", record.offset, letter, (item.key, item.value))

    def _compare(
        self, kind: str, offset: int, found: tuple[bytes | None, bytes] | None, expected: tuple[bytes | None, bytes]
    ) -> str | None:
        if found == expected:
            self._same[kind] += 1
            return None
        if found is None and not self._whole:
            return None
        return f"{kind}: that of label {offset} {'is lost' if found is None else 'differs'}"

    async def _read_scores(self, consumer: AIOKafkaConsumer, scores: LabelScores) -> None:
        topic = topic_name(self._feed, "scores")
        for partition in range(self._archive.topics[topic].partitions):
            at = TopicPartition(topic, partition)
            first = int((await consumer.beginning_offsets([at]))[at])
            self._whole &= first == 0
            end = await end_offset(consumer, at)
            async for records in read_portions(consumer, topic, partition, first, end):
                self._take_scores(records, scores)
        scores.finish()

    def _take_scores(self, records: list[Any], scores: LabelScores) -> None:
        """Decodes as a whole only what is kept: most scores have no label."""
        width = 8 * len(feature_names(self._feed))
        standing = {record.offset: record for record in records}
        for head in score_heads(self._feed, plain_batch(records)):
            record = standing[head.position]
            vector = vector_of(record.headers)
            ours = self._definitions.get((head.partition, head.generation)) == self._generation.definition
            if ours and vector is not None and len(vector) == width and scores.hear(head, record.timestamp * 1000):
                for score in decode_scores(self._feed, [record.value], [vector], [record.offset]):
                    scores.keep(score)
