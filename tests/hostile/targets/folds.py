"""Folds over hostile logs: each record ends in exactly one way, and the state stays within its bounds and can be put back."""

from __future__ import annotations

import json
import random
from abc import abstractmethod

from contracts.errors import StateError
from online_model.judge_state import COUNTERS
from stream_processors.decoding.batches import raw_batch
from stream_processors.judge_fold import JudgeFold
from stream_processors.learner_fold import LearnerFold
from stream_processors.log_fold import LogFold
from stream_processors.stream_fold.fold import StreamFold
from tests.hostile import samples
from tests.hostile.target import Target
from tests.stream_processors.joiner.joining import FEED, START, Bench
from tests.stream_processors.joiner.label_streams import stream
from tests.stream_processors.stream_fold.streams import hostile

MAX_CHUNK = 1_000_000  # bytes: what one call of the store takes
MAX_STATE = 12_000_000  # bytes of a fold's state after a round


class FoldTarget(Target):
    """One record a time; at the end of a round the counters balance and a restored fold has the same chunks."""

    refuses = ()

    @abstractmethod
    def new_fold(self) -> LogFold:
        """With an empty state."""

    def begin(self, draw: random.Random) -> None:
        self.fold = self.new_fold()
        self.read = 0

    def take(self, data: bytes, draw: random.Random) -> None:
        time = draw.choice((-1, START + self.read * 1_000_000, START + self.read * 1_000_000, 2**62))
        self.fold.fold(raw_batch([self.read], [time], [self.key(data, draw)], [data if draw.random() < 0.995 else None]))
        self.read += 1

    def key(self, data: bytes, draw: random.Random) -> bytes | None:
        """The record's key."""
        return None

    def end(self) -> None:
        counts = self.fold.counters()
        ended = {name: counts[name] for name in ("folded", "duplicate", "late", "dead_lettered")}
        assert sum(ended.values()) == self.read, f"{ended} do not add up to {self.read} records read"
        assert all(count >= 0 for count in counts.values()), f"a counter is negative: {counts}"
        chunks = self.fold.all_chunks()
        assert sum(map(len, chunks.values())) <= MAX_STATE, f"{sum(map(len, chunks.values()))} bytes of state"
        again = self.new_fold()
        again.restore(chunks)
        assert again.all_chunks() == chunks, "a restored fold has another state"


class StreamFoldTarget(FoldTarget):
    """Events through validation, deduplication, windows, detectors and scores."""

    name = "stream-fold"
    share = 0.7

    def __init__(self) -> None:
        log, _ = hostile(samples.SMALL, 3, samples.RECORDS)
        self._log = [(value, key) for value, key in zip(log.values, log.keys, strict=True) if value]

    def corpus(self) -> list[bytes]:
        return [value for value, _ in self._log]

    def new_fold(self) -> LogFold:
        return StreamFold(samples.SMALL, 0, 1)

    def key(self, data: bytes, draw: random.Random) -> bytes | None:
        if draw.random() < 0.05:
            return draw.choice((None, b"", data[:300]))
        try:
            return str(json.loads(data)["pump"]).encode()
        except (ValueError, KeyError, TypeError, RecursionError):
            return draw.choice(self._log)[1]


class JudgeTarget(FoldTarget):
    """Evidence: incidents open, change and end on whatever is said."""

    name = "judge"

    def corpus(self) -> list[bytes]:
        return samples.evidence()

    def new_fold(self) -> LogFold:
        return JudgeFold(samples.PUMPS, 1)

    def end(self) -> None:
        super().end()
        state = self.fold._state  # type: ignore[attr-defined]
        assert state.counters["read"] == self.fold.counters()["folded"]
        assert set(state.counters) == set(COUNTERS)
        assert len(state.partitions) <= 10_000


class LearnerTarget(FoldTarget):
    """Examples, arrivals and decisions: models learn, are compared, promoted and rolled back."""

    name = "learner"

    def corpus(self) -> list[bytes]:
        return samples.examples()

    def new_fold(self) -> LogFold:
        return LearnerFold(samples.SMALL, 1)


class JoinerTarget(Target):
    """Labels beside scores: each label ends in one outcome or waits, also over restarts."""

    name = "joiner"
    share = 0.6
    refuses = ()

    def corpus(self) -> list[bytes]:
        return samples.labels(FEED)

    def begin(self, draw: random.Random) -> None:
        self._bench = Bench()
        self._scores = list(stream(1)[0])

    def take(self, data: bytes, draw: random.Random) -> None:
        self._bench.tell(data)
        if draw.random() < 0.3 and self._scores:
            self._bench.hear(self._scores.pop(0))
        if draw.random() < 0.02:
            self._bench.restart()

    def end(self) -> None:
        assert self._bench.balanced(), f"{self._bench.counts()} do not add up to {self._bench.offset}"
        self._bench.restart()
        assert self._bench.balanced()


class RecalledTarget(Target):
    """What a successor reads back from the topics: a stranger's examples, letters and remarks are passed over."""

    name = "recalled"
    refuses = ()
    share = 0.5

    def corpus(self) -> list[bytes]:
        bench = Bench()
        scores, labels = stream(1)
        bench.hear(*scores)
        bench.tell(*labels, b"no label", {"entity": "point-0", "event_time": START, "tags": ["odd"]})
        return [json.dumps(record).encode() for record in (*bench.examples[:4], *bench.letters[:4], *bench.remarks[:4])]

    def begin(self, draw: random.Random) -> None:
        self._bench = Bench()

    def take(self, data: bytes, draw: random.Random) -> None:
        self._bench.fold.recall([data], [data], [data], draw.choice((0, 5, 1_000)))


class RestoredTarget(Target):
    """State chunks that another wrote: a fold takes them back whole, or says StateError."""

    name = "restored"
    share = 0.02
    refuses = (StateError,)

    def __init__(self) -> None:
        self._folds: list[tuple[type[FoldTarget], dict[str, bytes]]] = []

    def corpus(self) -> list[bytes]:
        draw = random.Random(5)
        for kind in (JudgeTarget, LearnerTarget, StreamFoldTarget):
            target = kind()
            target.begin(draw)
            for data in target.corpus()[:100]:
                target.take(data, draw)
            self._folds.append((kind, target.fold.all_chunks()))
        self._makers = [kind() for kind, _ in self._folds]
        return sorted({data for _, chunks in self._folds for data in chunks.values() if 0 < len(data) < 200_000})

    def take(self, data: bytes, draw: random.Random) -> None:
        which = draw.randrange(len(self._folds))
        chunks = dict(self._folds[which][1])
        name = draw.choice(sorted(chunks))
        if draw.random() < 0.05:
            del chunks[name]
        else:
            chunks[name] = data
        fold = self._makers[which].new_fold()
        fold.restore(chunks)
        fold.counters()


FOLD_TARGETS = [StreamFoldTarget, JudgeTarget, LearnerTarget, JoinerTarget, RecalledTarget, RestoredTarget]
