"""The seam over aiokafka's fetcher, on fetches as bytes: it reads what aiokafka reads, and tells what the other offsets are."""

from __future__ import annotations

import random
import struct
import sys
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from contracts.columns import RawBatch
from stream_processors.decoding import record_batches
from stream_processors.decoding.batches import Fetched, plain_batch
from stream_processors.decoding.record_batch_kernel import walk_records
from stream_processors.runner import batch_consumer, fetch_seam
from stream_processors.runner.fetch_seam import BatchRecords, OldRecords, RawRecords, records_of_fetch
from tests.stream_processors.fetches import START_MS, Kept, KeptLog, Row, make_batch, random_log, with_checksum

PLACE = TopicPartition("log", 0)


def plain(data: bytes, aborted: list[tuple[int, int]], offset: int) -> RawBatch:
    """What aiokafka reads."""
    return plain_batch(list(PartitionRecords(PLACE, MemoryRecords(data), aborted, offset, None, None, True, READ_COMMITTED)))


def whole(data: bytes, aborted: list[tuple[int, int]], offset: int) -> Any:
    """The way through the same fetch by record batches."""
    return records_of_fetch(PLACE, RawRecords(data), aborted, offset, None, None, True, READ_COMMITTED)


def rows_of(batch: RawBatch) -> list[Row]:
    """Row by row."""
    out, key_at, value_at = [], 0, 0
    for i in range(batch.n):
        key, value = batch.keys[key_at : batch.key_end[i]].tobytes(), batch.values[value_at : batch.value_end[i]].tobytes()
        key_at, value_at = int(batch.key_end[i]), int(batch.value_end[i])
        out.append(
            Row(
                int(batch.offset[i]),
                int(batch.kafka_time[i]),
                None if batch.key_null[i] else key,
                None if batch.value_null[i] else value,
            )
        )
    return out


def same(a: RawBatch, b: RawBatch) -> bool:
    """Column by column."""
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("seed", range(60))
def test_it_reads_what_aiokafka_reads_and_counts_what_the_rest_is(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any log, from any offset, in any portions: the same columns, and records, control records and gaps as the log was made."""
    log, draw = random_log(seed), random.Random(-seed)
    largest = max(len(batch.rows) for batch in log.batches)
    for _ in range(4):
        limit = draw.choice([1, 40, 20_000])
        monkeypatch.setattr(fetch_seam, "MAX_RECORDS", limit)
        first = draw.randint(log.batches[0].base, log.end - 1)
        data, aborted = log.fetch(first)
        way = whole(data, aborted, first)
        at, parts = first, list[Fetched]()
        for portion in way:
            found = portion.fetched
            assert found.start == at
            assert (found.batch.n, way.next_fetch_offset) == (len(log.rows(at, found.next_offset)), found.next_offset)
            assert found.batch.n < limit + largest
            assert found.control.tolist() == log.control(at, found.next_offset)
            assert found.batch.n + len(found.control) + found.gaps == found.next_offset - at
            at = found.next_offset
            parts.append(found)
        assert at == log.end
        assert portion.last
        assert [row for part in parts for row in rows_of(part.batch)] == log.rows(first, log.end)
        if all(batch.rows for batch in log.batches if batch.control):  # aiokafka takes an emptied marker for an error
            assert rows_of(plain(data, aborted, first)) == log.rows(first, log.end)


@pytest.mark.parametrize("seed", range(20))
def test_it_can_be_cut_at_any_offset(seed: int) -> None:
    """A verification ends, and a full copy stands, in the middle of a batch: both sides are counted as what they hold."""
    log, draw = random_log(seed), random.Random(seed)
    data, aborted = log.fetch(log.batches[0].base)
    [portion] = whole(data, aborted, log.batches[0].base)
    found = portion.fetched
    for _ in range(10):
        offset = draw.randint(found.start + 1, found.next_offset - 1)
        before, rest = found.cut(offset)
        assert (before.start, before.next_offset, rest.start, rest.next_offset) == (found.start, offset, offset, log.end)
        for part in (before, rest):
            assert rows_of(part.batch) == log.rows(part.start, part.next_offset)
            assert part.control.tolist() == log.control(part.start, part.next_offset)
            assert part.batch.n + len(part.control) + part.gaps == part.next_offset - part.start


def test_a_whole_batch_has_the_columns_that_the_plain_way_has() -> None:
    """Bytes and types of all columns, empty and null keys and values, no stamp, and one too late for µs, among them."""
    times = [START_MS * 1000, -1000, 0, 2**62 * 1000, 1000]
    cells: list[tuple[bytes | None, bytes | None]] = [(b"a", b"x"), (None, b""), (b"", None), (b"k" * 300, b"v" * 70_000), (None, None)]
    rows = [Row(i, time, *cell) for i, (time, cell) in enumerate(zip(times, cells, strict=True))]
    data = make_batch(0, rows, 5).data
    [portion] = whole(data, [], 0)
    found = portion.fetched.batch
    assert same(found, plain(data, [], 0))
    assert found.kafka_time.tolist() == [START_MS * 1000, -1, 0, 2**62 // 1000 * 1000, 1000]


def test_the_compiled_reader_is_the_one_that_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No log of these tests is read record by record: the way around is for damaged batches alone."""

    def refuse(_: Any) -> None:
        raise AssertionError("read record by record")

    monkeypatch.setattr(record_batches, "_record_by_record", refuse)
    for seed in range(20):
        log = random_log(seed)
        data, aborted = log.fetch(log.batches[0].base)
        assert sum(portion.fetched.batch.n for portion in whole(data, aborted, log.batches[0].base)) == len(log.rows(0, log.end))


def test_damage_is_told_as_aiokafka_tells_it() -> None:
    """A byte changed under the old checksum stops both readers with the same error, before any record of the batch."""
    data = bytearray(make_batch(0, [Row(0, 1000, b"k", b"value")], 1).data)
    data[-4] ^= 1
    for read in (lambda: plain(bytes(data), [], 0), lambda: list(whole(bytes(data), [], 0))):
        with pytest.raises(CorruptRecordException, match="Invalid CRC"):
            read()


@pytest.mark.parametrize("length", [-1, 0, 4, 40])
def test_a_batch_that_is_too_short_is_damage(length: int) -> None:
    """A length that leaves no room for a header is an error, and no fetch that is repeated for ever."""
    data = bytearray(make_batch(0, [Row(0, 1000, b"k", b"value")], 1).data)
    struct.pack_into(">i", data, 8, length)
    with pytest.raises(CorruptRecordException):
        list(whole(bytes(data), [], 0))


@pytest.mark.parametrize("seed", range(40))
def test_damage_under_a_right_checksum_is_read_as_aiokafka_reads_it(seed: int) -> None:
    """Records of a batch changed at random: the compiled reader stays within its buffers, and refuses or gives aiokafka's columns."""
    draw = random.Random(seed)
    rows = [Row(i, (START_MS + i) * 1000, b"key" if i % 2 else None, draw.randbytes(5)) for i in range(4)]
    sound = make_batch(0, rows, 4).data
    for _ in range(200):
        data = bytearray(sound)
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(57, len(data))] = draw.choice([0, 1, 2, 127, 128, 255, draw.randrange(256)])
        kept = Kept(0, 4, with_checksum(data), rows)
        _check_within_bounds(kept)
        try:
            expected = plain(kept.data, [], 0)
        except (KafkaError, UnicodeDecodeError):  # the latter from a header, which the compiled reader does not look at
            continue
        [portion] = whole(kept.data, [], 0)
        inside = (expected.offset >= 0) & (expected.offset < 4) & (np.diff(expected.offset, prepend=-1) > 0)
        if inside.all():
            assert same(portion.fetched.batch, expected)


def _check_within_bounds(kept: Kept) -> None:
    """Runs the kernel's source over arrays that Python guards, and compares."""
    batch = record_batches.RecordBatch(memoryview(kept.data))
    part = batch.records()
    if not 0 <= batch.count <= len(part) // record_batches.LEAST_BYTES:
        return
    buffer = np.frombuffer(part, np.uint8)
    heads = np.array([[len(part), batch.count, batch.base_offset, batch.last_delta, *batch.times(), 0]], np.int64)
    outs = [record_batches._room(batch.count, len(part)) for _ in range(2)]
    with np.errstate(over="ignore"):
        results = [walk(buffer, heads, out) for walk, out in zip((walk_records, walk_records.py_func), outs, strict=True)]
    assert results[0] == results[1]


def test_old_formats_go_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message set of magic 1 is read by aiokafka, in portions, every record once, and a fetch of today's format is not."""
    monkeypatch.setattr(fetch_seam, "MAX_RECORDS", 2)
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 16)
    for offset in range(6):
        builder.append(offset, START_MS, b"old", b"%d" % offset)
    way = whole(bytes(builder.build()), [], 1)
    assert isinstance(way, OldRecords)
    found = [portion.fetched for portion in way]
    assert [row.value for part in found for row in rows_of(part.batch)] == [b"1", b"2", b"3", b"4", b"5"]
    assert [part.batch.n for part in found] == [2, 2, 1]
    assert way.next_fetch_offset == 6
    assert isinstance(whole(make_batch(0, [], 3).data, [], 0), BatchRecords)


def test_a_batch_that_compaction_has_emptied_is_passed() -> None:
    """Its offsets are gaps, and the next fetch begins behind it."""
    log = KeptLog([make_batch(4, [], 9)], [])
    way = whole(*log.fetch(4), 4)
    [portion] = way
    assert portion.fetched[:2] == (4, 9)
    assert (portion.fetched.batch.n, portion.fetched.gaps, way.next_fetch_offset) == (0, 5, 9)


def test_an_aiokafka_made_otherwise_is_read_plainly(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where its fetcher no longer names the classes that are exchanged, the plain consumer takes over, and the log says so once."""

    async def renamed(self: Any, assignment: Any, node_id: Any, request: Any) -> bool:
        return False

    monkeypatch.setattr(Fetcher, "_proc_fetch_request", renamed)
    monkeypatch.delitem(sys.modules, fetch_seam.__name__)
    monkeypatch.delattr("stream_processors.runner.fetch_seam")
    batch_consumer.batch_consumer_class.cache_clear()
    try:
        assert batch_consumer.batch_consumer_class() is batch_consumer.PlainConsumer
        assert batch_consumer.batch_consumer_class() is batch_consumer.PlainConsumer
    finally:
        batch_consumer.batch_consumer_class.cache_clear()
    assert [r.getMessage() for r in caplog.records if "not made as expected" in r.getMessage()] == [caplog.records[0].getMessage()]
    assert "does not use MemoryRecords" in caplog.text


def test_an_aiokafka_that_counts_otherwise_is_read_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check at start reads a batch both ways, and another result is an error."""
    monkeypatch.setattr(fetch_seam, "plain_batch", lambda records: plain_batch(records[1:]))
    with pytest.raises(ValueError, match="otherwise"):
        fetch_seam.check()


def test_nothing_of_aiokafka_is_changed() -> None:
    """Other consumers of the process have the classes that aiokafka ships."""
    assert fetcher.MemoryRecords is MemoryRecords
    assert AIOKafkaConsumer.start.__globals__["Fetcher"] is Fetcher
    assert Fetcher._proc_fetch_request.__globals__["PartitionRecords"] is PartitionRecords
