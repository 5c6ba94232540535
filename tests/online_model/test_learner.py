"""The learner as a fold: the same log gives the same records and bytes, wherever it was stopped and restored."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from contracts.definition import Feed, Number, Regression
from contracts.errors import StateError
from contracts.records import Arrival, Decision, Evidence, Example, RetrainRequest, Rollout, Snapshot
from feature_store.feature_plan import feature_names
from online_model.learner import FIRST_EXAMPLES, Learner

MINUTE = 60_000_000


def feed(learn: str) -> Feed:
    """One number and a target."""
    return Feed("f", entity="e", time="t", fields=[Number("x")], windows=["1m"], season=None, target=Regression("y"), learn=learn)


def examples(count: int, version: str | None = None, changed: int = 10**9) -> list[Example]:
    """y = 3·x with some noise, and −3·x from example `changed` on; `version` predicts 3·x."""
    chance, names = np.random.default_rng(2), feature_names(feed("online"))
    out = []
    for i in range(count):
        x, noise = chance.standard_normal(2).tolist()
        vector = np.full(len(names), np.nan)
        vector[names.index("x_last")] = x
        out.append(
            Example(
                id=f"f/1/labels-0/{i}/example/0",
                score=f"f/1/0/{i}/score/0",
                entity=f"e{i % 3}",
                event_time=i * MINUTE,
                value=[(3.0 if i < changed else -3.0) * x + 0.1 * noise],
                version=version,
                predictions={version: [3.0 * x]} if version else {},
                vector=base64.b64encode(vector.astype("<f8").tobytes()).decode(),
            )
        )
    return out


def arrival(version: str) -> Arrival:
    """A trained version asks to be tried."""
    state = Snapshot(id="s", version=version, family="compiled", definition="", features=[], outputs=1, state="", crc32c=0)
    return Arrival(id=f"f/0/retrain/0/arrival/{version}", version=version, request="r", snapshot=state)


def test_a_restored_learner_goes_on_with_the_same_bytes() -> None:
    """Stopped anywhere, restored from its parts: the same records and the same parts at the end."""
    log = examples(2_500)
    whole, said = Learner(feed("online"), 1), []
    for offset, record in enumerate(log):
        said += whole.take(offset, record)
    again, told = Learner(feed("online"), 1), []
    for offset, record in enumerate(log):
        if offset in (700, 1_000, 2_001):
            parts, again = again.to_parts(), Learner(feed("online"), 1)
            again.restore(parts)
        told += again.take(offset, record)
    assert told == said
    assert again.to_parts() == whole.to_parts()
    assert [type(record) for _, record in said[:2]] == [Snapshot, Rollout]


def test_a_frozen_feed_asks_once_for_its_first_model() -> None:
    """After FIRST_EXAMPLES, pinned to the events that were labelled; not where a version is on trial already."""
    learner, said = Learner(feed("frozen"), 1), []
    for offset, record in enumerate(examples(FIRST_EXAMPLES + 500)):
        said += learner.take(offset, record)
    ((kind, request),) = said
    assert kind == "retrain"
    assert isinstance(request, RetrainRequest)
    assert request.pin.offsets == {"0": (0, FIRST_EXAMPLES)}


def test_a_changed_relation_is_evidence_and_an_unchanged_one_is_not() -> None:
    """The champion's errors rise a hundredfold: evidence of the concept from where it began; before, there is none."""
    learner, evidence = Learner(feed("frozen"), 1), []
    learner.take(0, arrival("v1"))
    for offset, record in enumerate(examples(12_000, "v1", changed=9_000), 1):
        evidence += [(offset, r) for _, r in learner.take(offset, record) if isinstance(r, Evidence)]
    assert learner.rollout.champion == "v1"
    assert evidence
    assert all(offset > 9_000 for offset, _ in evidence)
    assert evidence[-1][1].log10_e > 5.0
    assert evidence[-1][1].since_offset is not None
    assert abs(evidence[-1][1].since_offset - 9_000) < 600


def test_a_decision_is_answered_at_its_offset_and_one_sent_twice_is_taken_once() -> None:
    """Its rollout bears the decision's offset, who, when and why; the repeat of a rollback would have ended the next trial as well."""
    learner = Learner(feed("frozen"), 1)
    for offset, version in enumerate(("v1", "v2")):
        learner.take(offset, arrival(version))
    decided = [
        Decision(id="f/0/people/7/decision/1", action="promote", version="v1", by="ada", when=7, why="audit"),
        Decision(id="f/0/people/8/decision/1", action="rollback", by="ada", when=8, why="worse"),
    ]
    said = [learner.take(offset, record) for offset, record in enumerate([decided[0], decided[0], decided[1], decided[1]], 2)]
    assert [len(records) for records in said] == [2, 0, 1, 0]
    rejected, promoted = (rollout for _, rollout in said[0])
    assert isinstance(rejected, Rollout) and isinstance(promoted, Rollout)
    assert (rejected.stage, rejected.version, rejected.champion) == ("rejected", "v2", "v1")
    assert (promoted.id, promoted.by, promoted.when, promoted.why) == ("f/1/examples/2/rollout/1", "ada", 7, "audit")
    ((_, refused),) = said[2]
    assert isinstance(refused, Rollout)
    assert (refused.stage, refused.champion, refused.when) == ("refused", "v1", 8)
    again = Learner(feed("frozen"), 1)
    again.restore(learner.to_parts())
    assert again.take(9, decided[1]) == []


def test_parts_that_are_none_are_refused() -> None:
    """With the feed's name and what to do."""
    with pytest.raises(StateError, match=r"feed 'f'.*fold the examples anew"):
        Learner(feed("online"), 1).restore({})
