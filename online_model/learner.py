"""The learner: a fold over `<feed>.examples` that learns, compares, promotes and rolls back. It alone writes rollouts.

The order of the examples is recorded truth, so what is in place at any time is a function of their log.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from contracts.definition import MAX_PARTITIONS, Feed
from contracts.errors import StateError
from contracts.ids import RecordId, parse_id
from contracts.records import Arrival, DatasetPin, Decision, Evidence, EvidenceSource, Example, RetrainRequest, Rollout, Sample, Snapshot
from contracts.unreadable import UNREADABLE
from feature_store.feature_plan import feature_names
from online_model import risk_test
from online_model.baselines import Baselines
from online_model.losses import loss_of
from online_model.online_predictor import OnlinePredictor, make_online_predictor
from online_model.placement import refusal
from online_model.rollout import Change, Losses, RolloutState
from online_model.skew_watch import SkewLevel, SkewWatch

F64 = NDArray[np.float64]
ONLINE = "v0"  # the version that learns from every example
FIRST_EXAMPLES = 1_000  # before a first model is asked for, or asks to be tried: fewer teach nothing that lasts
REVISION_OFFSETS = 1_000  # of examples between two revisions of the online version: each is a snapshot that every worker loads
MAX_DECISIONS = 64  # whose ids are known: one that was sent twice, its acknowledgement lost, stands close behind the first
PARTITION = -1  # of the learner's evidence: the feed as a whole

Output = Snapshot | Rollout | Evidence | RetrainRequest


class _Wire(msgspec.Struct):
    examples: int
    clock: int
    revision: int
    next_revision: int
    asked: bool
    sources: dict[str, tuple[int, int]]
    champion: str | None  # that risk and skew are of
    decisions: list[str]  # ids


class Learner:
    """The fold and its state.

    Args:
        feed: the definition, with a target.
        generation: of the examples' log; stands in the ids of what comes out.
    """

    version = 3  # of the fold: outputs of two versions may differ

    def __init__(self, feed: Feed, generation: int) -> None:
        self.feed, self.generation = feed, generation
        self.rollout = RolloutState()
        self.baselines = Baselines(feed.outputs, feed.label_delay_us, feed.max_entities * feed.partitions)
        self.risk = risk_test.new_risk_test()
        self.skew = SkewWatch(feed)
        self.model: OnlinePredictor | None = make_online_predictor(feed) if feed.learn == "online" else None
        self._dimension = len(feature_names(feed))
        self._words = _Wire(0, -1, 0, 0, False, {}, None, [])
        self._offset = 0
        self._numbers: dict[str, int] = {}

    @property
    def clock(self) -> int:
        """The greatest event time of an example, µs; −1 before the first."""
        return self._words.clock

    def take(self, offset: int, record: Example | Arrival | Decision) -> list[tuple[str, Output]]:
        """Folds one record of the log; returns (kind of output, record) in the order of ids."""
        self._offset, self._numbers = offset, {}
        if isinstance(record, Arrival):
            return self._arrive(record.snapshot)
        if isinstance(record, Decision):
            return self._take_decision(record)
        return self._take_example(record)

    def _arrive(self, snapshot: Snapshot) -> list[tuple[str, Output]]:
        """Lets a version be tried, unless it was made for vectors that nobody serves."""
        why = refusal(self.feed, snapshot)
        if why is not None:
            return [("models", self._rollout("rejected", snapshot.version, why))]
        self.skew.arrive(snapshot, (self.rollout.champion, self.rollout.challenger))
        return self._rolled(self.rollout.arrive(snapshot.version))

    def _take_decision(self, decision: Decision) -> list[tuple[str, Output]]:
        if decision.id in self._words.decisions:
            return []
        self._words.decisions = [*self._words.decisions, decision.id][-MAX_DECISIONS:]
        return self._rolled(self.rollout.decide(decision))

    def _take_example(self, example: Example) -> list[tuple[str, Output]]:
        value = np.array(example.value)
        if len(value) != self.feed.outputs or not np.isfinite(value).all():
            return []
        self._words.clock = max(self._words.clock, example.event_time)
        vector = self._vector(example)
        out: list[tuple[str, Output]] = []
        if example.previous is None:  # a correction is learnt, but its event has been compared already
            self._words.examples += 1
            self._remember_source(example)
            out += self._watch_skew(vector)
            out += self._compare(example)
        out += self._learn(vector, value)
        previous = None if example.previous is None else np.array(example.previous)
        self.baselines.learn(example.entity, example.event_time, value, previous)
        return out + self._ask()

    def _compare(self, example: Example) -> list[tuple[str, Output]]:
        by_version = {version.partition(".")[0]: prediction for version, prediction in example.predictions.items()}
        last, hour = self.baselines.predict(example.entity, example.event_time)
        champion = loss_of(example.value, by_version.get(self.rollout.champion or ""))
        challenger = loss_of(example.value, by_version.get(self.rollout.challenger or ""))
        out = self._watch_risk(champion, example)
        losses = Losses(champion, challenger, loss_of(example.value, last.tolist()), loss_of(example.value, hour.tolist()))
        return out + self._rolled(self.rollout.take(losses))

    def _watch_risk(self, loss: float, example: Example) -> list[tuple[str, Output]]:
        if loss != loss or not risk_test.update(self.risk, loss, example.event_time, self._offset):
            return []
        reference, now = risk_test.reference_risk(self.risk), risk_test.risk_since(self.risk)
        level = self._level("concept", risk_test.log10_e(self.risk))
        level.direction = 1
        level.since, level.since_offset = int(self.risk[risk_test.SINCE]), int(self.risk[risk_test.SINCE_OFFSET])
        level.reference = Sample(n=reference[0], mean=reference[1], std=0.0)
        level.current = Sample(n=now[0], mean=now[1], std=0.0) if now[0] else None
        return [("evidence", level)]

    def _watch_skew(self, vector: F64 | None) -> list[tuple[str, Output]]:
        """Compares what was served with what champion and challenger were trained on."""
        champion, challenger = self.rollout.champion, self.rollout.challenger
        told = self.skew.take(vector, self._words.clock, self._offset, champion, challenger)
        return [("evidence", self._skewed(told))] if told else []

    def _skewed(self, told: SkewLevel) -> Evidence:
        level = self._level("skew", told.log10_e)
        if told.contributions:
            level.since, level.since_offset, level.psi, level.contributions = told.since, told.since_offset, told.psi, told.contributions
        return level

    def _level(self, source: EvidenceSource, log10_e: float) -> Evidence:
        return Evidence(
            id=self._id("evidence"),
            kind="level",
            partition=PARTITION,
            event_time=self._words.clock,
            source=source,
            log10_e=log10_e,
            readings=self._words.examples,
        )

    def _vector(self, example: Example) -> F64 | None:
        """The vector as it was served; None where it has another length than the definition's, or none is wanted."""
        if self.model is None and not self.skew.watches(self.rollout.champion, self.rollout.challenger):
            return None
        try:
            vector = np.frombuffer(base64.b64decode(example.vector), "<f8")
        except ValueError:
            return None
        return vector if len(vector) == self._dimension else None

    def _learn(self, vector: F64 | None, value: F64) -> list[tuple[str, Output]]:
        """Lets the online version learn; a revision of it is due at fixed multiples of the offset."""
        if self.model is None or vector is None:
            return []
        self.model.learn(vector, value)
        if self._words.examples < FIRST_EXAMPLES or self._offset < self._words.next_revision:
            return []
        self._words.next_revision = (self._offset // REVISION_OFFSETS + 1) * REVISION_OFFSETS
        self._words.revision += 1
        family, state = self.model.snapshot()
        out: list[tuple[str, Output]] = [("models", self._snapshot(family, state))]
        changes = self.rollout.arrive(ONLINE)
        if changes:
            return out + self._rolled(changes)
        if ONLINE in (self.rollout.champion, self.rollout.challenger):
            out.append(("models", self._rollout("revision", self._named(ONLINE) or ONLINE, "learnt on")))
        return out

    def _snapshot(self, family: str, state: bytes) -> Snapshot:
        return Snapshot(
            id=self._id("snapshot"),
            version=self._named(ONLINE) or ONLINE,
            family=family,
            definition=self.feed.hash,
            features=list(feature_names(self.feed)),
            outputs=self.feed.outputs,
            state=base64.b64encode(state).decode(),
            crc32c=crc32c(state),
        )

    def _rolled(self, changes: list[Change]) -> list[tuple[str, Output]]:
        """Records of what becomes of versions; a new champion's risk is learnt anew, and what was told of the one before has ended."""
        out: list[tuple[str, Output]] = [
            ("models", self._rollout(c.stage, self._named(c.version) or c.version, c.why, c.by, c.when)) for c in changes
        ]
        if self._words.champion == self.rollout.champion:
            return out
        self._words.champion = self.rollout.champion
        if self.risk[risk_test.TOP] > 0.0:
            out.append(("evidence", self._level("concept", 0.0)))
        risk_test.reset(self.risk)
        return out + [("evidence", self._skewed(told)) for told in self.skew.put_in_place(self.rollout.champion)]

    def _rollout(self, stage: Any, version: str, why: str, by: str = "gate", when: int | None = None) -> Rollout:
        return Rollout(
            id=self._id("rollout"),
            stage=stage,
            version=version,
            champion=self._named(self.rollout.champion),
            challenger=self._named(self.rollout.challenger),
            share=self.rollout.share,
            by=by,
            when=when,
            why=why,
            event_time=self._words.clock,
            labels=self.rollout.pairs,
        )

    def _named(self, version: str | None) -> str | None:
        """The version with its revision."""
        return f"{ONLINE}.{self._words.revision}" if version == ONLINE else version

    def _ask(self) -> list[tuple[str, Output]]:
        """Asks for a first model where none learns online."""
        if self.model is not None or self._words.asked or self._words.examples < FIRST_EXAMPLES:
            return []
        self._words.asked = True
        if self.rollout.champion is not None or self.rollout.challenger is not None:
            return []
        pin = DatasetPin(
            feed=self.feed.name,
            definition=self.feed.hash,
            generations={name: generation for name, (generation, _) in sorted(self._words.sources.items())},
            offsets={name: (0, end) for name, (_, end) in sorted(self._words.sources.items())},
        )
        request = RetrainRequest(
            id=self._id("retrain"), incident="", reason="no champion yet", event_time=self._words.clock, from_offset={}, pin=pin
        )
        return [("retrain", request)]

    def _remember_source(self, example: Example) -> None:
        """Which events have been joined: (generation, end) of each partition."""
        try:
            score = parse_id(example.score)
            if not 0 <= int(score.partition) < MAX_PARTITIONS or score.partition != str(int(score.partition)):
                return
        except ValueError:
            return
        generation, end = self._words.sources.get(score.partition, (0, 0))
        if score.generation >= generation:
            end = end if score.generation == generation else 0
            self._words.sources[score.partition] = (score.generation, max(end, score.offset + 1))

    def _id(self, kind: str) -> str:
        topic = "models" if kind in ("snapshot", "rollout") else kind  # numbers count within a topic, where ids are told apart by them
        n = self._numbers.get(topic, 0)
        self._numbers[topic] = n + 1
        return str(RecordId(self.feed.name, self.generation, "examples", self._offset, kind, n))

    def to_parts(self) -> dict[str, bytes]:
        """The state, by name; equal states give equal bytes."""
        parts = {
            "words": msgspec.msgpack.encode(self._words, order="sorted"),
            "rollout": self.rollout.to_bytes(),
            "risk": risk_test.risk_test_to_bytes(self.risk),
            "skew": self.skew.to_bytes(),
        }
        return parts | {"baselines": self.baselines.to_bytes()} | ({} if self.model is None else {"model": self.model.to_bytes()})

    def restore(self, parts: dict[str, bytes]) -> None:
        """Puts back what `to_parts` gave.

        Raises:
            StateError: a part is missing or cannot be read.
        """
        try:
            self._words = msgspec.msgpack.decode(parts["words"], type=_Wire)
            self.rollout = RolloutState.from_bytes(parts["rollout"])
            self.risk = risk_test.risk_test_from_bytes(parts["risk"])
            self.skew = self.skew.from_bytes(parts["skew"])
            self.baselines = self.baselines.from_bytes(parts["baselines"])
            if self.model is not None:
                self.model = self.model.from_bytes(parts["model"])
        except (KeyError, *UNREADABLE) as error:
            raise StateError(f"feed '{self.feed.name}': the learner's state cannot be read ({error}); fold the examples anew") from error
