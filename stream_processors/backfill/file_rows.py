"""Rows of files as the frame that is decoded, and what the fold made of them as rows of the history; no object a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from contracts.columns import U8, Columns
from contracts.definition import Feed
from contracts.outcomes import Outcome
from feature_store.history_rows import HistoryRows
from producers.files import Rows
from producers.merge import order_of
from stream_processors.backtest.partition_folds import as_recorded
from stream_processors.stream_fold.fold_kernel import ACCURACY, OUT_OF_ORDER, RowOutputs

_FLAGS = (("out_of_order", OUT_OF_ORDER), ("accuracy", ACCURACY), ("partial", ~0xFF))  # in the order of a score record


def frame_of_rows(feed: Feed, pieces: Sequence[Rows]) -> pd.DataFrame:
    """Rows in order of event time, under the definition's names; the entity is categorical."""
    _, _, times, entities, ids, numbers, categories = zip(*pieces, strict=True)
    order = order_of(pieces)
    code, names = pd.factorize(np.concatenate(entities)[order])
    columns: dict[str, object] = {
        feed.time: np.concatenate(times)[order].astype("M8[us]"),
        feed.entity: pd.Categorical.from_codes(code, pd.Index(names, dtype=object)),
    }
    if feed.id is not None:
        columns[feed.id] = pd.Series(np.concatenate(ids)[order], dtype=object)
    number, category = np.concatenate(numbers)[order], np.concatenate(categories)[order]
    columns |= {field.name: number[:, k] for k, field in enumerate(feed.numbers)}
    columns |= {field.name: pd.Series(category[:, c], dtype=object) for c, field in enumerate(feed.categories)}
    return pd.DataFrame(columns)


def folded_rows(feed: Feed, columns: Columns, out: RowOutputs) -> HistoryRows:
    """The folded rows as their score records would say."""
    folded = np.flatnonzero(out.outcome == Outcome.FOLDED)
    names = pa.LargeStringArray.from_buffers(columns.n, _buffer(np.append(0, columns.entity_end)), _buffer(columns.entity))
    flags = out.flags[folded]
    texts = {word: ",".join(name for name, bits in _FLAGS if word & bits) for word in np.unique(flags).tolist()}
    return HistoryRows(
        names.take(pa.array(folded)).to_pylist(),
        columns.event_time[folded],
        out.as_of[folded],
        columns.offset[folded],
        as_recorded(out.score[folded]),
        as_recorded(out.p_value[folded]),
        [f"{feed.anomaly}/1"] * len(folded),
        [texts[word] for word in flags.tolist()],
        out.log_vector[folded] != 0,
        out.vector[folded],
    )


def _buffer(array: np.typing.NDArray[np.int64] | U8) -> pa.Buffer:
    return pa.py_buffer(np.ascontiguousarray(array))
