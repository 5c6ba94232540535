"""What hostile input has found, each as the case that it was."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from contracts.definition import MAX_PARTITIONS, Feed, Number
from contracts.errors import HistoryError, InputError, StateError
from contracts.event_time import format_event_time
from contracts.ids import MAX_ID_CHARACTERS, is_id, parse_id
from contracts.record_reader import MAX_RECORD_BYTES, RecordReader, is_deeper
from contracts.records import TOPIC_RECORDS, Switch
from feature_store.checkpoint import Manifest, Part, decode_manifest, encode_manifest
from feature_store.feature_table import FeatureTable, Worth
from feature_store.full_copies import MAGIC, decode_copy
from feature_store.history_files import HistoryFiles
from feature_store.readers import _Reading
from feature_store.redis_layout import DIRECTORY_ENTRY, UNKNOWN, entry_of, generation_of
from producers.files import Source, choose_columns, read_rows
from stream_processors.archive.positions import Place, note_path, start_position
from stream_processors.archive.raw_rows import decode_rows, encode_rows
from stream_processors.archive.score_decoding import decode_scores
from stream_processors.dead_letters import read_letter
from stream_processors.decoding.batches import plain_fetched, raw_batch
from stream_processors.decoding.record_batches import RecordBatch, opened
from stream_processors.decoding.unpacking import MAX_UNPACKED_BYTES, cramjam, unpack
from stream_processors.joiner.labels import read_label
from stream_processors.judge_fold import JudgeFold
from stream_processors.learner_fold import LearnerFold
from stream_processors.log_fold import LogFold
from streamgauge.backtest.table_files import read_frame
from tests.hostile import samples
from tests.stream_processors.fetches import START_MS, Row, make_batch
from tests.stream_processors.joiner.joining import FEED as JOINED
from tests.stream_processors.joiner.joining import START, Bench, score

DEEP = b'{"x":' + b"[" * 900 + b"]" * 900 + b"," + b'"kind":"taken","log":"a","partition":0}'
DEEPER = b'{"x":' + b'{"a":' * 100_000


def folded(fold: LogFold, *values: bytes) -> LogFold:
    """The fold after these records."""
    fold.fold(raw_batch(range(len(values)), [-1] * len(values), [None] * len(values), list(values)))
    return fold


@pytest.mark.parametrize("kind", sorted(TOPIC_RECORDS))
def test_nesting_without_end_is_no_record(kind: str) -> None:
    """It ended the stack of msgspec, and with it whoever read the topic; near the limit it depended on who called."""
    reader = RecordReader(TOPIC_RECORDS[kind])
    assert reader.read(DEEPER) is None
    assert reader.read(DEEP) is None


def test_nesting_is_counted_outside_of_strings_alone() -> None:
    """A vector in base64, or a sentence with brackets, is no nesting."""
    assert not is_deeper(b'{"a":"' + b"[{" * 500 + b'\\""}', 32)
    assert not is_deeper(b'{"a":[' + b"[]," * 500 + b"{}]}", 32)
    assert is_deeper(b"[" * 33, 32)
    assert RecordReader(Switch).read(b'{"kind":"taken","log":"a","partition":0,"owner":"%s"}' % (b"[" * 40)) is not None


def test_a_record_above_its_bound_is_none() -> None:
    """Megabytes are not taken apart."""
    value = b'{"kind":"taken","log":"a","partition":0}'
    assert RecordReader(Switch).read(value + b" " * (MAX_RECORD_BYTES - len(value))) is not None
    assert RecordReader(Switch).read(value + b" " * MAX_RECORD_BYTES) is None


@pytest.mark.parametrize(
    "changed", [{"event_time": 10**30}, {"event_time": 2**62}, {"since": -(2**63)}, {"entity": "x" * 100_000}, {"readings": 2**64}]
)
def test_evidence_with_what_no_state_can_hold_is_dead_lettered(changed: dict[str, object]) -> None:
    """A number beyond 64 bits ended each checkpoint of the judge, a year 148,108 its sentences, for ever: the log keeps both."""
    good = json.loads(samples.evidence()[-2])
    fold = folded(JudgeFold(samples.PUMPS, 1), json.dumps(good | changed).encode())
    assert fold.counters()["dead_lettered"] == 1
    assert fold.all_chunks()


def test_evidence_of_made_up_partitions_does_not_grow_the_judge() -> None:
    """Each partition that a record named was remembered."""
    good = json.loads(samples.evidence()[0])
    values = [
        json.dumps(good | {"id": f"pumps/1/{n}/5/evidence/0", "partition": n}).encode() for n in range(MAX_PARTITIONS, MAX_PARTITIONS + 50)
    ]
    fold = folded(JudgeFold(samples.PUMPS, 1), *values)
    assert isinstance(fold, JudgeFold)
    assert fold._state.partitions == {}
    assert fold._state.counters["unreadable"] == 50


def test_examples_of_made_up_partitions_do_not_grow_the_learner() -> None:
    """Each partition that a score's id named was remembered, whatever stood there."""
    good = json.loads(samples.examples(2)[1])
    values = [json.dumps(good | {"score": f"small/1/{name}/5/score/0"}).encode() for name in ("x" * 400, "-1", "99999999", "007", "3")]
    fold = folded(LearnerFold(samples.SMALL, 1), *values)
    assert isinstance(fold, LearnerFold)
    assert list(fold.learner._words.sources) == ["3"]


def test_a_learner_without_its_counts_is_a_state_error() -> None:
    """It was a KeyError, or msgspec's own."""
    chunks = LearnerFold(samples.SMALL, 1).all_chunks()
    for counts in ({}, {"counts": b"\xc1"}, {"counts": b"\x91" * 100_000}):
        with pytest.raises(StateError):
            LearnerFold(samples.SMALL, 1).restore({name: data for name, data in chunks.items() if name != "counts"} | counts)


@pytest.mark.parametrize(
    "text", ["a/1/0/9999999999999999999999/score/0", f"a/1/0/{'9' * 5_000}/score/0", f"a/1/{'x' * MAX_ID_CHARACTERS}/0/b/0"]
)
def test_ids_have_bounds(text: str) -> None:
    """A longer one, or a greater number, was kept as state and could not be written."""
    assert not is_id(text)
    assert parse_id("a/1/0/5/score/0").offset == 5


def test_labels_of_any_depth_are_read_or_not() -> None:
    """One from a stranger ended the joiner, and each of its successors."""
    assert read_label(JOINED, b'{"x":' + b"[" * 50_000) is None
    bench = Bench()
    bench.tell(b'{"x":' + b"[" * 50_000, b'{"entity":"a","event_time":5,"value":1,"note":"\xff"}')
    assert bench.counts()["unmatched"] == 2
    assert bench.balanced()


@pytest.mark.parametrize(
    "changed",
    [
        {"value": []},
        {"score": "x"},
        {"id": "joined/1/labels-0/x"},
        {"reason": "made_up"},
        {"reason": ""},
        {"id": "joined/1/labels-0/7/a/b"},
    ],
)
def test_strangers_records_are_passed_over_by_a_successor(changed: dict[str, object]) -> None:
    """Examples, letters and remarks that begin like ones of the joiner ended the taking of its place."""
    bench = Bench()
    bench.hear(score("a", START, 0))
    bench.tell({"entity": "a", "event_time": START, "value": 1}, b"no label", {"entity": "a", "event_time": START, "tags": ["odd"]})
    values = [json.dumps(record | changed).encode() for record in (*bench.examples, *bench.letters, *bench.remarks)]
    assert len(values) == 3
    for value in [*values, b'{"id":"joined/1/labels-0/5\xff', b"[" * 5_000]:
        bench.fold.recall([value], [value], [value], 0)


def test_a_dead_letter_whose_bytes_cannot_be_read_is_none() -> None:
    """Its key or original is no base64: a redrive ended on it."""
    good = json.loads(samples.values("dead-letters", 1)[0])
    assert read_letter(json.dumps(good).encode()) is not None
    for name in ("key", "original"):
        assert read_letter(json.dumps(good | {name: "n%t b4se64"}).encode()) is None


def test_scores_are_taken_alike_alone_and_together() -> None:
    """Nesting that a single decode refuses passed where the batch was decoded at once."""
    good = samples.values("scores", 1)[0]
    deep = good[:-1] + b',"x":' + b"[" * 100 + b"]" * 100 + b"}"
    assert [found.position for found in decode_scores(samples.SMALL, [good, deep, good], [None] * 3, [0, 1, 2])] == [0, 2]
    assert decode_scores(samples.SMALL, [deep], [None], [0]) == []


def test_a_batch_that_unpacks_without_end_is_refused() -> None:
    """A megabyte of it would have taken a gigabyte of the worker."""
    batch = make_batch(0, [Row(0, START_MS * 1000, None, bytes(1_000))], 1, codec=1)
    bomb = gzip.compress(bytes(MAX_UNPACKED_BYTES + 1), 1)
    with pytest.raises(CorruptRecordException, match="unpacks to more than"):
        opened(0, [RecordBatch(memoryview(batch.data[:61] + bomb))])
    members = gzip.compress(b"a" * 40, 1) + gzip.compress(b"b" * 40, 1)
    assert unpack(1, memoryview(members)) == b"a" * 40 + b"b" * 40
    with pytest.raises(EOFError):
        unpack(1, memoryview(members[:-9]))


@pytest.mark.skipif(cramjam is None, reason="the optional library for snappy, lz4 and zstd is not installed")
def test_other_codecs_keep_to_the_bound() -> None:
    """15 KB of zstd stood for half a gigabyte."""
    for kind, library in ((3, cramjam.lz4), (4, cramjam.zstd)):
        assert bytes(unpack(kind, memoryview(bytes(library.compress(b"abc" * 900))))) == b"abc" * 900
        with pytest.raises(CorruptRecordException, match="unpacks to more than"):
            unpack(kind, memoryview(bytes(library.compress(bytes(MAX_UNPACKED_BYTES + 1)))))
    raw = bytes(cramjam.snappy.compress_raw(b"abc" * 900))
    blocks = b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + 2 * (struct.pack(">i", len(raw)) + raw)
    assert unpack(2, memoryview(raw)) == b"abc" * 900
    assert unpack(2, memoryview(blocks)) == b"abc" * 1_800
    with pytest.raises(CorruptRecordException, match="unpacks to more than"):
        unpack(2, memoryview(bytes(cramjam.snappy.compress_raw(bytes(MAX_UNPACKED_BYTES + 1)))))


def test_a_header_whose_name_is_no_text_is_kafkas_own_error() -> None:
    """The plain reader raised Python's, which ended the worker."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    builder.append(0, START_MS, b"k", b"v", [("name", b"x")])
    data = bytes(builder.build()).replace(b"name", b"\xff\xfe\xfd\xfc")
    batch = RecordBatch(memoryview(data))
    from stream_processors.decoding.record_batches import _record_by_record

    with pytest.raises(KafkaError, match="cannot be read"):
        _record_by_record([(batch, 0)])
    assert opened(0, [batch]).batch.n == 1  # the compiled reader reads no names


@pytest.mark.parametrize("stored", [b"", b"-1", b"1e3", b"9" * 30, b" 1", b"1_0", b"\xff", "١".encode()])
def test_a_damaged_generation_makes_values_missing(stored: bytes) -> None:
    """It was a ValueError in each reader; and no vector may be believed that may be of a lower one."""
    assert generation_of(stored) == UNKNOWN
    table = _answered({b"generation": stored})
    assert set(table.worth.ravel().tolist()) == {Worth.MISSING}


@pytest.mark.parametrize("stored", [b"", b"x", bytes(15), bytes(17)])
def test_a_damaged_directory_entry_is_an_entity_never_seen(stored: bytes) -> None:
    """It was a struct.error in each reader."""
    assert entry_of(stored) is None
    assert set(_answered({b"entry": stored}).worth.ravel().tolist()) == {Worth.NEVER_SEEN}


def _answered(damaged: dict[bytes, bytes]) -> FeatureTable:
    """What a read comes to where the store holds something else in one place."""
    place = damaged.get(b"entry", DIRECTORY_ENTRY.pack(0, 1, 5))
    rounds = _Reading(samples.SMALL, one_node=True).rounds(["pump-01"], None, None, 1_767_225_700_000_000)
    replies = None
    while True:
        try:
            commands = rounds.send(replies)  # type: ignore[arg-type]
        except StopIteration as done:
            return done.value
        replies = [
            [place] if command[0] == "HMGET" else [damaged.get(b"generation", b"1"), samples.vectors()[0]][: len(command) - 1]
            for command in commands
        ]


def test_a_manifest_that_is_no_text_is_a_state_error() -> None:
    """Also with a checksum that fits: a UnicodeDecodeError came through."""
    from crc32c import crc32c

    for text in (b'{"format":1,"\xff":1}', b'{"format":' + b"[" * 50_000, b'{"format":1}', b"[]", b"1"):
        with pytest.raises(StateError):
            decode_manifest(b"%08x %s" % (crc32c(text), text))


def test_files_whose_names_or_times_are_damaged_are_input_errors(tmp_path: Path) -> None:
    """A column's name that is no UTF-8, and a typed time that no calendar has, came through as Python's errors."""
    path = tmp_path / "data.parquet"
    table = pa.table({"ts": pa.array([2**62], pa.timestamp("us")), "temperature": [1.0]})
    pq.write_table(table, path)
    source, feed = Source(path, "data"), Feed("pumps", entity="pump", time="ts", fields=[Number("temperature")])
    columns = choose_columns(source, source.open().header, feed)
    with pytest.raises(InputError, match="after 2255"):
        list(read_rows(source, 0, columns, None))
    path.write_bytes(path.read_bytes().replace(b"temperature", b"\xff\xfeperature"))
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        source.open()


def test_a_time_that_no_calendar_has_is_shown_as_a_number() -> None:
    """A damaged value must not end the command that shows it."""
    assert format_event_time(2**62) == f"{2**62} us"
    assert format_event_time(0) == "1970-01-01T00:00:00Z"


def test_an_archived_log_whose_offsets_do_not_rise_is_a_history_error() -> None:
    """Checksums of pages do not tell; gaps were counted below zero."""
    good = plain_fetched(raw_batch([3, 4, 6], [-1] * 3, [None] * 3, [b"v"] * 3))
    assert decode_rows(encode_rows([good], 7), 3, "x").gaps == 1
    for offsets, end in (([3, 3, 6], 7), ([4, 3, 6], 7), ([3, 4, 6], 5), ([2, 4, 6], 7)):
        damaged = good._replace(batch=good.batch._replace(offset=np.array(offsets, np.int64)))
        with pytest.raises(HistoryError, match="offsets that do not rise"):
            decode_rows(encode_rows([damaged], end), 3, "x")


def test_notes_in_the_history_that_cannot_be_read(tmp_path: Path) -> None:
    """That of a position is not believed; the mark of a backfill is named."""
    files = HistoryFiles(str(tmp_path))
    files.write(note_path(files, "pumps", 0), b"\xff")
    assert start_position(files, "pumps", 0, None, Place(0, 0), 0, 5) == (0, True)
    files.write(files.mark_path("pumps", 1, 1), b"{" * 50_000)
    with pytest.raises(HistoryError, match=r"complete\.json cannot be read"):
        files.complete("pumps")


def test_what_records_hold_is_bounded_in_their_schemas() -> None:
    """No text or whole number of a record is without a bound, but for bytes in base64, which the record's own bound covers."""
    free = {"key", "original", "vector", "state"}

    def walk(info: object, where: str, found: Callable[[str], None], seen: set[type]) -> None:
        kind = type(info).__name__
        if kind == "StructType" and info.cls not in seen:  # type: ignore[attr-defined]
            seen.add(info.cls)  # type: ignore[attr-defined]
            for field in info.fields:  # type: ignore[attr-defined]
                if field.name not in free:
                    walk(field.type, f"{info.cls.__name__}.{field.name}", found, seen)  # type: ignore[attr-defined]
        elif (kind == "StrType" and info.max_length is None) or (kind == "IntType" and info.le is None):  # type: ignore[attr-defined]
            found(where)
        for name in ("item_type", "key_type", "value_type", "type"):
            if hasattr(info, name):
                walk(getattr(info, name), where, found, seen)
        for each in (*getattr(info, "types", ()), *getattr(info, "item_types", ())):
            walk(each, where, found, seen)

    unbounded: list[str] = []
    for record in TOPIC_RECORDS.values():
        walk(msgspec.inspect.type_info(record), "", unbounded.append, set())
    assert not unbounded


@pytest.mark.parametrize("length", [-4_294_967_295, 1 << 40])
def test_a_full_copy_whose_chunk_has_an_impossible_length_is_a_state_error(length: int) -> None:
    """The codec raised Python's own SystemError for it, or asked for a terabyte."""
    manifest = Manifest(generation=1, offset=5, definition="d", fold_version=1, epoch=3, chunks={"rows": [Part("rows", length, 0)]})
    with pytest.raises(StateError, match="cannot have"):
        decode_copy(copy_of(encode_manifest(manifest), b""))


def copy_of(*pieces: bytes) -> bytes:
    """A file of a full copy, made of its pieces."""
    return MAGIC + b"".join(struct.pack("<Q", len(piece)) + piece for piece in pieces)


def test_texts_of_a_column_that_are_no_utf_8_are_an_input_error(tmp_path: Path) -> None:
    """Parquet marks a column as text and looks at no byte of it; a backtest met Arrow's own error long afterwards."""
    path = tmp_path / "damaged.parquet"
    pq.write_table(pa.table({"ts": ["2026-01-01"] * 3, "pump": ["a"] * 3, "x": [1.0] * 3}), path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"2026-01-01", b"2026-01-\xb01"))
    feed = Feed("f", entity="pump", time="ts", fields=[Number("x")], windows=["1m"])
    source = Source(path, "damaged")
    with pytest.raises(InputError, match=r"damaged\.parquet"):
        read_frame(feed, source, choose_columns(source, ["ts", "pump", "x"], feed))
