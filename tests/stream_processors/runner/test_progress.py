"""Progress: every offset passed is a record read, a control record or a gap, and nothing is read twice."""

from __future__ import annotations

import numpy as np
import pytest

from stream_processors.decoding.batches import Fetched, plain_fetched, raw_batch
from stream_processors.runner.progress import LogChanged, Progress

NO_CONTROL = np.zeros(0, np.int64)
NONE = {"folded": 0, "duplicate": 0, "late": 0, "dead_lettered": 0}


def batch(*offsets: int):
    return raw_batch(list(offsets), [-1] * len(offsets), [b"k"] * len(offsets), [b"v"] * len(offsets))


def test_the_plain_way_counts_gaps_from_offsets():
    """Holes before, between and inside batches are gaps; records and gaps add up to the offsets passed."""
    progress = Progress(10, 10)
    progress.advance(plain_fetched(batch(12, 13, 17)))
    progress.advance(plain_fetched(batch(18)))
    progress.advance(plain_fetched(batch(30, 31)))
    assert progress.counters() == {"read": 6, "control": 0, "gaps": 16}
    assert progress.next_offset == 32
    counters = {"folded": 3, "duplicate": 1, "late": 1, "dead_lettered": 1}
    assert progress.balanced(counters)
    assert not progress.balanced(counters | {"late": 2})


def test_each_kind_is_counted_as_it_was_told():
    """Control records and gaps are what the reader says, those at the end and those of no record included; retention adds gaps."""
    progress = Progress(0, 0)
    progress.advance(Fetched(0, 8, batch(0, 1, 4), np.array([5, 7]), 3))
    progress.advance(Fetched(8, 10, batch(), np.array([9]), 1))
    progress.advance(Fetched(15, 16, batch(15), NO_CONTROL, 0))
    assert progress.counters() == {"read": 4, "control": 3, "gaps": 9}
    assert progress.balanced(NONE | {"folded": 4})


def test_a_record_that_is_lost_on_the_way_is_no_gap():
    """Nothing is counted as what is left over: offsets that no kind accounts for are out of balance."""
    progress = Progress(0, 0)
    progress.advance(Fetched(0, 4, batch(0, 1, 2), NO_CONTROL, 0))
    assert not progress.balanced(NONE | {"folded": 3})


def test_it_goes_on_from_a_checkpoint():
    """What a predecessor counted stays counted."""
    progress = Progress(0, 100, read=90, control=7, gaps=3)
    progress.advance(plain_fetched(batch(100, 101)))
    assert progress.balanced(NONE | {"folded": 92})


@pytest.mark.parametrize("offset", [0, 99])
def test_an_offset_read_before_is_refused(offset):
    """Folding a record twice would count it twice: a batch that lies behind is an error, not a repeat."""
    with pytest.raises(LogChanged, match=f"goes on at offset {offset} after 99 was folded"):
        Progress(0, 100).advance(plain_fetched(batch(offset)))
