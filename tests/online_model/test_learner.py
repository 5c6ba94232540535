"""The learner as a fold: the same log gives the same records and bytes, wherever it was stopped and restored."""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.definition import Feed, Number, Regression
from contracts.durations import DAY
from contracts.errors import StateError
from contracts.records import Arrival, Decision, Evidence, Example, FeatureReference, RetrainRequest, Rollout, Snapshot
from feature_store.feature_plan import feature_names
from online_model.budget import thresholds
from online_model.learner import FIRST_EXAMPLES, Learner
from tests.online_model.snapshots import arrival_of, linear_snapshot
from training.reference import feature_references

F64 = NDArray[np.float64]
MINUTE = 60_000_000


def feed(learn: str, season: str | None = None) -> Feed:
    """One number and a target."""
    return Feed("f", entity="e", time="t", fields=[Number("x")], windows=["1m"], season=season, target=Regression("y"), learn=learn)


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


def arrival(version: str, **changed: object) -> Arrival:
    """A version that predicts 3·x asks to be tried; any part of its snapshot may be `changed`."""
    return arrival_of(linear_snapshot(feed("frozen"), version, {"x_last": 3.0}, **changed))


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


REFUSED = [
    ({"definition": "0123456789abcdef"}, "skew of schema: trained under definition 0123456789abcdef, served under"),
    ({"features": ["x_last"]}, "skew of schema: trained on 1 features, served"),
    ({"features": ["y_last", *feature_names(feed("online"))[1:]]}, "skew of schema: feature 1 was y_last in training and is"),
    ({"outputs": 3}, "skew of schema: predicts 3 numbers where the target has 1"),
    ({"crc32c": 1}, "its state is damaged"),
    ({"family": "river.nothing"}, "its state cannot be read"),
]


@pytest.mark.parametrize(("changed", "why"), REFUSED)
def test_a_version_of_another_schema_is_refused_at_once(changed: dict[str, object], why: str) -> None:
    """The record says what does not fit; it is not tried, and nobody can promote it. The same version, made right, is."""
    learner = Learner(feed("frozen"), 1)
    ((kind, record),) = learner.take(0, arrival("v1", **changed))
    assert kind == "models"
    assert isinstance(record, Rollout)
    assert (record.stage, record.version, record.challenger, record.champion) == ("rejected", "v1", None, None)
    assert record.why.startswith(why)
    assert [r.stage for _, r in learner.take(1, Decision(id="d", action="promote", version="v1")) if isinstance(r, Rollout)] == ["refused"]
    assert [r.stage for _, r in learner.take(2, arrival("v1")) if isinstance(r, Rollout)] == ["shadow"]


def served(days: int, first: int, spoil: Callable[[F64], None] | None = None) -> list[Example]:
    """300 examples a day of one number, standard normal, that v1 and v2 predict; `spoil` changes what is served."""
    chance, names = np.random.default_rng(first), feature_names(feed("frozen"))
    out = []
    for i in range(300 * days):
        vector = chance.standard_normal(len(names))
        value = [3.0 * float(vector[names.index("x_last")]) + 0.1 * float(chance.standard_normal())]
        if spoil is not None:
            spoil(vector)
        out.append(
            Example(
                id=f"f/1/labels-0/{i}/example/0",
                score=f"f/1/0/{i}/score/0",
                entity="e",
                event_time=first * DAY + i * (DAY // 300),
                value=value,
                version="v1",
                predictions={"v1": value, "v2": value},
                vector=base64.b64encode(vector.astype("<f8").tobytes()).decode(),
            )
        )
    return out


def trained() -> dict[str, FeatureReference]:
    """What the features looked like in training: standard normal."""
    chance, names = np.random.default_rng(9), feature_names(feed("frozen"))
    return feature_references(chance.standard_normal((5_000, len(names))), list(enumerate(names)))


def to_missing(vector: F64) -> None:
    vector[:4] = np.nan


def to_constant(vector: F64) -> None:
    vector[:4] = 0.1


def to_another_unit(vector: F64) -> None:
    vector[:4] = 1.8 * vector[:4] + 32.0


SKEWS = [(to_missing, "(missing)", 4), (to_constant, "(constant)", 10), (to_another_unit, "(distribution)", 10)]


@pytest.mark.parametrize(("spoil", "kind", "within"), SKEWS)
def test_skew_of_what_is_served_is_evidence(spoil: Callable[[F64], None], kind: str, within: int) -> None:
    """20 days as in training, then another way of serving: told within days, with features, kind, PSI and since when."""
    season = {"season": "1d"}
    learner, log = Learner(feed("frozen", **season), 1), [*served(20, 0), *served(12, 20, spoil)]
    ours = linear_snapshot(feed("frozen", **season), "v1", {"x_last": 3.0}, reference=trained())
    learner.take(0, arrival_of(ours))
    told = [r for offset, record in enumerate(log, 1) for _, r in learner.take(offset, record) if isinstance(r, Evidence)]
    assert learner.rollout.champion == "v1"
    assert told and {record.source for record in told} == {"skew"}
    assert all(record.event_time >= 20 * DAY for record in told)
    first = told[0]
    assert first.log10_e >= thresholds(feed("frozen", **season), 1e6, {})["skew"]
    assert first.event_time <= (20 + within) * DAY
    assert abs((first.since or 0) - 20 * DAY) <= 2 * DAY
    assert next(iter(first.contributions)).endswith(kind)
    assert kind != "(distribution)" or (first.psi or 0.0) > 0.25


def test_a_new_champion_brings_what_its_trial_has_shown() -> None:
    """Evidence on the champion ends with it; one whose training was otherwise, too, is told as skewed when it takes over."""
    ours = feed("frozen", season="1d")
    learner = Learner(ours, 1)
    learner.take(0, arrival_of(linear_snapshot(ours, "v1", {"x_last": 3.0}, reference=trained())))
    for offset, record in enumerate(served(4, 0), 1):
        learner.take(offset, record)
    learner.take(2_000, arrival_of(linear_snapshot(ours, "v2", {"x_last": 3.0}, reference=trained())))
    for offset, record in enumerate(served(9, 4, to_missing), 2_001):
        learner.take(offset, record)
    said = learner.take(9_000, Decision(id="d", action="promote", version="v2"))
    told = [(r.source, r.log10_e > 2.0) for _, r in said if isinstance(r, Evidence)]
    assert told == [("skew", False), ("skew", True)]
    assert learner.take(9_001, Decision(id="e", action="promote", version="v1"))[-1][1].log10_e > 2.0  # type: ignore[union-attr]


def test_evidence_of_the_concept_ends_with_the_champion() -> None:
    """A new champion is measured anew: what was told of the one before falls, and the incident can end."""
    learner, said = Learner(feed("frozen"), 1), []
    learner.take(0, arrival("v1"))
    for offset, record in enumerate(examples(12_000, "v1", changed=9_000), 1):
        said += learner.take(offset, record)
    learner.take(12_001, arrival("v2"))
    after = [r for _, r in learner.take(12_002, Decision(id="d", action="promote", version="v2")) if isinstance(r, Evidence)]
    assert [(r.source, r.log10_e) for r in after] == [("concept", 0.0)]


def test_a_learner_with_skew_goes_on_from_its_parts() -> None:
    """Stopped within a block, after the evidence, and put back: the same records and the same parts."""
    ours = feed("frozen", season="1d")
    log = [arrival_of(linear_snapshot(ours, "v1", {"x_last": 3.0}, reference=trained())), *served(4, 0), *served(6, 4, to_missing)]
    whole, said = Learner(ours, 1), []
    again, told = Learner(ours, 1), []
    for offset, record in enumerate(log):
        said += whole.take(offset, record)
        if offset in (1, 1_000, 2_345, 2_900):
            parts, again = again.to_parts(), Learner(ours, 1)
            again.restore(parts)
        told += again.take(offset, record)
    assert any(isinstance(record, Evidence) for _, record in said)
    assert told == said
    assert again.to_parts() == whole.to_parts()


def test_a_decision_is_answered_at_its_offset_and_one_sent_twice_is_taken_once() -> None:
    """Its rollout bears the decision's offset, who, when and why; the repeat of a rollback would end the next trial as well."""
    learner = Learner(feed("frozen"), 1)
    for offset, version in enumerate(("v1", "v2")):
        learner.take(offset, arrival(version))
    decided = [
        Decision(id="f/0/people/7/decision/1", action="promote", version="v1", by="ada", when=7, why="audit"),
        Decision(id="f/0/people/8/decision/1", action="rollback", by="ada", when=8, why="worse"),
    ]
    said = [learner.take(offset, record) for offset, record in enumerate([decided[0], decided[0], decided[1], decided[1]], 2)]
    assert [len(records) for records in said] == [2, 0, 1, 0]
    promoted, tried = (rollout for _, rollout in said[0])
    assert isinstance(promoted, Rollout) and isinstance(tried, Rollout)
    assert (tried.stage, tried.version, tried.champion) == ("shadow", "v2", "v1")
    assert (promoted.id, promoted.by, promoted.when, promoted.why) == ("f/1/examples/2/rollout/0", "ada", 7, "audit")
    ((_, rejected),) = said[2]
    assert isinstance(rejected, Rollout)
    assert (rejected.stage, rejected.version, rejected.champion, rejected.when) == ("rejected", "v2", "v1", 8)
    again = Learner(feed("frozen"), 1)
    again.restore(learner.to_parts())
    assert again.take(9, decided[1]) == []


def test_parts_that_are_none_are_refused() -> None:
    """With the feed's name and what to do."""
    with pytest.raises(StateError, match=r"feed 'f'.*fold the examples anew"):
        Learner(feed("online"), 1).restore({})
