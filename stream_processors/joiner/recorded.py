"""What the owner before had published since its last checkpoint: recorded truth, which a label must not end against.

Labels can end in another order the second time, since more scores are known. So what stands on `<feed>.examples` and
`<feed>.dead-letters` is not recomputed: the label of such a record ends as the record says, and an event's newest truth is
that of the last record on the topic, whichever label is looked at last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.outcomes import LabelReason
from stream_processors.joiner.told import EventName


class RecordedExample(NamedTuple):
    """An example that stands on its topic."""

    label: int  # offset
    n: int
    event: EventName
    event_time: int
    value: float
    corrected: bool


class _Pair(NamedTuple):
    position: int  # in the order of the topic
    example: RecordedExample


@dataclass
class _Label:
    events: dict[EventName, _Pair] = field(default_factory=dict)
    reason: LabelReason | None = None
    examples: int = 0  # numbers used


class Recorded:
    """Examples and dead letters from where the checkpoint's outputs end.

    Args:
        examples: in the order of the topic.
        letters: (offset of the label, reason).
        known: whether a label's n-th output was accounted for before the checkpoint.
    """

    def __init__(
        self,
        examples: Iterable[RecordedExample] = (),
        letters: Iterable[tuple[int, LabelReason]] = (),
        known: Callable[[int, int], bool] = lambda label, n: False,
    ) -> None:
        self._labels: dict[int, _Label] = {}
        self._applied: dict[EventName, int] = {}
        for position, example in enumerate(examples):
            if known(example.label, example.n):
                self._applied[example.event] = position
                continue
            label = self._labels.setdefault(example.label, _Label())
            label.events.setdefault(example.event, _Pair(position, example))
            label.examples = max(label.examples, example.n + 1)
        for offset, reason in letters:
            if not known(offset, 0):
                self._labels.setdefault(offset, _Label()).reason = reason

    def __bool__(self) -> bool:
        return bool(self._labels)

    def reason(self, label: int) -> LabelReason | None:
        """Why the label at an offset stands among the dead letters; None where it does not."""
        found = self._labels.get(label)
        return found.reason if found else None

    def examples(self, label: int) -> int:
        """How many numbers of the label's examples are used."""
        found = self._labels.get(label)
        return found.examples if found else 0

    def has(self, label: int, event: EventName) -> bool:
        """Whether the label's example for an event stands there."""
        found = self._labels.get(label)
        return found is not None and event in found.events

    def of(self, label: int) -> list[RecordedExample]:
        """Examples of a label."""
        found = self._labels.get(label)
        return [pair.example for pair in found.events.values()] if found else []

    def overruled(self, event: EventName) -> None:
        """A new example for the event stands behind all that are recorded."""
        if self._labels:
            self._applied[event] = 1 << 62

    def ended(self, label: int) -> list[RecordedExample]:
        """The label is accounted for. Returns its examples that no other one behind them on the topic has overruled yet.

        With the last label all of this is forgotten.
        """
        newest: list[RecordedExample] = []
        found = self._labels.pop(label, None)
        if found is None:
            return newest
        for event, pair in found.events.items():
            if self._applied.get(event, -1) < pair.position:
                self._applied[event] = pair.position
                newest.append(pair.example)
        if not self._labels:
            self._applied.clear()
        return newest
