"""What the labels of one partition came to, computed again along the order of examples that is on record.

Which of two labels of one event ends first can depend on when scores were heard of, so the order of `<feed>.examples` is recorded
truth, and so are the labels that wait, came too late or matched nothing. Everything else follows from them: which event a label is
joined to, the bytes of its example, what was told of the event before, and which labels only repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from contracts.definition import Feed
from contracts.outcomes import LabelOutcome
from contracts.records import Example
from stream_processors.joiner.joiner import Joined
from stream_processors.joiner.joiner_fold import COUNTS, JoinerFold
from stream_processors.joiner.labels import ScoreName, Truth, score_name, value_of_numbers
from stream_processors.joiner.told import EventName
from stream_processors.verification.comparison import SHOWN
from stream_processors.verification.label_scores import Event, LabelScores


class FoundExample(NamedTuple):
    """An example of the place as it stands on its topic."""

    label: int  # offset
    n: int
    key: bytes | None
    value: bytes
    example: Example

    @property
    def score(self) -> ScoreName:
        """Which score it was joined to."""
        name = score_name(self.example.score)
        assert name is not None
        return name


class ToldLabel(NamedTuple):
    """A truth on the labels' log."""

    offset: int
    kafka_time: int  # µs
    truth: Truth


class LabelAudit:
    """Compares the examples of one place with what labels and scores say.

    Args:
        fold: of the place, with the state of the checkpoint.
        labels: truths before the checkpoint's offset.
        letters: offsets of labels among the dead letters, with what they ended as.
        scores: those that labels and examples name.
        end: the checkpoint's offset.
        whole: labels, examples, dead letters and scores reach back to the generation's birth; else only what is left is compared.
    """

    def __init__(
        self,
        feed: Feed,
        fold: JoinerFold,
        labels: Sequence[ToldLabel],
        letters: dict[int, LabelOutcome],
        scores: LabelScores,
        end: int,
        whole: bool,
    ) -> None:
        self.same = self.gone = 0
        self.differences: list[str] = []
        self._unlisted = 0
        self._feed, self._fold, self._scores, self._letters = feed, fold, scores, letters
        self._end, self._whole = end, whole
        self._labels = {label.offset: label for label in labels}
        self._told: dict[Event, list[float]] = {}
        self._examples: dict[int, list[tuple[FoundExample, Event]]] = {}
        self._known = dict.fromkeys(COUNTS, 0)

    def compare(self, examples: Sequence[FoundExample]) -> None:
        """Takes all examples in the order of their topic, those behind the checkpoint as well."""
        for found in examples:
            event = Event(EventName(found.score.partition, found.score.offset), found.example.event_time)
            before = self._told.setdefault(event, [])
            self._compare_one(found, event, before)
            before.append(value_of_numbers(self._feed, found.example.value))
            self._examples.setdefault(found.label, []).append((found, event))
        if self._whole:
            for label in self._labels.values():
                self._settle(label)

    def compare_counts(self, unreadable: int, remarks: int) -> None:
        """Against the checkpoint's; `unreadable`: labels that are dead letters since they say nothing."""
        counted = self._known | {"remarks": remarks}
        counted["unmatched"] += unreadable
        kept = self._fold.counters()
        for name in COUNTS:
            if kept[name] != counted[name]:
                self.differ(f"counter {name} is {kept[name]}, computed again {counted[name]}")

    def differ(self, what: str) -> None:
        """Notes a difference; the first ones are shown, the others counted."""
        if len(self.differences) < SHOWN:
            self.differences.append(what)
        else:
            self._unlisted += 1

    @property
    def different(self) -> int:
        """How many differences there are."""
        return len(self.differences) + self._unlisted

    def finish(self) -> list[str]:
        """All differences."""
        return self.differences + ([f"and {self._unlisted} more"] if self._unlisted else [])

    def _compare_one(self, found: FoundExample, event: Event, before: list[float]) -> None:
        label = self._labels.get(found.label)
        if label is None:
            if self._whole and found.label < self._end:
                self.differ(f"example {found.example.id} is of a record that tells no truth")
            return
        record = self._scores.records.get(event)
        if record is None:
            if self._whole:
                self.differ(f"example {found.example.id} is of a score that was never published: {found.example.score}")
            else:
                self.gone += 1
            return
        if event not in self._scores.named(label.truth):
            self.differ(f"example {found.example.id} is of another event than its label names: {found.example.score}")
            return
        previous = before[-1] if before else None
        if not before and not self._whole and found.example.previous is not None:
            previous = value_of_numbers(self._feed, found.example.previous)  # told by one that is gone
        expected = self._fold.example(Joined(found.label, found.n, record, label.truth.value, previous))
        if (expected.key, expected.value) == (found.key, found.value):
            self.same += 1
        else:
            self.differ(f"example {found.example.id} differs: computed again {expected.value[:300]!r}, published {found.value[:300]!r}")

    def _settle(self, label: ToldLabel) -> None:
        """What a label before the checkpoint came to: counted, and nothing of it missing."""
        waiting = self._fold.waiting_at(label.offset)
        examples = self._examples.get(label.offset, [])
        if waiting is not None:
            examples = [item for item in examples if item[0].n < waiting.examples]
        numbers = sorted(found.n for found, _ in examples)
        if numbers != list(range(len(numbers))) or (waiting is not None and len(numbers) != waiting.examples):
            self.differ(f"label {label.offset}: of its examples {numbers} are there, some are lost")
        letter = self._letters.get(label.offset)
        if waiting is not None:
            if letter is not None:
                self.differ(f"label {label.offset} waits and is a dead letter at once")
            return
        if letter is not None:
            self._known[letter.name.lower()] += 1
            if examples:
                self.differ(f"label {label.offset} is a dead letter and has examples")
            return
        self._see_to_all(label, {event for _, event in examples})
        if not examples:
            self._known["duplicate"] += 1
        elif any(found.example.previous is None for found, _ in examples):
            self._known["joined"] += 1
        else:
            self._known["correction"] += 1

    def _see_to_all(self, label: ToldLabel, joined: set[Event]) -> None:
        """Each event that the label names has its example, or had been told the same by another label."""
        truth, named = label.truth, self._scores.named(label.truth)
        settled = {event for event in named if event in joined or truth.value in self._told.get(event, ())}
        if not settled:
            self.differ(f"label {label.offset} ended with no example, no dead letter, and no label that says the same")
        if truth.until is not None:
            lost = [e for e in named if e not in settled and self._scores.must_be_known(truth, label.kafka_time, e)]
            if lost:
                self.differ(f"label {label.offset}: {len(lost)} events of its interval have no example, the first at {lost[0].name}")
