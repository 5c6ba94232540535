"""The learner as a fold over the one partition of `<feed>.examples`."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from contracts.columns import RawBatch
from contracts.definition import Feed
from contracts.errors import StateError
from contracts.record_reader import RecordReader
from contracts.records import Arrival, Decision, Example
from contracts.unreadable import UNREADABLE
from online_model.learner import Learner
from stream_processors.log_fold import LogFold, Outputs, OutRecord

_RECORDS = RecordReader[Example | Arrival | Decision](Example | Arrival | Decision)


class LearnerFold(LogFold):
    """Decodes examples, arrivals and decisions, lets the learner fold them, and encodes what it decides."""

    version = Learner.version

    def __init__(self, feed: Feed, generation: int) -> None:
        self.learner = Learner(feed, generation)
        self._folded = 0
        self._unreadable = 0
        self._told: dict[str, int] = {}  # part -> CRC of what was last handed out

    def fold(self, batch: RawBatch) -> Outputs:
        """Records that are none of the three are counted as dead-lettered: the log keeps them, and they change nothing."""
        records: dict[str, list[OutRecord]] = {}
        data, ends = batch.values.tobytes(), [0, *batch.value_end.tolist()]
        for row, offset in enumerate(batch.offset.tolist()):
            record = _RECORDS.read(data[ends[row] : ends[row + 1]])
            if record is None:
                self._unreadable += 1
                continue
            self._folded += 1
            for kind, output in self.learner.take(offset, record):
                n = int(output.id.rpartition("/")[2])
                records.setdefault(kind, []).append(OutRecord(offset, n, 0, None, msgspec.json.encode(output)))
        return Outputs(records)

    def changed_chunks(self) -> dict[str, bytes]:
        """The parts whose bytes have changed."""
        changed = {name: data for name, data in self.all_chunks().items() if zlib.crc32(data) != self._told.get(name)}
        self._told |= {name: zlib.crc32(data) for name, data in changed.items()}
        return changed

    def all_chunks(self) -> dict[str, bytes]:
        """Every part, and the counters."""
        return self.learner.to_parts() | {"counts": msgspec.msgpack.encode((self._folded, self._unreadable))}

    def forget_handed_out(self) -> None:
        """The next `changed_chunks` hands out everything."""
        self._told = {}

    def restore(self, chunks: Mapping[str, bytes]) -> None:
        """Puts back the state of a checkpoint."""
        self.learner.restore(dict(chunks))
        try:
            self._folded, self._unreadable = msgspec.msgpack.decode(chunks["counts"], type=tuple[int, int])
        except (KeyError, *UNREADABLE) as error:
            raise StateError(f"the learner's checkpoint cannot be read: {error}") from error
        self._told = {}

    def counters(self) -> dict[str, int]:
        """Records folded, and those that could not be read."""
        return {"folded": self._folded, "duplicate": 0, "late": 0, "dead_lettered": self._unreadable}

    def clock(self) -> tuple[int, float]:
        """The greatest event time of an example; they come in no order, so there is no step."""
        return self.learner.clock, 0.0
