from __future__ import annotations

import base64

import msgspec
import numpy as np

from contracts.records import Example, LeftOut
from feature_store.feature_columns import feature_names
from tests.training.examples import regression
from training.training_set import EXAMPLES, training_set

FEED = regression()
DIMENSION = len(feature_names(FEED))


def example(event: int, value: float, time: int, vector: bytes | None = None) -> Example:
    numbers = np.full(DIMENSION, float(event)).tobytes() if vector is None else vector
    return Example(
        id="", score=f"lines/1/0/{event}/score/0", entity="a", event_time=time, value=[value], vector=base64.b64encode(numbers).decode()
    )


def test_rows_stand_in_the_order_of_events_and_corrections_replace() -> None:
    """Labels come in any order; the last one of an event counts; what does not fit the definition is left out."""
    told = [
        (0, example(2, 20.0, 200)),
        (1, example(1, 10.0, 100)),
        (2, example(3, float("nan"), 300)),
        (4, example(4, 40.0, 400, b"12345678")),
        (5, example(1, 11.0, 100)),
        (6, example(5, 50.0, 200)),
    ]
    found = training_set(FEED, told, {})
    assert found.values[:, 0].tolist() == [11.0, 20.0, 50.0]
    assert found.vectors[:, 0].tolist() == [1.0, 2.0, 5.0]
    assert found.event_times.tolist() == [100, 200, 200]
    assert found.changed_from == 0
    assert training_set(FEED, [], {}).vectors.shape == (0, DIMENSION)


def test_spans_that_are_left_out_are_those_of_their_entity_with_both_ends() -> None:
    """A span of an entity leaves the others alone, one of the whole feed nobody; one that is open has no end."""
    told = [(offset, msgspec.structs.replace(example(offset, 0.0, 100 * offset), entity="ab"[offset % 2])) for offset in range(10)]

    def kept(entity: str | None, first: int, until: int | None) -> list[int]:
        span = LeftOut(incident="i", entity=entity, first_seen=first, until=until)
        return (training_set(FEED, told, {}, [span]).event_times // 100).tolist()

    assert kept("a", 200, 600) == [0, 1, 3, 5, 7, 8, 9]
    assert kept("b", 200, 600) == [0, 1, 2, 4, 6, 7, 8, 9]
    assert kept(None, 200, 600) == [0, 1, 7, 8, 9]
    assert kept(None, 201, None) == [0, 1, 2]


def test_a_change_is_dated_by_offsets_of_events_or_of_examples() -> None:
    """From the first row at or after the offset that the request names; partitions that it does not name have not changed."""
    told = [(offset, example(offset, 0.0, 100 * offset)) for offset in range(10)]
    assert training_set(FEED, told, {"0": 4}).changed_from == 4
    assert training_set(FEED, told, {EXAMPLES: 7}).changed_from == 7
    assert training_set(FEED, told, {"1": 2}).changed_from == 0
