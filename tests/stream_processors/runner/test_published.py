"""What stands on a topic already is not sent again, whatever form the outputs have."""

from __future__ import annotations

import numpy as np
import pytest

from stream_processors.log_fold import OutRecord
from stream_processors.record_columns import RecordColumns
from stream_processors.runner.published import Published


def columns(offsets: list[int]) -> RecordColumns:
    """A record a source offset, each with one byte of key and of value."""
    ends = np.arange(1, len(offsets) + 1)
    text = np.frombuffer(bytes(range(len(offsets))), np.uint8)
    none = np.zeros(len(offsets), np.bool_)
    return RecordColumns(0, np.array(offsets), text, ends - 1, ends, text, ends, "vector", np.zeros((len(offsets), 0), np.uint8), none)


@pytest.mark.parametrize("there", [[], [3], [5, 3], [3, 5, 9], [3, 4, 5, 9, 11], [1, 2], [20]])
def test_columns_and_lists_lose_the_same_records(there: list[int]) -> None:
    """Records as columns are compared at once, records as objects one by one; what is left is the same."""
    items = columns([3, 5, 9])
    published = Published(0, 10, np.array(there, np.int64), np.zeros(len(there), np.int64))
    left = list(published.without(items))
    assert left == list(published.without(list(items)))
    assert [item.offset for item in left] == [offset for offset in (3, 5, 9) if offset not in there]


def test_a_second_record_of_the_same_source_is_another_one() -> None:
    """Only offset and number together name a record."""
    published = Published(0, 2, np.array([3, 3]), np.array([1, 2]))
    assert [item.offset for item in published.without(columns([3]))] == [3]
    items = [OutRecord(3, n, 0, None, b"") for n in range(4)]
    assert [item.n for item in published.without(items)] == [0, 3]
