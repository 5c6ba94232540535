"""How far a partition has been read, and that every offset is accounted for."""

from __future__ import annotations

from contracts.errors import StreamgaugeError
from contracts.records import Switch
from feature_store.checkpoint import Manifest
from stream_processors.decoding.batches import Fetched


class LogChanged(StreamgaugeError):
    """A log is not the one that was folded so far: its topic was created anew, or its end is gone. The place is to be taken anew."""


class Progress:
    """Counts records read, control records and gaps since the generation began, each on its own (`Fetched` says what is which).

    Offsets between two fetches are gaps, too: retention removed them before they were read.
    """

    def __init__(self, start_offset: int, next_offset: int, read: int = 0, control: int = 0, gaps: int = 0) -> None:
        self.start_offset = start_offset
        self.next_offset = next_offset
        self.read = read
        self.control = control
        self.gaps = gaps

    @classmethod
    def of(cls, generation: Switch, manifest: Manifest | None) -> Progress:
        """Of a generation's checkpoint; without one, of its birth."""
        born = generation.state_begins
        if manifest is None:
            return cls(born, born)
        return cls(born, manifest.offset, **{name: manifest.counters[name] for name in ("read", "control", "gaps")})

    def advance(self, fetched: Fetched) -> None:
        """Notes what was passed.

        Raises:
            LogChanged: it does not lie behind what was passed before: the broker no longer has what was to come next.
        """
        if fetched.start < self.next_offset:
            raise LogChanged(f"the log goes on at offset {fetched.start} after {self.next_offset - 1} was folded")
        self.read += fetched.batch.n
        self.control += len(fetched.control)
        self.gaps += fetched.gaps + fetched.start - self.next_offset
        self.next_offset = fetched.next_offset

    def counters(self) -> dict[str, int]:
        """What a checkpoint keeps of it."""
        return {"read": self.read, "control": self.control, "gaps": self.gaps}

    def balanced(self, counters: dict[str, int]) -> bool:
        """Whether the four outcomes add up to the records read, and records, control records and gaps to the offsets passed."""
        ended = sum(counters[name] for name in ("folded", "duplicate", "late", "dead_lettered"))
        return ended == self.read and self.next_offset - self.start_offset == self.read + self.control + self.gaps
