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
