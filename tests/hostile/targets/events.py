"""Events: the compiled decoder and its plain twin, record batches as they come off the wire, and the stream fold behind them."""

from __future__ import annotations

import random
import struct
from typing import ClassVar

from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from contracts.columns import RawBatch
from contracts.definition import Feed
from stream_processors.decoding import record_batches
from stream_processors.decoding.batches import Fetched, raw_batch
from stream_processors.decoding.decoder import Decoder
from stream_processors.decoding.record_batches import RecordBatch
from stream_processors.runner.fetch_seam import RawRecords
from tests.hostile.target import Target
from tests.stream_processors.decoding.samples import FEED, FULL, PLAIN, assert_same
from tests.stream_processors.fetches import CODECS, START_MS, Row, make_batch, with_checksum

_FULL_EVENTS = [
    b'{"line": "L1", "at": 1767225600000, "reading": "r-9", "recipe": true, "speed": -1.25e-3, "shift": "fr\xc3\xbch", "load": 17}',
    b'{"line":"L1","at":"2026-01-01T00:00:00.5Z","reading":7,"recipe":"a","speed":NaN,"shift":null,"load":-Infinity,"x":[1,{"y":null}]}',
]
_PLAIN_EVENTS = [
    PLAIN,
    PLAIN[:-1] + b', "x": {"a": ["\\u00e9", -1.5E+3, false]}}',
    b'{"ts":1767225600.25,"pump":"p1","mode":3,"vibration":null}',
]
_TIMES = (-1, 0, 1_767_225_600_000_000, 2**62)


class Events(Target):
    """One event a time, both ways: the same columns, and never an exception."""

    refuses = ()

    def __init__(self, feed: Feed, key: bytes, events: list[bytes]) -> None:
        self._decoder, self._key, self._events = Decoder(feed), key, events

    def corpus(self) -> list[bytes]:
        return self._events

    def take(self, data: bytes, draw: random.Random) -> None:
        key = self._key if draw.random() < 0.9 else draw.choice((None, b"", data[:200]))
        batch = raw_batch([5], [draw.choice(_TIMES)], [key], [data if draw.random() < 0.99 else None])
        columns = self._decoder.decode(batch)
        assert_same(columns, self._decoder.decode_strictly(batch))
        assert len(columns.entity) <= 128 or columns.reason[0], "a name above its bound was taken"


class PumpEvents(Events):
    name = "events"

    def __init__(self) -> None:
        super().__init__(FEED, b"p1", _PLAIN_EVENTS)


class LineEvents(Events):
    name = "events-with-id"

    def __init__(self) -> None:
        super().__init__(FULL, b"L1", _FULL_EVENTS)


class EventBatches(Target):
    """Many events in a batch: neighbours of a hostile record keep their columns."""

    name = "event-batches"
    share = 0.3
    refuses = ()
    _ROWS = 8

    def corpus(self) -> list[bytes]:
        return _PLAIN_EVENTS

    def begin(self, draw: random.Random) -> None:
        self._decoder, self._held = Decoder(FEED), list[bytes]()

    def take(self, data: bytes, draw: random.Random) -> None:
        self._held = [*self._held, data][-self._ROWS :]
        records = [PLAIN, *self._held, PLAIN]
        batch = raw_batch(list(range(len(records))), [-1] * len(records), [b"p1"] * len(records), records)  # type: ignore[arg-type]
        columns = self._decoder.decode(batch)
        assert_same(columns, self._decoder.decode_strictly(batch))
        assert columns.reason[0] == columns.reason[-1] == 0, "a good neighbour was refused"


class RecordBatches(Target):
    """A fetch as bytes: compiled reader and aiokafka's own agree on what they accept, and offsets add up."""

    name = "record-batches"
    refuses = (CorruptRecordException, UnsupportedCodecError)
    tokens: ClassVar[list[bytes]] = [
        b"\x00" * 8,
        b"\xff" * 8,
        b"\x80" * 10,
        b"\x7f",
        b"\x01",
        b"\x02",
        struct.pack(">i", 2**31 - 1),
        struct.pack(">q", -1),
    ]
    _HEADER = 61

    def corpus(self) -> list[bytes]:
        rows = [Row(5 + i, START_MS * 1000 + i, b"p%d" % i if i else None, PLAIN if i != 2 else None) for i in range(4)]
        batches = [make_batch(5, rows, 10, codec=codec).data for codec in CODECS]
        return [*batches, make_batch(5, rows, 10, append_ms=START_MS).data, make_batch(5, [], 10).data, batches[0] + batches[1]]

    def take(self, data: bytes, draw: random.Random) -> None:
        kept: list[RecordBatch] = []
        for piece in RawRecords(data).slices:
            if len(piece) <= 16 or piece[16] != 2:
                continue  # of an old format, which goes another way
            whole = piece if draw.random() < 0.1 or len(piece) < self._HEADER else memoryview(with_checksum(bytes(piece)))
            batch = self._header(whole)
            if batch.is_whole():
                kept.append(batch)
        fetched = record_batches.opened(draw.choice((0, 5, 7)), kept)
        adds_up(fetched)
        for batch in kept:
            self._both_ways(batch)

    def _header(self, data: memoryview) -> RecordBatch:
        try:
            return RecordBatch(data)
        except struct.error as error:
            raise CorruptRecordException(str(error)) from error  # as the fetch seam does

    def _both_ways(self, batch: RecordBatch) -> None:
        """What the compiled reader takes, the plain one gives, too."""
        found = record_batches._walked([(batch, batch.base_offset)])
        if found is None:
            return
        plain, gaps = record_batches._record_by_record([(batch, batch.base_offset)])
        assert found[1] == gaps, f"{found[1]} gaps where the plain reader sees {gaps}"
        for name, ours, theirs in zip(RawBatch._fields, found[0], plain, strict=True):
            assert ours.tobytes() == theirs.tobytes(), f"{name} differs from the plain reader's"


def adds_up(fetched: Fetched) -> None:
    """next_offset − start = records + control records + gaps, and offsets rise."""
    passed = fetched.next_offset - fetched.start
    assert passed == fetched.batch.n + len(fetched.control) + fetched.gaps, "offsets do not add up"
    offsets = fetched.batch.offset.tolist()
    assert offsets == sorted(set(offsets)), "offsets do not rise"


EVENT_TARGETS = [PumpEvents, LineEvents, EventBatches, RecordBatches]
