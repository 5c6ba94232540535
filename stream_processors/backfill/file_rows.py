"""Rows of files as the frame that is decoded, and what the fold made of them as rows of the history; no object a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from contracts.columns import I64, U8, Columns
from contracts.definition import Feed
from contracts.outcomes import Outcome
from feature_store.history_rows import HistoryRows
from producers.files import Rows
from producers.merge import order_of
from stream_processors.backtest.partition_folds import as_recorded
from stream_processors.stream_fold.fold_kernel import RowOutputs
from stream_processors.stream_fold.score_text import FLAGS, model_name


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
    names = pa.StringArray.from_buffers(columns.n, _buffer(np.append(0, columns.entity_end).astype(np.int32)), _buffer(columns.entity))
    chosen = np.flatnonzero(out.outcome == Outcome.FOLDED)
    folded: I64 | slice = chosen
    if len(chosen) == columns.n:
        folded = slice(None)  # a view of all, where a choice would copy them
    else:
        names = names.take(pa.array(chosen))
    words, code = np.unique(out.flags[folded], return_inverse=True)
    flags = [",".join(name for name, bits in FLAGS if word & bits) for word in words.tolist()]
    return HistoryRows(
        names,
        columns.event_time[folded],
        out.as_of[folded],
        columns.offset[folded],
        as_recorded(out.score[folded]),
        as_recorded(out.p_value[folded]),
        pa.repeat(model_name(feed), len(names)),
        pa.array(flags, pa.string()).take(pa.array(code)),
        out.log_vector[folded] != 0,
        out.vector[folded],
    )


def _buffer(array: np.typing.NDArray[np.int32] | U8) -> pa.Buffer:
    return pa.py_buffer(np.ascontiguousarray(array))
