"""Every other record that is read from a topic: what is none is passed over, and what is one can be worked with."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from contracts.definition import Feed
from contracts.records import TOPIC_RECORDS
from feature_store.history_rows import vectors_of
from online_model.placement import refusal, snapshot_state
from stream_processors.archive.score_decoding import decode_scores, history_rows
from stream_processors.joiner.labels import Truth, read_label, value_numbers
from stream_processors.models_log import Models
from stream_processors.record_sources import is_of_generation_before, source_of
from stream_processors.runner.switch_log import Recorded, current_generation, decoded_switch, model_switches, valid_switches
from tests.hostile import samples
from tests.hostile.target import Target
from tests.stream_processors.joiner.joining import FEED as REGRESSION
from tests.stream_processors.joiner.joining import STATES as CLASSIFICATION


class Records(Target):
    """Any topic's record by the one way in which all are read."""

    name = "records"
    refuses = ()

    def corpus(self) -> list[bytes]:
        return [
            *samples.evidence()[::6],
            *samples.alerts()[:3],
            *samples.requests(),
            *samples.examples(2),
            *samples.models(),
            *samples.switches(),
            *samples.values("scores", 3),
            *samples.values("dead-letters", 3),
            *samples.labels(REGRESSION)[:5],
        ]

    def take(self, data: bytes, draw: random.Random) -> None:
        kind = draw.choice(sorted(TOPIC_RECORDS))
        read = reader(kind)
        record = read(data)
        if record is not None:  # whatever is taken can be sent on, and kept as state
            assert read(msgspec.json.encode(record)) == record
            msgspec.msgpack.encode(record)
        source_of(data, "small/1/")
        is_of_generation_before(data, "small/1/0/")


def reader(kind: str) -> Callable[[bytes | None], object]:
    """The project's reader of a topic's records."""
    from contracts.record_reader import RecordReader

    return RecordReader(TOPIC_RECORDS[kind]).read


class Labels(Target):
    """Labels of a number and of classes: a truth has a finite number and names its events within bounds."""

    name = "labels"
    refuses = ()

    def corpus(self) -> list[bytes]:
        return [*samples.labels(REGRESSION), *samples.labels(CLASSIFICATION)]

    def take(self, data: bytes, draw: random.Random) -> None:
        for feed in (REGRESSION, CLASSIFICATION):
            found = read_label(feed, data)
            if isinstance(found, Truth):
                self._bounded(feed, found)

    def _bounded(self, feed: Feed, truth: Truth) -> None:
        assert len(value_numbers(feed, truth.value)) == feed.outputs
        assert truth.value - truth.value == 0.0, "not finite"
        assert len(truth.entity.encode()) <= 128
        assert truth.score is None or all(0 <= part < 2**62 for part in truth.score)
        assert truth.until is None or 0 <= truth.start < truth.until


class ModelsLog(Target):
    """Models: what is read can be looked up, and a state is used only where its checksum and its shape fit."""

    name = "models"
    share = 0.5

    def corpus(self) -> list[bytes]:
        return samples.models()

    def begin(self, draw: random.Random) -> None:
        self._models = Models()

    def take(self, data: bytes, draw: random.Random) -> None:
        record = self._models.take(data)
        self._models.half_widths()
        if self._models.rollout is not None:
            rollout = self._models.rollout
            self._models.placement(rollout.champion, rollout.challenger, rollout.share)
        snapshot = getattr(record, "state", None) and record
        if snapshot is not None:
            refusal(samples.SMALL, snapshot)  # type: ignore[arg-type]
            snapshot_state(samples.SMALL, snapshot)  # type: ignore[arg-type]


class Switches(Target):
    """Switches: a stranger's record stops no takeover."""

    name = "switches"
    refuses = ()

    def corpus(self) -> list[bytes]:
        return samples.switches()

    def begin(self, draw: random.Random) -> None:
        self._records: list[Recorded] = []

    def take(self, data: bytes, draw: random.Random) -> None:
        self._records = [*self._records, *decoded_switch(len(self._records), data)][-50:]
        valid = valid_switches(self._records)
        found = current_generation(valid, "small.events", 0)
        if found is not None:
            model_switches(valid, "small.events", 0, found.switch.generation)
            assert found.switch.state_begins is not None


class Scores(Target):
    """Scores on their way into the history: strangers' are passed over, the others become rows."""

    name = "scores"
    share = 0.2

    def corpus(self) -> list[bytes]:
        return samples.values("scores", 12)

    def take(self, data: bytes, draw: random.Random) -> None:
        good = samples.values("scores", 1)[0]
        packed = draw.choice((None, None, *(vector[48:] for vector in samples.vectors()), b"", data[:64]))
        found = decode_scores(samples.SMALL, [good, data, None], [None, packed, None], [0, 1, 2])
        if found:
            history_rows(samples.SMALL, found, "a test")
        vectors_of(samples.SMALL, [None], "a test")


RECORD_TARGETS = [Records, Labels, ModelsLog, Switches, Scores]
