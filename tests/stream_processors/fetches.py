"""Random logs of one partition as a broker keeps them, their true content, and fetches of them as bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import NamedTuple

import crc32c
from aiokafka import codec
from aiokafka.record.default_records import DefaultRecordBatchBuilder

START_MS = 1_790_000_000_000
COMMIT, ABORT = b"\0\0\0\1", b"\0\0\0\0"  # keys of control records: version, kind
CODECS = [0, 1, *(kind for kind, there in ((2, codec.has_snappy()), (3, codec.has_lz4()), (4, codec.has_zstd())) if there)]
_LAST_DELTA, _FIRST_TIME, _CHECKED = 23, 27, 21  # bytes of a batch


class Row(NamedTuple):
    """A record as it is to be read; time in µs."""

    offset: int
    time: int
    key: bytes | None
    value: bytes | None


class Kept(NamedTuple):
    """A batch of the log: offsets base ≤ offset < next_offset, of which `rows` are left."""

    base: int
    next_offset: int
    data: bytes
    rows: list[Row]
    producer: int = -1
    control: bytes = b""  # COMMIT or ABORT


class KeptLog(NamedTuple):
    """A whole log; `aborted` are (producer, first offset, offset of the marker)."""

    batches: list[Kept]
    aborted: list[tuple[int, int, int]]

    @property
    def end(self) -> int:
        """The offset after the last one."""
        return self.batches[-1].next_offset

    def fetch(self, offset: int) -> tuple[bytes, list[tuple[int, int]]]:
        """What a broker answers: batches from the one with this offset on, cut off somewhere, and transactions aborted there."""
        data = b"".join(batch.data for batch in self.batches if batch.next_offset > offset)
        return data + self.batches[-1].data[:40], [(producer, first) for producer, first, last in self.aborted if last >= offset]

    def rows(self, first: int, end: int) -> list[Row]:
        """What a reader of committed records is to get of first ≤ offset < end."""
        return [row for b in self.batches if not (b.control or self._is_aborted(b)) for row in b.rows if first <= row.offset < end]

    def control(self, first: int, end: int) -> list[int]:
        """Offsets of control records there."""
        return [row.offset for batch in self.batches if batch.control for row in batch.rows if first <= row.offset < end]

    def _is_aborted(self, batch: Kept) -> bool:
        return any(producer == batch.producer and first <= batch.base < last for producer, first, last in self.aborted)


def make_batch(
    base: int, rows: list[Row], next_offset: int, *, codec: int = 0, append_ms: int = 0, producer: int = -1, control: bytes = b""
) -> Kept:
    """A batch with these rows left of it; with `append_ms` that is the time of all."""
    codec = codec if rows else 0  # Kafka's cleaner leaves a header of no compression
    builder = DefaultRecordBatchBuilder(2, codec, producer >= 0, producer, 0, 0, 1 << 24)
    for row in rows:
        builder.append(row.offset - base, row.time // 1000, row.key, row.value, [("trace", b"1")] if row.offset % 3 == 0 else [])
    data = bytearray(builder.build())
    attributes = struct.unpack_from(">h", data, _CHECKED)[0] | (0x08 if append_ms else 0) | (0x20 if control else 0)
    struct.pack_into(">h", data, _CHECKED, attributes)
    struct.pack_into(">i", data, _LAST_DELTA, next_offset - 1 - base)
    if append_ms:
        struct.pack_into(">q", data, _FIRST_TIME + 8, append_ms)
        rows = [row._replace(time=append_ms * 1000) for row in rows]
    struct.pack_into(">q", data, 0, base)
    return Kept(base, next_offset, with_checksum(data), rows, producer, control)


def with_checksum(data: bytes | bytearray) -> bytes:
    """The batch with the checksum that its bytes have."""
    return bytes(data[:17]) + struct.pack(">I", crc32c.crc32c(bytes(data[_CHECKED:]))) + bytes(data[_CHECKED:])


Cells = tuple[int, bytes | None, bytes | None]  # time in µs, key, value


def random_log(seed: int, batches: int = 25, cells: Iterator[Cells] | None = None, *, cleaned: bool = True) -> KeptLog:
    """Plain batches and transactions of three producers, compressed or not, partly compacted, with offsets left out between.

    `cells` are what the records hold, random where there are none; with `cleaned`, some markers of commits have been emptied.
    """
    draw = random.Random(seed)
    cells = cells or _random_cells(draw)
    offset = draw.choice([0, 5, 1 << 40])
    found: list[Kept] = []
    opened: dict[int, int] = {}
    aborted: list[tuple[int, int, int]] = []
    while len(found) < batches or opened:
        offset += draw.choice([0, 0, 0, 1, 300])
        if opened and (len(found) >= batches or draw.random() < 0.3):
            producer = draw.choice(list(opened))
            kind = draw.choice([COMMIT, ABORT])
            rows = [Row(offset, START_MS * 1000, kind, b"\0\0\0\0\0\0")]
            # a commit that nothing needs any more is cleaned away, its batch kept for the producer's sequence
            rows = rows if kind == ABORT or not cleaned or draw.random() < 0.8 else []
            found.append(make_batch(offset, rows, offset + 1, producer=producer, control=kind))
            if kind == ABORT:
                aborted.append((producer, opened[producer], offset))
            del opened[producer]
        else:
            producer = draw.choice([-1, -1, 7, 8, 9])
            if producer >= 0:
                opened.setdefault(producer, offset)
            found.append(_random_batch(draw, offset, producer, cells))
        offset = found[-1].next_offset
    return KeptLog(found, aborted)


def _random_batch(draw: random.Random, base: int, producer: int, cells: Iterator[Cells]) -> Kept:
    size = draw.choice([1, 1, 2, 30, 200])
    kept = draw.choice([1.0, 1.0, 0.5, 0.0])
    offsets = [base + i for i in range(size) if draw.random() < kept]
    rows = [Row(offset, *next(cells)) for offset in offsets]
    append_ms = draw.choice([0, 0, START_MS + 77])
    return make_batch(base, rows, base + size, codec=draw.choice(CODECS), append_ms=append_ms, producer=producer)


def _random_cells(draw: random.Random) -> Iterator[Cells]:
    while True:
        yield _time(draw), _bytes(draw, 20), _bytes(draw, draw.choice([3, 200, 20_000]))


def _time(draw: random.Random) -> int:
    return (START_MS + draw.randint(-(10 ** draw.randint(0, 11)), 10**6)) * 1000


def _bytes(draw: random.Random, longest: int) -> bytes | None:
    return None if draw.random() < 0.1 else draw.randbytes(draw.choice([0, 1, longest // 2, longest]))
