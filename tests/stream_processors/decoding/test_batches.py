"""Raw batches out of lists."""

from __future__ import annotations

from stream_processors.decoding.batches import raw_batch


def test_nulls_and_empties_differ() -> None:
    """A null key or a tombstone is marked, an empty one is not; ends and bytes are those of the lists."""
    batch = raw_batch([5, 7, 8], [1, -1, 3], [b"a", None, b""], [b"", b"xyz", None])
    assert batch.keys.tobytes() == b"a"
    assert batch.key_end.tolist() == [1, 1, 1]
    assert batch.key_null.tolist() == [0, 1, 0]
    assert batch.values.tobytes() == b"xyz"
    assert batch.value_end.tolist() == [0, 3, 3]
    assert batch.value_null.tolist() == [0, 0, 1]
    assert (batch.offset.tolist(), batch.kafka_time.tolist(), batch.n) == ([5, 7, 8], [1, -1, 3], 3)


def test_empty() -> None:
    """No records make an empty batch."""
    assert raw_batch([], [], [], []).n == 0


def test_a_cut_batch_is_the_same_records() -> None:
    """Cut before any offset, present or not, both parts hold the bytes and marks of their records, and nothing is lost."""
    keys, values = [b"a", None, b"", b"bc"], [b"", b"xyz", None, b"u"]
    batch = raw_batch([5, 7, 8, 12], [1, -1, 3, 4], keys, values)
    for offset, at in [(0, 0), (5, 0), (6, 1), (7, 1), (8, 2), (10, 3), (12, 3), (13, 4)]:
        for part, rows in zip(batch.cut(offset), (slice(0, at), slice(at, 4)), strict=True):
            wanted = raw_batch([5, 7, 8, 12][rows], [1, -1, 3, 4][rows], keys[rows], values[rows])
            assert [column.tolist() for column in part] == [column.tolist() for column in wanted]
    _, rest = batch.cut(7)
    assert [column.tolist() for column in rest.cut(12)[1]] == [c.tolist() for c in raw_batch([12], [4], [b"bc"], [b"u"])]
