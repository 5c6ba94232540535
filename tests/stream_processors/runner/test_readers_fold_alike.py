"""Whole record batches and the plain way, folded: the bytes of outputs and state do not tell by which the worker read."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.memory_records import MemoryRecords

from stream_processors.decoding.batches import Fetched, plain_batch, plain_fetched
from stream_processors.runner import fetch_seam
from stream_processors.runner.fetch_seam import RawRecords, records_of_fetch
from stream_processors.runner.progress import Progress
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.fetches import KeptLog, random_log
from tests.stream_processors.stream_fold.streams import Folded, hostile, served, small_feed

FEED = small_feed()
STREAM, _ = hostile(FEED, 5, 4_000)
PLACE = TopicPartition("log", 0)


def fetch(log: KeptLog) -> tuple[bytes, tuple[object, ...]]:
    """What the broker answers at the log's beginning, and what a reader is told besides."""
    first = log.batches[0].base
    data, aborted = log.fetch(first)
    return data, (aborted, first, None, None, True, READ_COMMITTED)


def by_batches(log: KeptLog, draw: random.Random) -> Iterator[Fetched]:
    """Read as record batches, in portions, and with some of them cut."""
    data, rest = fetch(log)
    for portion in records_of_fetch(PLACE, RawRecords(data), *rest):
        fetched = portion.fetched
        if fetched.next_offset - fetched.start > 1 and draw.random() < 0.5:
            yield from fetched.cut(draw.randint(fetched.start + 1, fetched.next_offset - 1))
        else:
            yield fetched


def record_by_record(log: KeptLog, draw: random.Random) -> Iterator[Fetched]:
    """Read the plain way, in portions."""
    data, rest = fetch(log)
    records = list(PartitionRecords(PLACE, MemoryRecords(data), *rest))
    while records:
        size = draw.randint(1, 300)
        yield plain_fetched(plain_batch(records[:size]))
        records = records[size:]


def folded(source: Iterable[Fetched], start: int) -> tuple[Folded, Progress]:
    """All that a fold of it gave, and what was counted beside it."""
    fold, progress = StreamFold(FEED, 0, 1), Progress(start, start)
    found = Folded({}, {}, [], {}, {})
    for fetched in source:
        progress.advance(fetched)
        if fetched.batch.n:
            outputs = fold.fold(fetched.batch)
            for kind, items in outputs.records.items():
                found.records.setdefault(kind, []).extend(items)
            found.vectors.update(served(outputs))
            found.created.extend(outputs.created)
    return found._replace(chunks=fold.all_chunks(), counters=fold.counters()), progress


@pytest.mark.parametrize("seed", range(8))
def test_outputs_and_state_are_the_same_bytes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile stream in a log with transactions, aborted ones, markers, compacted and gzip batches, however it is read and cut."""
    draw = random.Random(seed)
    monkeypatch.setattr(fetch_seam, "MAX_RECORDS", draw.choice([1, 150, 20_000]))
    cells = itertools.cycle(zip(STREAM.times, STREAM.keys, STREAM.values, strict=True))
    log = random_log(seed, 80, cells, cleaned=False)  # aiokafka takes an emptied marker for an error
    start = log.batches[0].base
    (whole, counted), (plain, simply) = folded(by_batches(log, draw), start), folded(record_by_record(log, draw), start)
    assert whole.counters["folded"] > 300
    assert {"scores", "dead-letters"} <= whole.records.keys()
    assert whole == plain
    assert counted.read == simply.read == len(log.rows(start, log.end))
    assert counted.control == len(log.control(start, log.end)) > 0
    assert counted.gaps > 0
    assert counted.next_offset == log.end
    behind = log.end - simply.next_offset  # the plain way ends with the last record
    assert counted.control + counted.gaps == simply.gaps + behind
    assert counted.balanced(whole.counters)
    assert simply.balanced(plain.counters)
