"""Datasets pinned by feed, generations, offsets, definition and revision: the same pin gives the same bytes."""

from __future__ import annotations

import msgspec
import pandas as pd
import pyarrow as pa

from contracts.definition import Feed
from contracts.errors import HistoryError
from contracts.records import DatasetPin
from contracts.settings import public_url
from feature_store.feature_columns import feature_names
from feature_store.history import LIVE, LogTail, beyond_files, files_of_revision, joined, of_definition, read_file, rows_of_revision
from feature_store.history_files import CUT, HistoryFiles, ScoreFile, cut_of
from feature_store.history_rows import HEAD_NAMES, history_schema, parquet_bytes

PIN_KEY = b"streamgauge.pin"


def build_dataset(pin: DatasetPin, feed: Feed, url: str, tail: LogTail | None = None) -> pd.DataFrame:
    """The rows that a pin names, in the order of partition and offset, whether they stand in files or still in the log.

    Args:
        pin: which rows; see contracts.records.DatasetPin.
        feed: the definition whose hash the pin bears.
        url: of the history.
        tail: the log after the files; needed where the pin goes beyond them.

    Raises:
        HistoryError: the definition is another one, or some of the pinned offsets stand neither in files nor in `tail`.
    """
    if (pin.feed, pin.definition) != (feed.name, feed.hash):
        raise HistoryError(
            f"the pin is of feed '{pin.feed}' with definition {pin.definition}, the plant file has '{feed.name}' with {feed.hash}; "
            "use the plant file as it was"
        )
    files = HistoryFiles(url)
    available = files_of_revision(files, feed, pin.revision)
    names = feature_names(feed)
    tables: list[pa.Table] = []
    for partition, (first, end) in sorted((int(p), span) for p, span in pin.offsets.items()):
        place = (pin.generations[str(partition)], partition)
        mine = [file for file in available if (file.generation, file.partition) == place]
        chosen = [file for file in mine if file.end > first and file.first < end]
        parts = [read_file(files, file, names) for file in of_definition(files, chosen, feed)]
        if rest := _missing(mine, available, place, first, end):
            parts.append(_from_tail(pin, tail, available, place, rest, end))
        tables += [_between(part, first, end) for part in parts]
    return rows_of_revision(joined(feed, names, tables))


def dataset_bytes(frame: pd.DataFrame, pin: DatasetPin, feed: Feed) -> bytes:
    """A dataset as Parquet bytes with its pin in the metadata; the same pin gives the same bytes within one version of pyarrow."""
    schema = history_schema(feed)
    schema = schema.with_metadata((schema.metadata or {}) | {PIN_KEY: msgspec.json.encode(pin, order="deterministic")})
    columns = [pa.Array.from_pandas(frame[field.name], type=field.type) for field in schema]
    return parquet_bytes(pa.Table.from_arrays(columns, schema=schema))


def write_dataset(frame: pd.DataFrame, pin: DatasetPin, feed: Feed, url: str) -> None:
    """Puts `dataset_bytes` whole at a path or fsspec URL of a file."""
    files = HistoryFiles(url)
    files.write(files.root, dataset_bytes(frame, pin, feed))


def pin_of_history(feed: Feed, url: str, revision: int = LIVE) -> DatasetPin:
    """Pins all that is archived of the newest generation of each partition.

    Raises:
        HistoryError: nothing of this definition is archived, or the revision is not there.
    """
    files = HistoryFiles(url)
    live = [file for file in files_of_revision(files, feed, revision) if file.revision == LIVE and file.generation > 0]
    newest = {file.partition: file.generation for file in live}
    mine = of_definition(files, [file for file in live if file.generation == newest[file.partition]], feed)
    if not mine:
        where = public_url(url)
        raise HistoryError(f"{where}: nothing of feed '{feed.name}' with this definition is archived yet; see: streamgauge archive")
    places = {file.partition: [f for f in mine if f.partition == file.partition] for file in mine}
    return DatasetPin(
        feed=feed.name,
        definition=feed.hash,
        generations={str(partition): newest[partition] for partition in places},
        offsets={str(partition): (found[0].first, found[-1].end) for partition, found in places.items()},
        revision=revision,
    )


def _missing(mine: list[ScoreFile], available: list[ScoreFile], place: tuple[int, int], first: int, end: int) -> int | None:
    """The first pinned offset from which on no files stand, or None where they hold all.

    Raises:
        HistoryError: a file before others is missing.
    """
    generation, partition = place
    live = {file.first for file in mine if file.revision == LIVE or file.generation == 0}
    over = any(f.partition == partition and f.generation > generation and f.revision == LIVE for f in available)
    for cut in range(cut_of(first), end, CUT):
        if cut in live:
            continue
        if not any(other > cut for other in live):
            return None if live and over else max(cut, first)
        raise HistoryError(f"partition {partition}: the file of offsets {cut} to {cut + CUT} is missing from the history; archive it again")
    return None


def _from_tail(pin: DatasetPin, tail: LogTail | None, available: list[ScoreFile], place: tuple[int, int], first: int, end: int) -> pa.Table:
    generation, partition = place
    reached = tail.ends.get(partition, (0, 0)) if tail is not None else (0, 0)
    if tail is None or reached < (generation, end):
        how_far = f"the log was read up to offset {reached[1]} of generation {reached[0]}" if tail else "the log was not read"
        raise HistoryError(
            f"{pin.feed}/{partition}: offsets {first} to {end} of generation {generation} are not archived yet, and {how_far}; "
            "wait for the archiver or the worker"
        )
    table = beyond_files(tail.table, available).select([*HEAD_NAMES, *feature_names_of(tail.table)])
    generations, partitions = table["generation"].to_numpy(), table["partition"].to_numpy()
    return table.filter(pa.array((generations == generation) & (partitions == partition)))


def feature_names_of(table: pa.Table) -> list[str]:
    """Columns of a table that are features."""
    return [name for name in table.column_names if name not in HEAD_NAMES]


def _between(table: pa.Table, first: int, end: int) -> pa.Table:
    offset = table["offset"].to_numpy()
    return table.filter(pa.array((offset >= first) & (offset < end)))
