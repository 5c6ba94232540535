import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import InputError
from feature_store.point_in_time import point_in_time_join
from tests.feature_store.history_sample import START, frame_at, make_feed, rows_at

FEED = make_feed()
ENTITIES = st.sampled_from(["a", "b", "c"])
READINGS = st.lists(st.tuples(ENTITIES, st.integers(0, 12), st.integers(0, 3), st.booleans(), st.integers(1, 2)), max_size=25)
LABELS = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "unknown"]), st.integers(0, 14)), max_size=12)


def labels_at(found: list[tuple[str, int]]) -> pd.DataFrame:
    times = pd.to_datetime([START + t for _, t in found], unit="us", utc=True)
    return pd.DataFrame(
        {"entity": [name for name, _ in found], "event_time": times, "y": range(len(found))}, index=range(100, 100 + len(found))
    )


def history_at(readings: list[tuple[str, int, int, bool, int]]) -> pd.DataFrame:
    """Rows (entity, event time, how much newer the entity's newest was, vector logged, generation)."""
    rows = rows_at([r[0] for r in readings], [START + r[1] for r in readings], [START + r[1] + r[2] for r in readings])
    frame = frame_at(FEED, rows._replace(logged=np.array([r[3] for r in readings], bool)))
    frame["generation"] = [r[4] for r in readings]
    return frame


def oracle(labels: pd.DataFrame, history: pd.DataFrame, tolerance: pd.Timedelta | None) -> list[int]:
    """The offset found for each label by looking at every row; −1 none."""
    out = []
    for label in labels.itertuples():
        best: tuple[object, ...] | None = None
        for row in history.itertuples():
            known = row.entity == label.entity and row.logged and row.as_of < label.event_time
            if known and (tolerance is None or label.event_time - row.as_of <= tolerance):
                place = (row.as_of, row.generation, row.offset)
                best = place if best is None or place > best else best
        out.append(-1 if best is None else best[2])
    return out  # type: ignore[return-value]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(READINGS, LABELS, st.none() | st.integers(0, 6))
def test_equals_the_oracle(readings: list[tuple[str, int, int, bool, int]], found: list[tuple[str, int]], oldest: int | None) -> None:
    """Every label gets the row that a look at all rows finds: ties, disorder, thinned vectors and tolerance included."""
    labels, history = labels_at(found), history_at(readings)
    tolerance = None if oldest is None else pd.Timedelta(oldest, "us")
    joined = point_in_time_join(labels, history, tolerance)
    assert joined["vector_offset"].fillna(-1).astype(int).tolist() == oracle(labels, history, tolerance)
    assert joined["x_last"].fillna(-1).tolist() == oracle(labels, history, tolerance)
    assert joined.index.equals(labels.index) and joined["y"].tolist() == labels["y"].tolist()


def test_a_row_at_the_same_time_is_not_known() -> None:
    """At equal timestamps which came first cannot be told, so the row before is taken."""
    joined = point_in_time_join(labels_at([("a", 5)]), history_at([("a", 4, 0, True, 1), ("a", 5, 0, True, 1)]))
    assert joined["vector_offset"].tolist() == [0]


def test_a_row_out_of_order_is_known_as_of_its_vector() -> None:
    """A reading of time 3 whose vector already holds one of time 9 is unknown at 5 and known at 10."""
    history = history_at([("a", 2, 0, True, 1), ("a", 9, 0, True, 1), ("a", 3, 6, True, 1)])
    joined = point_in_time_join(labels_at([("a", 5), ("a", 9), ("a", 10)]), history)
    assert joined["vector_offset"].tolist() == [0, 0, 2]


def test_nanoseconds_and_naive_times_are_understood() -> None:
    """A label without a zone is UTC, and one within a row's microsecond comes after the row."""
    history = history_at([("a", 5, 0, True, 1)])
    moment = pd.Timestamp(START + 5, unit="us").as_unit("ns")
    labels = pd.DataFrame({"entity": ["a", "a"], "event_time": [moment, moment + pd.Timedelta(1, "ns")]})
    assert point_in_time_join(labels, history)["vector_offset"].fillna(-1).tolist() == [-1, 0]


def test_wrong_labels_are_refused_with_the_fix() -> None:
    """A missing column, one that both have, and times that are none are each named."""
    history, labels = history_at([("a", 5, 0, True, 1)]), labels_at([("a", 6)])
    with pytest.raises(InputError, match="labels have no column 'entity'"):
        point_in_time_join(labels.drop(columns="entity"), history)
    with pytest.raises(InputError, match="labels have a column 'x_last'"):
        point_in_time_join(labels.assign(x_last=1), history)
    with pytest.raises(InputError, match="holds no times"):
        point_in_time_join(labels.assign(event_time=1), history)
    with pytest.raises(InputError, match="rows without a time"):
        point_in_time_join(labels.assign(event_time=pd.Series([pd.NaT]).dt.tz_localize("UTC").to_numpy()), history)
