"""Two sequences of output records, as published and as folded again, compared as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from stream_processors.log_fold import OutRecord

SHOWN = 5  # differences described; the rest is counted


class Published(NamedTuple):
    """A record as it stands on its topic."""

    offset: int  # of its source record
    n: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Comparison:
    """Compares one output of one place; feed both sides in any portions, each in the order of (source offset, n)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.same = 0
        self.lost = 0  # folded again but not on the topic
        self.changed = 0
        self.extra = 0  # on the topic but not of this fold
        self.repeated = 0  # ids that stand twice; readers drop them
        self.gone = 0  # folded again, from before what is left of the topic
        self.begins_late = False  # retention has deleted the topic's head: what comes before the first that is found is gone, not lost
        self.differences: list[str] = []
        self._expected: deque[OutRecord] = deque()
        self._found: deque[Published] = deque()
        self._newest = (-1, -1)

    @property
    def equal(self) -> bool:
        """Nothing lost, changed or extra."""
        return not (self.lost or self.changed or self.extra)

    @property
    def tally(self) -> dict[str, int]:
        """How many records are not as folded again, by what is wrong with them."""
        return {"lost": self.lost, "changed": self.changed, "extra": self.extra, "repeated": self.repeated}

    def expect(self, records: Sequence[OutRecord]) -> None:
        """What the new fold gives."""
        self._expected.extend(records)
        self._settle()

    def find(self, records: list[Published]) -> None:
        """What stands on the topic; ids seen before are repeats."""
        for record in records:
            if (record.offset, record.n) <= self._newest:
                self.repeated += 1
            else:
                self._newest = (record.offset, record.n)
                self._found.append(record)
        self._settle()

    @property
    def waiting(self) -> int:
        """Expected records for which the topic has not been read far enough."""
        return len(self._expected)

    def finish(self) -> None:
        """Both sides are complete."""
        for expected in self._expected:
            self._miss(expected)
        for found in self._found:
            self._note("extra", found.offset, found.n)
        self._expected.clear()
        self._found.clear()

    def _settle(self) -> None:
        while self._expected and self._found:
            expected, found = self._expected[0], self._found[0]
            place, other = (expected.offset, expected.n), (found.offset, found.n)
            if place < other:
                self._miss(expected)
                self._expected.popleft()
            elif place > other:
                self.begins_late = False
                self._note("extra", *other)
                self._found.popleft()
            else:
                self.begins_late = False
                self._compare(expected, found)
                self._expected.popleft()
                self._found.popleft()

    def _compare(self, expected: OutRecord, found: Published) -> None:
        if (expected.key, expected.value, tuple(expected.headers)) == (found.key, found.value, found.headers):
            self.same += 1
            return
        self._note("changed", expected.offset, expected.n)
        if len(self.differences) <= SHOWN:
            self.differences.append(f"  folded:    {expected.value[:400]!r}")
            self.differences.append(f"  published: {(found.value or b'')[:400]!r}")

    def _miss(self, expected: OutRecord) -> None:
        if self.begins_late:
            self.gone += 1
        else:
            self._note("lost", expected.offset, expected.n)

    def _note(self, what: str, offset: int, n: int) -> None:
        setattr(self, what, getattr(self, what) + 1)
        if self.lost + self.changed + self.extra <= SHOWN:
            self.differences.append(f"{self.name}: {what}: output {n} of source offset {offset}")
