"""Progress: every offset passed is a record read or a gap, and nothing is read twice."""

from __future__ import annotations

import pytest

from stream_processors.decoding.batches import raw_batch
from stream_processors.runner.progress import Progress


def batch(*offsets: int):
    return raw_batch(list(offsets), [-1] * len(offsets), [b"k"] * len(offsets), [b"v"] * len(offsets))


def test_gaps_are_counted_from_offsets():
    """Holes before, between and inside batches are gaps; records and gaps add up to the offsets passed."""
    progress = Progress(10, 10)
    progress.advance(batch(12, 13, 17))
    progress.advance(batch(18))
    progress.advance(batch(30, 31))
    assert (progress.read, progress.gaps, progress.next_offset) == (6, 16, 32)
    counters = {"folded": 3, "duplicate": 1, "late": 1, "dead_lettered": 1}
    assert progress.balanced(counters)
    assert not progress.balanced(counters | {"late": 2})


def test_it_goes_on_from_a_checkpoint():
    """What a predecessor counted stays counted."""
    progress = Progress(0, 100, read=90, gaps=10)
    progress.advance(batch(100, 101))
    assert progress.balanced({"folded": 92, "duplicate": 0, "late": 0, "dead_lettered": 0})


@pytest.mark.parametrize("offset", [0, 99])
def test_an_offset_read_before_is_refused(offset):
    """Folding a record twice would count it twice: a batch that lies behind is an error, not a repeat."""
    with pytest.raises(ValueError, match=f"offset {offset} read again"):
        Progress(0, 100).advance(batch(offset))
