"""What the trainer does with one feed's requests, step by step; each step may be the last before a kill, and is found again after it.

    request ─► Answer started (fixes the examples) ─► train ─► Snapshot ─► Arrival ─► MLflow ─► Answer trained

The state is what stands on `<feed>.retrain`, `<feed>.models` and `<feed>.examples`. Ids come from the request's offset, training is a
function of the examples that the first `started` names, so a step that is done again gives the same record, and one that
stands already is not done again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from contracts.errors import HistoryError, ServerUnavailable, StreamgaugeError
from contracts.ids import RecordId
from contracts.record_reader import RecordReader
from contracts.records import Answer, Arrival, Decision, Example, LeftOut, RetrainRequest, Snapshot
from stream_processors.models_log import Models
from stream_processors.trainer.left_out import read_confirmed_spans
from stream_processors.trainer.logs import FeedLogs
from stream_processors.trainer.policy import MAX_EXAMPLES, MOST_STARTS, TRIED, Finished, asked_by_learner, final_answer, refusal
from stream_processors.trainer.tracking import Tracking
from training.search import LEAST_ROWS, change_can_be_learnt, train
from training.snapshot import make_snapshot
from training.training_set import EXAMPLES, TooLittle, training_set

log = logging.getLogger("streamgauge.trainer")
_EXAMPLES = RecordReader[Example | Arrival | Decision](Example | Arrival | Decision)
_REQUESTS = RecordReader[RetrainRequest](RetrainRequest)
Job = Callable[[], None]


class Trainer:
    """Answers the requests of one feed. `answer` is called in the order of the log; jobs are run one at a time, in their order."""

    def __init__(self, logs: FeedLogs, tracking: Tracking, with_incidents: bool = False) -> None:
        self.logs, self.feed, self.tracking = logs, logs.feed, tracking
        self.with_incidents = with_incidents
        self.models = Models()
        self._next = 0  # offset of the models
        self._requests: dict[str, RetrainRequest] = {}  # in the order of the log
        self._looked: dict[str, int] = {}  # request that waits for labels -> end of the examples when they were last looked at

    def refresh(self) -> None:
        """Reads the models on to their end."""
        first, end = self.logs.bounds("models")
        for record in self.logs.read("models", max(self._next, first), end):
            self.models.take(record.value)
        self._next = end

    def waits(self, value: bytes, busy: bool) -> bool:
        """Whether a request that dates a change of concept is better answered later; others never wait.

        It knows since when what was learnt is wrong. A training that runs may not know; and as long as too few labels tell of the
        time after the change, a model could only be one of the time before it.
        """
        request = _REQUESTS.read(value)
        if request is None or EXAMPLES not in request.from_offset:
            return False
        self.refresh()
        return busy or not (self.models.answers.get(request.id) or self._can_be_learnt(request))

    def _can_be_learnt(self, request: RetrainRequest) -> bool:
        first, end = self.logs.bounds("examples")
        changed = max(first, request.from_offset[EXAMPLES])
        if end - changed >= MAX_EXAMPLES:
            return True
        looked = self._looked.get(request.id)
        if end < (changed if looked is None else looked) + LEAST_ROWS:
            return False  # these few can have changed nothing
        if looked is None:
            log.info("%s: %s waits for labels of what came after the change", self.feed.name, request.id)
        self._looked[request.id] = end
        found = training_set(self.feed, self._examples((max(first, 2 * changed - end), end)), request.from_offset)
        return change_can_be_learnt(found, self.feed.label_delay_us)

    def answer(self, offset: int, value: bytes, busy: bool = False) -> Job | None:
        """Takes the request at an offset of `<feed>.retrain`; a job to run where it is to be trained. `busy`: another job is running."""
        request = _REQUESTS.read(value)
        if request is None:
            log.warning("%s: no retrain request at offset %d", self.feed.name, offset)
            return None
        if request.id in self._requests:
            return None
        self.refresh()
        finished = [] if asked_by_learner(request.id) else self._finished()
        self._requests[request.id] = request
        answers = self.models.answers.get(request.id, [])
        if final_answer(answers):
            return None
        started = [answer for answer in answers if answer.outcome == "started"]
        if not started:
            if busy:
                self._put(offset, request, "in_progress", reason="another request is being trained")
                return None
            first, end = self.logs.bounds("examples")
            first = max(first, end - MAX_EXAMPLES)
            refused = refusal(request.event_time, finished, self.feed.label_delay_us, end - first)
            if refused:
                self._put(offset, request, refused[0], reason=refused[1])
                return None
            left_out = [] if self.with_incidents else read_confirmed_spans(self.feed, self.logs.kafka, request)
            self._put(offset, request, "started", examples=(first, end), left_out=left_out)
        elif len(started) >= MOST_STARTS:
            self._put(offset, request, "failed", reason=f"begun {len(started)} times and never ended; see the trainer's log")
            return None
        else:
            first_start = started[0]
            self._put(offset, request, "started", examples=first_start.examples, reason="begun again", left_out=first_start.left_out)
        return lambda: self._run(offset, request)

    def _finished(self) -> list[Finished]:
        out = []
        for name, request in self._requests.items():
            answer = final_answer(self.models.answers.get(name, []))
            if answer and answer.outcome in TRIED:
                out.append(Finished(request.event_time, answer.outcome))
        return out

    def _run(self, offset: int, request: RetrainRequest) -> None:
        self.refresh()
        if final_answer(self.models.answers[request.id]):
            return
        # of two trainers that began at once the first on the log decides for both
        started = next(a for a in self.models.answers[request.id] if a.outcome == "started" and a.examples)
        assert started.examples is not None
        try:
            self._train(offset, request, started.examples, started.left_out)
        except TooLittle as error:
            self._put(offset, request, "too_little", reason=str(error))
        except (ServerUnavailable, HistoryError):
            raise  # it is not the request's fault: done again when Kafka or the history is back
        except StreamgaugeError as error:
            self._put(offset, request, "failed", reason=str(error))
        except Exception as error:
            log.exception("%s: training for %s failed", self.feed.name, request.id)
            self._put(offset, request, "failed", reason=f"{type(error).__name__}: {error}")

    def _train(self, offset: int, request: RetrainRequest, chosen: tuple[int, int], left_out: list[LeftOut]) -> None:
        version = f"v{offset + 1}"
        log.info("%s: training %s on examples %d to %d without %d confirmed incidents", self.feed.name, version, *chosen, len(left_out))
        trained = train(self.feed, training_set(self.feed, self._examples(chosen), request.from_offset, left_out))
        self.refresh()
        snapshot = self.models.snapshots.get(version)
        if snapshot is None:
            pin = msgspec.structs.replace(request.pin, examples=chosen, left_out=left_out)
            snapshot = make_snapshot(self.feed, trained, version, self._id(offset, "snapshot"), request.id, pin)
            self._append("models", snapshot)
        if not self._has_arrived(version, chosen[0]):
            arrival = Arrival(id=self._id(offset, "arrival"), version=version, request=request.id, snapshot=snapshot)
            self._append("examples", arrival)
        try:
            self.tracking.record(snapshot, trained, request, chosen)
        except Exception as error:  # the version stands on its topic, which is the truth
            log.exception("%s: %s is not in MLflow (%s)", self.feed.name, version, error)
        self._put(offset, request, "trained", version=version, examples=chosen)
        log.info("%s: %s trained: %s", self.feed.name, version, ", ".join(f"{k} {v:g}" for k, v in trained.metrics.items()))

    def _examples(self, chosen: tuple[int, int]) -> list[tuple[int, Example]]:
        first, _ = self.logs.bounds("examples")
        if first > chosen[0]:
            raise StreamgaugeError(f"examples {chosen[0]} to {first} are no longer kept; the next request trains on those that are")
        out = []
        for record in self.logs.read("examples", *chosen):
            found = _EXAMPLES.read(record.value)
            if isinstance(found, Example):
                out.append((record.offset, found))
        return out

    def _has_arrived(self, version: str, first: int) -> bool:
        _, end = self.logs.bounds("examples")
        mark = f'"arrival","id":"{self.feed.name}/'.encode()
        for record in self.logs.read("examples", first, end):
            found = _EXAMPLES.read(record.value) if mark in record.value else None
            if isinstance(found, Arrival) and found.version == version:
                return True
        return False

    def _put(
        self,
        offset: int,
        request: RetrainRequest,
        outcome: str,
        version: str | None = None,
        examples: tuple[int, int] | None = None,
        reason: str = "",
        left_out: Sequence[LeftOut] = (),
    ) -> None:
        self.refresh()
        answers = self.models.answers.get(request.id, [])
        if final_answer(answers):
            return  # by another trainer, meanwhile
        answer = Answer(
            id=self._id(offset, "answer", len(answers)),
            request=request.id,
            outcome=outcome,  # type: ignore[arg-type]
            version=version,
            examples=examples,
            left_out=list(left_out),
            reason=reason,
        )
        self._append("models", answer)
        self.refresh()
        log.info("%s: %s is answered: %s%s", self.feed.name, request.id, outcome, f" ({reason})" if reason else "")

    def _append(self, kind: str, record: Answer | Snapshot | Arrival) -> None:
        self.logs.append(kind, msgspec.json.encode(record))

    def _id(self, offset: int, kind: str, n: int = 0) -> str:
        return str(RecordId(self.feed.name, 0, "retrain", offset, kind, n))
