"""Who serves and who runs beside: a trial in the shadow, a canary, the championship, and the way back.

              beats champion and baselines            held its ground
    shadow ─────────────────────────────────► canary ─────────────────► champion, watched by the one before
       │ worse, or nothing shown, or a newer one  │ worse                   │ worse
       └──► rejected                              └──► rolled_back          └──► rolled_back: the one before serves again

Every step follows from the pairs of losses in the order of the log (online_model/paired_test.py), or from a person's decision.
A trial without a champion is against the baselines alone, and ends in the championship at once: there is nobody to protect.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import StateError
from contracts.records import Decision
from contracts.unreadable import UNREADABLE
from online_model import paired_test

F64 = NDArray[np.float64]
Stage = Literal["idle", "shadow", "canary", "watch", "split"]
Told = Literal["shadow", "canary", "split", "champion", "rejected", "rolled_back", "refused"]

CANARY_SHARE = 0.1  # of entities: enough to be noticed by people, few enough to be no incident
CANARY_LABELS = 500  # pairs for which a canary must hold its ground; what breaks only in service shows by then
PATIENCE = 5_000  # labels for which a trial goes on though a newer version waits: with none, a feed that drifts every few hours tries
# one version after the other and shows nothing of any
PROMISING = (
    0.9  # of the champion's mean loss, or less: a trial that is not so far ahead is not decided within PATIENCE either (benchmarks.gate),
)
# and makes way for a newer version after CANARY_LABELS; else what was trained before a change keeps waiting what was trained for it
MOST_LABELS = 100_000  # of a trial: who has not shown an advantage by then has none that matters, and another may have
KNOWN_TOLD = 8  # in the answer to a name that is none; more would bury the sentence
MAX_KNOWN = 256  # versions that a person can name; older ones are forgotten
RECENT = 4_096  # labels of a watch after which a second test begins anew: one that has seen a long good time takes a sudden change for
# noise of long memory, and lays stakes that small that a champion twice as bad as the one before stays for 40,000 labels
TESTS = ("champion", "last", "hour", "reverse", "recent")  # challenger better than each; challenger worse than the champion, lately


class Losses(NamedTuple):
    """Of one joined label; NaN where a model did not predict it."""

    champion: float
    challenger: float
    last: float  # of the baselines
    hour: float


class Change(NamedTuple):
    """What becomes of a version, and why."""

    stage: Told
    version: str
    why: str
    by: str = "gate"
    when: int | None = None


class _Wire(msgspec.Struct):
    stage: Stage
    champion: str | None
    challenger: str | None
    share: float
    pairs: int
    waiting: str | None
    known: list[str]
    tests: dict[str, bytes]
    labels: int = 0


class RolloutState:
    """The rollout of one feed. Versions are named without their revision."""

    def __init__(self) -> None:
        self.stage: Stage = "idle"
        self.champion: str | None = None
        self.challenger: str | None = None  # on trial; while a champion is watched, the one before it
        self.share = 0.0
        self.labels = 0  # since the stage began
        self.pairs = 0  # of them, which all who are compared have predicted
        self._waiting: str | None = None
        self._known: list[str] = []
        self._tests = {name: paired_test.new_paired_test() for name in TESTS}

    def arrive(self, version: str) -> list[Change]:
        """A version asks to be tried. It waits while another is on trial or a champion is fresh; of those that wait the newest is tried."""
        if version in self._known:
            return []
        self._known = [*self._known, version][-MAX_KNOWN:]
        passed, self._waiting = self._waiting, version
        return [*([Change("rejected", passed, f"{version} is newer")] if passed else []), *self._out_of_patience(), *self._next()]

    def _out_of_patience(self) -> list[Change]:
        """Ends a trial in the shadow that has had its time, where a newer version waits."""
        if self.stage != "shadow" or self._waiting is None or self.labels < (PATIENCE if self._is_promising() else CANARY_LABELS):
            return []
        why = f"{self._waiting} is newer, and nothing was shown in {self.labels} labels"
        return self._end(Change("rejected", self.challenger or "", why))

    def _is_promising(self) -> bool:
        if self.champion is None:
            return True  # against the baselines alone: any model is more than none
        so_far = paired_test.compare(self._tests["champion"])
        return so_far.challenger_loss <= PROMISING * so_far.champion_loss

    def _is_free(self) -> bool:
        return self.stage == "idle" or (self.stage == "watch" and self.pairs >= CANARY_LABELS)

    def _try(self, version: str) -> list[Change]:
        self._enter("shadow", version, 0.0)
        return [Change("shadow", version, "a version asks to be tried")]

    def _enter(self, stage: Stage, challenger: str | None, share: float) -> None:
        self.stage, self.challenger, self.share, self.labels, self.pairs = stage, challenger, share, 0, 0
        if stage in ("shadow", "watch", "split"):
            self._tests = {name: paired_test.new_paired_test(restarting=name == "reverse") for name in TESTS}

    def take(self, losses: Losses) -> list[Change]:
        """Looks at one pair; changes nothing where a needed prediction is missing."""
        if self.stage in ("idle", "split"):
            return []
        self.labels += 1
        if not self._bet(losses):
            return self._out_of_patience()
        self.pairs += 1
        if self.stage == "shadow":
            return self._in_shadow()
        return self._in_canary() if self.stage == "canary" else self._in_watch()

    def _bet(self, losses: Losses) -> bool:
        alone = self.champion is None
        if losses.challenger != losses.challenger or (not alone and losses.champion != losses.champion):
            return False
        if self.stage == "watch":  # the one before has become the challenger
            if self.pairs % RECENT == 0:
                paired_test.reset(self._tests["recent"], False)
            for name in ("reverse", "recent"):
                paired_test.update(self._tests[name], losses.champion, losses.challenger)
            return True
        if not alone:
            paired_test.update(self._tests["champion"], losses.champion, losses.challenger)
            paired_test.update(self._tests["reverse"], losses.challenger, losses.champion)
        for name, loss in (("last", losses.last), ("hour", losses.hour)):
            if loss == loss:
                paired_test.update(self._tests[name], loss, losses.challenger)
        return True

    def _decided(self, name: str) -> bool:
        return bool(paired_test.decided(self._tests[name], paired_test.LEVEL))

    def _in_shadow(self) -> list[Change]:
        version = self.challenger or ""
        shown = self._decided("last") and self._decided("hour")
        if self.champion is None and shown:
            return self._promote(f"beats both baselines over {self.pairs} labels")
        if shown and self._decided("champion"):
            self._enter("canary", version, CANARY_SHARE)
            return [Change("canary", version, f"beats {self.champion} and both baselines{self._by_how_much('champion')}")]
        if self.champion is not None and self._decided("reverse"):
            return self._end(Change("rejected", version, f"worse than {self.champion}{self._by_how_much('champion')}"))
        if self.pairs >= MOST_LABELS:
            return self._end(Change("rejected", version, f"has shown no advantage in {self.pairs} labels"))
        return self._out_of_patience()

    def _in_canary(self) -> list[Change]:
        if self._decided("reverse"):
            return self._end(Change("rolled_back", self.challenger or "", f"worse than {self.champion} as a canary"))
        if self.pairs >= CANARY_LABELS:
            return self._promote(f"held its ground as a canary over {self.pairs} labels{self._by_how_much('champion')}")
        return []

    def _in_watch(self) -> list[Change]:
        found = next((name for name in ("reverse", "recent") if self._decided(name)), None)
        if found is None:
            return self._next()
        worse, self.champion = self.champion or "", self.challenger
        return self._end(Change("rolled_back", worse, f"worse than {self.champion}, which serves again{self._by_how_much(found)}"))

    def _by_how_much(self, name: str) -> str:
        found = paired_test.compare(self._tests[name])
        return f": mean loss {found.challenger_loss:.6g} against {found.champion_loss:.6g} over {found.labels} labels"

    def _promote(self, why: str, by: str = "gate", when: int | None = None) -> list[Change]:
        version, before = self.challenger or "", self.champion
        self.champion = version
        self._enter("watch" if before is not None else "idle", before, 0.0)
        return [Change("champion", version, why, by, when), *self._next()]

    def _end(self, change: Change) -> list[Change]:
        self._enter("idle", None, 0.0)
        return [change, *self._next()]

    def _next(self) -> list[Change]:
        """The version that waits is tried where nothing else goes on, and a new champion has been watched for as long as a canary is."""
        if self._waiting is None or not self._is_free():
            return []
        version, self._waiting = self._waiting, None
        return self._try(version)

    def decide(self, decision: Decision) -> list[Change]:
        """What a person says: carried out, or refused with the reason; always answered. A split is ended by people alone."""
        by, when, why = decision.by or "unknown", decision.when, decision.why or "by hand"
        if refusal := self._refusal(decision):
            return [Change("refused", decision.version or self.champion or "", refusal, by, when)]
        if decision.action == "rollback":
            return self._decide_rollback(why, by, when)
        passed = self._make_way(decision.version)
        if decision.action == "promote":
            self.challenger = decision.version
            return [*passed, *self._promote(why, by, when)]
        self._enter("split", decision.version, decision.share)
        return [*passed, Change("split", decision.version, why, by, when)]

    def _refusal(self, decision: Decision) -> str:
        """Why a decision cannot be carried out; "" where it can."""
        version = decision.version
        if decision.action == "rollback":
            kept = self.challenger is not None
            return "" if kept else "nothing is on trial, and no champion before is kept; promote the version that is to serve"
        if version not in self._known:
            return f"no version '{version}' has asked to be tried; known: {', '.join(self._known[-KNOWN_TOLD:]) or 'none yet'}"
        if version == self.champion:
            return f"{version} is the champion already"
        if decision.action == "split" and self.champion is None:
            return f"there is no champion to split with; promote {version}"
        if decision.action == "split" and not 0.0 < decision.share < 1.0:
            return f"a share of {decision.share:g} is no split; write one between 0 and 1"
        return ""

    def _make_way(self, version: str) -> list[Change]:
        """Takes `version` out of the queue; what else was on trial is rejected by name, so that no version is lost."""
        if self._waiting == version:
            self._waiting = None
        if self.stage not in ("shadow", "canary", "split") or self.challenger in (None, version):
            return []
        return [Change("rejected", self.challenger or "", f"{version} was put in place by hand")]

    def _decide_rollback(self, why: str, by: str, when: int | None) -> list[Change]:
        told: Told = "rejected" if self.stage == "shadow" else "rolled_back"  # a shadow has served nobody
        worse = self.challenger or ""
        if self.stage == "watch":
            worse, self.champion = self.champion or "", self.challenger
        return self._end(Change(told, worse, why, by, when))

    def to_bytes(self) -> bytes:
        """The same state, the same bytes."""
        tests = {name: paired_test.paired_test_to_bytes(state) for name, state in self._tests.items()}
        wire = _Wire(self.stage, self.champion, self.challenger, self.share, self.pairs, self._waiting, self._known, tests, self.labels)
        return msgspec.msgpack.encode(wire)

    @classmethod
    def from_bytes(cls, data: bytes) -> RolloutState:
        """The state that `to_bytes` wrote.

        Raises:
            StateError: the bytes are no state of a rollout.
        """
        try:
            wire = msgspec.msgpack.decode(data, type=_Wire)
        except UNREADABLE as error:
            raise StateError(f"the rollout's state cannot be read ({error}); fold the examples anew") from error
        if set(wire.tests) != set(TESTS):
            raise StateError("the rollout's state has other tests than this program; fold the examples anew")
        state = cls()
        state.stage, state.champion, state.challenger, state.share = wire.stage, wire.champion, wire.challenger, wire.share
        state.pairs, state._waiting, state._known, state.labels = wire.pairs, wire.waiting, wire.known, wire.labels
        state._tests = {name: paired_test.paired_test_from_bytes(data) for name, data in wire.tests.items()}
        return state
