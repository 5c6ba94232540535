"""The judge as a fold over the one partition of `<feed>.evidence`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.columns import RawBatch
from contracts.definition import Feed
from contracts.errors import StateError
from contracts.record_reader import RecordReader
from contracts.records import Alert, Evidence
from contracts.unreadable import UNREADABLE
from online_model.judge import Judge
from stream_processors.log_fold import LogFold, Outputs, OutRecord

CHUNK = "judge"
_EVIDENCE = RecordReader[Evidence](Evidence)


class JudgeFold(LogFold):
    """Decodes evidence, lets the judge fold it, and encodes what it decides."""

    version = Judge.version

    def __init__(self, feed: Feed, generation: int) -> None:
        self._judge = Judge(feed, generation)
        self._state = self._judge.new_state()
        self._folded = 0
        self._unreadable = 0
        self._clock = -1

    def fold(self, batch: RawBatch) -> Outputs:
        """Records that are no evidence are counted as dead-lettered: the log keeps them, and they change nothing."""
        taken: list[tuple[int, Evidence]] = []
        data, ends = batch.values.tobytes(), [0, *batch.value_end.tolist()]
        for row, offset in enumerate(batch.offset.tolist()):
            evidence = _EVIDENCE.read(data[ends[row] : ends[row + 1]])
            if evidence is None:
                self._unreadable += 1
            else:
                taken.append((offset, evidence))
        self._folded += len(taken)
        self._clock = max([self._clock, *(evidence.event_time for _, evidence in taken)])
        records: dict[str, list[OutRecord]] = {}
        for offset, record in self._judge.fold(self._state, taken):
            kind = "alerts" if isinstance(record, Alert) else "retrain"
            n = int(record.id.rpartition("/")[2])
            records.setdefault(kind, []).append(OutRecord(offset, n, 0, record.incident.encode(), msgspec.json.encode(record)))
        return Outputs(records)

    def clock(self) -> tuple[int, float]:
        """Greatest event time of the evidence; the step is of no use here."""
        return self._clock, 0.0

    def changed_chunks(self) -> dict[str, bytes]:
        """The whole state, which is small."""
        return self.all_chunks()

    def all_chunks(self) -> dict[str, bytes]:
        """The counters and the judge's state, as one chunk."""
        own = msgspec.msgpack.encode([self._folded, self._unreadable, self._clock])
        return {CHUNK: len(own).to_bytes(4, "little") + own + self._judge.to_bytes(self._state)}

    def restore(self, chunks: Mapping[str, bytes]) -> None:
        """Puts back what `all_chunks` handed out."""
        try:
            data = chunks[CHUNK]
            size = int.from_bytes(data[:4], "little")
            self._folded, self._unreadable, self._clock = msgspec.msgpack.decode(data[4 : 4 + size], type=tuple[int, int, int])
        except (KeyError, *UNREADABLE) as error:
            raise StateError(f"the judge's checkpoint cannot be read: {error}") from error
        self._state = self._judge.from_bytes(data[4 + size :])

    def counters(self) -> dict[str, int]:
        """Evidence folded; repeats are dropped by the judge and counted by it."""
        return {"folded": self._folded, "duplicate": 0, "late": 0, "dead_lettered": self._unreadable}
