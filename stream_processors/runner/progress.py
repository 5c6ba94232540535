"""How far a partition has been read, and that every offset is accounted for."""

from __future__ import annotations

from contracts.columns import RawBatch


class Progress:
    """Counts records read and offsets without a record since the generation began, from the offsets themselves.

    `gaps` are offsets that were handed out as no record: control records of transactions, what compaction or retention
    removed. With the plain reader control records cannot be told from the others, and stand among the gaps.
    """

    def __init__(self, start_offset: int, next_offset: int, read: int = 0, gaps: int = 0) -> None:
        self.start_offset = start_offset
        self.next_offset = next_offset
        self.read = read
        self.gaps = gaps

    def advance(self, batch: RawBatch) -> None:
        """Notes a batch as read.

        Raises:
            ValueError: it does not lie behind what was read before.
        """
        first, last = int(batch.offset[0]), int(batch.offset[-1])
        if first < self.next_offset:
            raise ValueError(f"offset {first} read again after {self.next_offset - 1}")
        self.gaps += last + 1 - self.next_offset - batch.n
        self.read += batch.n
        self.next_offset = last + 1

    def balanced(self, counters: dict[str, int]) -> bool:
        """Whether the four outcomes add up to the records read, and records and gaps to the offsets passed."""
        ended = sum(counters[name] for name in ("folded", "duplicate", "late", "dead_lettered"))
        return ended == self.read and self.next_offset - self.start_offset == self.read + self.gaps
