"""What came late, folded in the order of event time, as the next revision of the history.

A late reading changes the features of every window that it falls into. For each entity with late readings all its events
that archive and Kafka have are folded by a fresh stream fold in the order of event time, the late ones in their places. Written
are the rows of the late readings, and those after them whose vector is another than before. They bear no score: no model
saw these vectors when they happened.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.columns import I64, Columns
from contracts.definition import Feed
from contracts.ids import parse_id
from contracts.outcomes import Outcome
from contracts.records import DeadLetter
from contracts.settings import KafkaSettings
from contracts.topics import events_topic
from feature_store.feature_columns import feature_names
from feature_store.history import LogTail, newest_revision, read_history
from feature_store.history_files import CUT, HistoryFiles, cut_of
from feature_store.history_rows import HistoryRows, choose_rows, empty_rows, history_table, join_rows, parquet_bytes
from stream_processors.archive.log_tail import read_tail
from stream_processors.archive.whole_log import WholeLog, open_archive
from stream_processors.backtest.column_rows import join_columns, take_rows
from stream_processors.dead_letters import read_dead_letters
from stream_processors.decoding.batches import raw_batch
from stream_processors.decoding.decoder import Decoder
from stream_processors.runner.clients import batch_consumer, stopped
from stream_processors.runner.switch_log import current_generation
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.stream_fold.fold_kernel import RowOutputs
from stream_processors.verification.log_reader import read_switches

Bools = NDArray[np.bool_]
NO_MODEL = "none"
Say = Callable[[str, int, int], None]  # (partition, offsets read, offsets in all)


class LateReport(NamedTuple):
    """What became of the late readings; `revision` is None where nothing was left to write."""

    revision: int | None
    readings: int
    rows: int  # written
    older: int  # readings of generations that are over, left out
    gone: int  # readings whose original is neither archived, nor in Kafka, nor whole in the dead letter, left out


async def backfill_late(feed: Feed, kafka: KafkaSettings, url: str, say: Say) -> LateReport:
    """Writes the next revision from the late readings of each partition's present generation; again gives nothing more.

    Raises:
        HistoryError: files of the history cannot be used.
        ServerUnavailable: Kafka did not hand out its records.
    """
    letters = [letter for letter in read_dead_letters(feed, kafka) if letter.reason == "late"]
    base = newest_revision(url, feed)
    files, revision = HistoryFiles(url), base + 1
    for file in files.scores(feed.name):
        if file.revision == revision and file.generation > 0:
            files.remove(file.path)  # of a run that was killed
    tail = await read_tail(feed, kafka, url)
    work = _LateWork(feed, kafka, url, tail, base)
    written: dict[int, int] = {}
    older = 0
    for partition, (generation, end) in sorted(tail.ends.items()):
        mine = [letter for letter in letters if letter.partition == partition]
        now = [letter for letter in mine if parse_id(letter.id).generation == generation and letter.offset < end]
        older += sum(parse_id(letter.id).generation != generation for letter in mine)
        if now:
            rows = await work.revised(partition, generation, end, now, say)
            if len(rows.offset):
                _write(files, feed, rows, generation, partition, revision)
                written[generation] = written.get(generation, 0) + len(rows.offset)
    for generation, rows_of_generation in written.items():
        made = {"late": len(letters), "rows": rows_of_generation, "definition": feed.hash, "of_revision": base}
        files.write(files.mark_path(feed.name, revision, generation), msgspec.json.encode(made))
    return LateReport(revision if written else None, len(letters), sum(written.values()), older, work.gone)


class _LateWork:
    """Partitions with late readings, one after the other."""

    def __init__(self, feed: Feed, kafka: KafkaSettings, url: str, tail: LogTail, base: int) -> None:
        self._feed, self._kafka, self._url, self._tail, self._base = feed, kafka, url, tail, base
        self._decoder = Decoder(feed)
        self.gone = 0

    async def revised(self, partition: int, generation: int, end: int, letters: list[DeadLetter], say: Say) -> HistoryRows:
        """The rows of the next revision of one partition, in the order of offsets."""
        found = current_generation(await read_switches(self._feed, self._kafka), events_topic(self._feed), partition)
        columns = await self._readings(partition, found.switch.from_offset if found else 0, end, letters, say)
        late = np.isin(columns.offset, [letter.offset for letter in letters])
        first: dict[int, int] = {}  # hash of the entity -> its earliest late reading, µs
        for name, time in zip(columns.entity_hash[late].tolist(), columns.event_time[late].tolist(), strict=True):
            first[name] = min(first.get(name, time), time)
        order = np.lexsort((columns.offset, columns.event_time))
        since = np.array([first.get(name, np.iinfo(np.int64).max) for name in columns.entity_hash[order].tolist()], np.int64)
        rows = self._folded(columns, order, columns.event_time[order] >= since, late, partition, generation)
        names = {base64.b64decode(letter.key or "").decode(errors="replace") for letter in letters}
        return self._changed(rows, names, generation, partition)

    async def _readings(self, partition: int, born: int, end: int, letters: list[DeadLetter], say: Say) -> Columns:
        """Good readings of the entities with late ones, from archive and log, and from the letters where neither has them."""
        topic = events_topic(self._feed)
        keys = [base64.b64decode(letter.key or "") for letter in letters]
        sample = self._decoder.decode(raw_batch(range(len(letters)), [-1] * len(letters), list(keys), _originals(letters)))
        wanted = np.unique(sample.entity_hash[sample.reason == 0])
        archive = await open_archive(self._feed, self._kafka, HistoryFiles(self._url))
        consumer = batch_consumer(self._kafka)
        await consumer.start()
        parts: list[Columns] = []
        try:
            log = WholeLog(archive.log("events", partition), consumer, topic, partition)
            start = max(await log.first(), born)
            async for fetched in log.batches(start, end):
                columns = self._decoder.decode(fetched.batch)
                chosen = np.flatnonzero((columns.reason == 0) & np.isin(columns.entity_hash, wanted))
                if len(chosen):
                    parts.append(take_rows(columns, chosen, 0)._replace(offset=columns.offset[chosen]))
                say(f"{topic}/{partition}", fetched.next_offset - start, end - start)
        finally:
            await stopped(consumer)
        lost = [i for i, letter in enumerate(letters) if letter.offset < start]
        held = [i for i in lost if sample.reason[i] == 0 and not letters[i].truncated]
        self.gone += len(lost) - len(held)
        if held:
            rows = np.array(held, np.int64)
            parts.append(take_rows(sample, rows, 0)._replace(offset=np.array([letters[i].offset for i in held], np.int64)))
        return join_columns([take_rows(sample, np.zeros(0, np.int64), 0), *parts])

    def _folded(self, columns: Columns, order: I64, wanted: Bools, late: Bools, partition: int, generation: int) -> HistoryRows:
        """Folds in the given order and keeps the wanted rows, each with its own offset."""
        fold = StreamFold(self._feed, partition, generation)
        parts = [empty_rows(self._feed)]
        for begin in range(0, len(order), CUT):
            part = order[begin : begin + CUT]
            out = fold.fold_rows(take_rows(columns, part, begin))
            fold.writer.hand_out_evidence()
            kept = (out.outcome == Outcome.FOLDED) & wanted[begin : begin + CUT]
            parts.append(_rows(columns, part[kept], late[part[kept]], out, kept))
        whole = join_rows(parts)
        return choose_rows(whole, np.argsort(whole.offset, kind="stable"))

    def _changed(self, rows: HistoryRows, names: set[str], generation: int, partition: int) -> HistoryRows:
        """Those that are new, or whose vector is another than in the revision before."""
        before = read_history(self._url, self._feed, entities=names, revision=self._base, tail=self._tail)
        before = before[(before["generation"] == generation) & (before["partition"] == partition)]
        offsets = before["offset"].to_numpy()
        place = np.minimum(np.searchsorted(offsets, rows.offset), max(len(offsets) - 1, 0))
        if not len(offsets):
            return rows
        known = offsets[place] == rows.offset
        old = before[list(feature_names(self._feed))].to_numpy(np.float64)[place]
        same = ((old == rows.vector) | (np.isnan(old) & np.isnan(rows.vector))).all(axis=1) | ~before["logged"].to_numpy()[place]
        return choose_rows(rows, np.flatnonzero(~(known & same)))


def _originals(letters: list[DeadLetter]) -> list[bytes | None]:
    return [None if letter.original is None else base64.b64decode(letter.original) for letter in letters]


def _rows(columns: Columns, rows: I64, late: Bools, out: RowOutputs, kept: Bools) -> HistoryRows:
    """The kept rows of a fold's outputs; `rows` (m,) says where in the columns they stand."""
    n = len(rows)
    taken = take_rows(columns, rows, 0)
    text, ends = taken.entity.tobytes(), [0, *taken.entity_end.tolist()]
    partial = (out.flags[kept] >> 8) > 0
    flags = [
        ",".join(name for name, on in (("late", a), ("partial", b)) if on) for a, b in zip(late.tolist(), partial.tolist(), strict=True)
    ]
    nothing = np.full(n, np.nan)
    return HistoryRows(
        [text[ends[i] : ends[i + 1]].decode() for i in range(n)],
        taken.event_time,
        out.as_of[kept],
        columns.offset[rows],
        nothing,
        nothing,
        [NO_MODEL] * n,
        flags,
        np.ones(n, bool),
        out.vector[kept],
    )


def _write(files: HistoryFiles, feed: Feed, rows: HistoryRows, generation: int, partition: int, revision: int) -> None:
    """Files of the cuts that the rows, in the order of offsets, touch."""
    for cut in sorted({cut_of(offset) for offset in rows.offset.tolist()}):
        part = choose_rows(rows, np.flatnonzero((rows.offset >= cut) & (rows.offset < cut + CUT)))
        path = files.scores_path(feed.name, revision, generation, partition, cut)
        files.write(path, parquet_bytes(history_table(feed, part, generation, partition, revision)))
