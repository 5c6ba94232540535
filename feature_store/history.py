"""Reads the history as a pandas frame: the files up to the last archived offset, and the log after them, as one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.definition import Feed
from contracts.errors import HistoryError
from feature_store.feature_columns import feature_names
from feature_store.history_files import HistoryFiles, ScoreFile
from feature_store.history_rows import HEAD_NAMES, TIME, definition_of, history_schema

ORDER = ("generation", "partition", "offset")
LIVE, FILES = 0, 0  # the revision of what the worker folded; the generation of what was loaded from files
Moment = pd.Timestamp | str

_log = logging.getLogger(__name__)


class LogTail(NamedTuple):
    """Rows that are on `<feed>.scores` but not in files yet; whoever knows Kafka reads them (stream_processors.archive).

    `ends` says how far each partition was read: (generation, source offset after its last row).
    """

    table: pa.Table
    ends: Mapping[int, tuple[int, int]]


def read_history(
    url: str,
    feed: Feed,
    *,
    entities: Collection[str] | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    features: Sequence[str] | None = None,
    revision: int = LIVE,
    tail: LogTail | None = None,
) -> pd.DataFrame:
    """Rows of a feed in the order of generation, partition and offset, one for each folded reading.

    Args:
        url: directory or fsspec URL of the history.
        feed: the definition; generations that were folded with another one are left out, with a line in the log.
        entities: only these.
        start, end: only event times start ≤ t < end; times without a zone are UTC.
        features: columns to read besides those of every row; all by default.
        revision: 0 gives the numbers that were served and scored; n adds what backfills up to revision n put beside or
            in place of them, see `rows_of_revision`.
        tail: what the log holds beyond the files.

    Raises:
        HistoryError: a feature or a revision that is not there, or files that are not of this project.
    """
    names = _chosen(feed, features)
    files = HistoryFiles(url)
    wanted = files_of_revision(files, feed, revision)
    where = _filter(entities, start, end)
    tables = [read_file(files, file, names, where) for file in of_definition(files, wanted, feed)]
    if tail is not None and tail.table.num_rows:
        part = beyond_files(tail.table, wanted).select([*HEAD_NAMES, *names])
        tables.append(part if where is None else part.filter(where))
    return rows_of_revision(joined(feed, names, tables))


def newest_revision(url: str, feed: Feed) -> int:
    """The highest revision that is complete."""
    return max((revision for revision, _ in HistoryFiles(url).complete(feed.name)), default=LIVE)


def files_of_revision(files: HistoryFiles, feed: Feed, revision: int) -> list[ScoreFile]:
    """Files that a reading of this revision takes; raises HistoryError where no such revision is complete.

    What the worker folded counts as it comes. A backfill counts once it is complete; of several loads of files, the one
    of the highest revision replaces the others.
    """
    done = files.complete(feed.name)
    if revision != LIVE and all(found != revision for found, _ in done):
        known = sorted({found for found, _ in done} | {LIVE})
        raise HistoryError(f"{files.shown}: {feed.name} has no complete revision {revision}; there are {', '.join(map(str, known))}")
    loaded = max((found for found, generation in done if generation == FILES and found <= revision), default=None)
    out = []
    for file in files.scores(feed.name):
        if file.generation == FILES:
            counts = file.revision == loaded
        else:
            counts = file.revision == LIVE or (file.revision <= revision and (file.revision, file.generation) in done)
        if counts:
            out.append(file)
    return out


def of_definition(files: HistoryFiles, wanted: Iterable[ScoreFile], feed: Feed) -> list[ScoreFile]:
    """Those of generations folded with this definition; a generation and revision has one."""
    definition = feed.hash
    found: dict[tuple[int, int, int], str] = {}
    out = []
    for file in wanted:
        key = file.revision, file.generation, file.partition
        if key not in found:
            with _reading(files, file) as opened:
                found[key] = definition_of(pq.read_schema(opened), file.path)
            if found[key] != definition:
                _log.warning("%s generation %d, partition %d, has definition %s: left out", feed.name, *key[1:], found[key])
        if found[key] == definition:
            out.append(file)
    return out


def read_file(files: HistoryFiles, file: ScoreFile, names: Sequence[str], where: pc.Expression | None = None) -> pa.Table:
    """The rows of one file; raises HistoryError where it cannot be read."""
    with _reading(files, file) as opened:
        table: pa.Table = pq.read_table(opened, columns=[*HEAD_NAMES, *names], filters=where, partitioning=None)
        return table


@contextlib.contextmanager
def _reading(files: HistoryFiles, file: ScoreFile) -> Iterator[Any]:
    try:
        with files.open(file.path) as opened:
            yield opened
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise HistoryError(f"{file.path} cannot be read ({str(error).splitlines()[0]}); remove it and archive it again") from error


def beyond_files(table: pa.Table, files: Iterable[ScoreFile]) -> pa.Table:
    """The log's rows that stand in no file, so that a file written since the log was read makes no row stand twice."""
    ends: dict[int, tuple[int, int]] = {}
    for file in files:
        if file.revision == LIVE and file.generation != FILES:
            ends[file.partition] = max(ends.get(file.partition, (0, 0)), (file.generation, file.end))
    generation, partition, offset = (table[name].to_numpy() for name in ORDER)
    keep = np.ones(table.num_rows, bool)
    for place, (last, end) in ends.items():
        keep &= (partition != place) | (generation > last) | ((generation == last) & (offset >= end))
    return table.filter(pa.array(keep))


def joined(feed: Feed, names: Sequence[str], tables: list[pa.Table]) -> pa.Table:
    """Tables one after another; none gives an empty one."""
    schema = history_schema(feed)
    schema = pa.schema([schema.field(name) for name in (*HEAD_NAMES, *names)])
    return pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])


def rows_of_revision(table: pa.Table) -> pd.DataFrame:
    """One row a reading, that of the highest revision, in the order of generation, partition and offset."""
    keys = [table[name].to_numpy() for name in ORDER]
    order = np.lexsort((table["revision"].to_numpy(), *reversed(keys)))
    last = np.ones(len(order), bool)
    if len(order):
        same = np.ones(len(order) - 1, bool)
        for key in keys:
            same &= key[order[1:]] == key[order[:-1]]
        last[:-1] = ~same
    frame: pd.DataFrame = table.take(pa.array(order[last])).to_pandas(ignore_metadata=True)
    return frame


def _chosen(feed: Feed, features: Sequence[str] | None) -> tuple[str, ...]:
    known = feature_names(feed)
    if features is None:
        return known
    for name in features:
        if name not in known:
            raise HistoryError(f"feed '{feed.name}' has no feature '{name}'; see: streamgauge check")
    return tuple(features)


def _filter(entities: Collection[str] | None, start: Moment | None, end: Moment | None) -> pc.Expression | None:
    parts: list[Any] = []
    if entities is not None:
        parts.append(pc.field("entity").isin(sorted(entities)))
    if start is not None:
        parts.append(pc.field("event_time") >= _scalar(start))
    if end is not None:
        parts.append(pc.field("event_time") < _scalar(end))
    out = None
    for part in parts:
        out = part if out is None else out & part
    return out


def _scalar(moment: Moment) -> pa.Scalar:
    at = pd.Timestamp(moment)
    at = at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")
    return pa.scalar(at.to_pydatetime(warn=False), TIME)
