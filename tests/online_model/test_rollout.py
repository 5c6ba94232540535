"""The rollout as a whole: who serves after which losses, and what a person may decide."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from contracts.errors import StateError
from contracts.records import Decision
from online_model.rollout import CANARY_LABELS, CANARY_SHARE, PATIENCE, Change, Losses, RolloutState

NONE = float("nan")
BETTER = {"v1": 1.0, "v2": 0.4, "v3": 0.4}


def run(state: RolloutState, losses: dict[str, float], labels: int, seed: int = 1, baseline: float = 4.0) -> list[Change]:
    """Losses of exponential noise around each version's mean; what became of versions meanwhile."""
    chance, changes = np.random.default_rng(seed), []
    for a, b, c in chance.exponential(1.0, (labels, 3)).tolist():
        serving, beside = losses.get(state.champion or "", NONE) * a, losses.get(state.challenger or "", NONE) * b
        changes += state.take(Losses(serving, beside, baseline * c, baseline * c))
    return changes


def champion(name: str = "v1") -> RolloutState:
    """A rollout with one champion and nothing else."""
    state = RolloutState()
    state.arrive(name)
    assert [change.stage for change in run(state, {name: 1.0}, 6_000)] == ["champion"]
    return state


def test_a_better_version_passes_shadow_and_canary_and_is_watched() -> None:
    """In the shadow it serves nobody, as a canary a tenth of the entities, then all; the one before it stays beside it."""
    state = champion()
    assert [change.stage for change in state.arrive("v2")] == ["shadow"]
    assert (state.champion, state.challenger, state.share) == ("v1", "v2", 0.0)
    changes = run(state, BETTER, 8_000)
    assert [change.stage for change in changes] == ["canary", "champion"]
    assert (state.stage, state.champion, state.challenger) == ("watch", "v2", "v1")
    assert "beats v1 and both baselines: mean loss 0." in changes[0].why


def test_a_canary_serves_a_share_until_it_has_held_its_ground() -> None:
    """Its share is CANARY_SHARE for CANARY_LABELS labels."""
    state = champion()
    state.arrive("v2")
    while state.stage == "shadow":
        run(state, BETTER, 1, seed=state.pairs)
    assert (state.stage, state.share) == ("canary", CANARY_SHARE)
    run(state, BETTER, CANARY_LABELS - 1)
    assert state.champion == "v1"
    run(state, BETTER, 1)
    assert state.champion == "v2"


def test_a_worse_version_is_rejected_and_an_equal_one_is_not_promoted() -> None:
    """Worse by half: rejected with both losses; equally good: still in the shadow after 20,000 labels."""
    state = champion()
    state.arrive("v2")
    assert [change.stage for change in run(state, {"v1": 1.0, "v2": 1.5}, 20_000)] == ["rejected"]
    assert (state.champion, state.challenger) == ("v1", None)
    state.arrive("v3")
    assert run(state, {"v1": 1.0, "v3": 1.0}, 20_000) == []


def test_who_does_not_beat_the_baselines_never_serves() -> None:
    """Better than the champion is not enough."""
    state = champion()
    state.arrive("v2")
    assert run(state, BETTER, 8_000, baseline=0.4) == []


def test_a_champion_that_goes_bad_after_its_promotion_is_rolled_back() -> None:
    """The one before serves again, and the reason names both losses."""
    state = champion()
    state.arrive("v2")
    run(state, BETTER, 8_000)
    (change,) = run(state, {"v1": 1.0, "v2": 2.0}, 20_000)
    assert (change.stage, change.version, state.champion) == ("rolled_back", "v2", "v1")
    assert "worse than v1, which serves again: mean loss" in change.why


@pytest.mark.parametrize("losses", [{"v1": 1.0, "v2": 1.0}, {"v1": 1.0}])
def test_a_trial_that_is_not_ahead_makes_way_for_a_newer_version(losses: dict[str, float]) -> None:
    """One as good as the champion, or that predicts nothing, after as many labels as a canary has; without a newer one it goes on."""
    state = champion()
    state.arrive("v2")
    assert run(state, losses, CANARY_LABELS - 1) == state.arrive("v3") == []
    changes = run(state, losses, 1)
    assert [(change.stage, change.version) for change in changes] == [("rejected", "v2"), ("shadow", "v3")]
    assert changes[0].why == f"v3 is newer, and nothing was shown in {CANARY_LABELS} labels"
    run(state, {"v1": 1.0, "v3": 1.0}, CANARY_LABELS)
    assert [(change.stage, change.version) for change in state.arrive("v4")] == [("rejected", "v3"), ("shadow", "v4")]


def test_a_trial_that_is_ahead_has_its_time() -> None:
    """A fifth below the champion's loss and not yet shown: the newer version waits, at most until PATIENCE."""
    state = champion()
    state.arrive("v2")
    state.arrive("v3")
    ahead = {"v1": 1.0, "v2": 0.8}
    assert run(state, ahead, CANARY_LABELS + 100) == []
    state.labels = PATIENCE - 1
    assert [(change.stage, change.version) for change in run(state, ahead, 1)] == [("rejected", "v2"), ("shadow", "v3")]


def test_a_trial_that_is_shown_to_be_better_is_not_ended_by_a_newer_version() -> None:
    """The newer one is tried against the champion that came of it."""
    state = champion()
    state.arrive("v2")
    assert state.arrive("v3") == []
    assert [(change.stage, change.version) for change in run(state, BETTER, 4_000)][:3] == [
        ("canary", "v2"),
        ("champion", "v2"),
        ("shadow", "v3"),
    ]


def test_of_versions_that_wait_the_newest_is_tried() -> None:
    """No version is lost: each is tried, or its rejection says which newer one took its place."""
    state = champion()
    state.arrive("v2")
    while state.stage == "shadow":
        run(state, BETTER, 1, seed=state.pairs)
    assert state.arrive("v4") == []
    assert [(c.stage, c.version) for c in state.arrive("v5")] == [("rejected", "v4")]
    assert state.arrive("v5") == []


def test_who_waits_behind_a_canary_is_tried_once_the_new_champion_has_been_watched() -> None:
    """After as many labels of watching as a canary takes, and though no newer version arrives."""
    state = champion()
    state.arrive("v2")
    while state.stage == "shadow":
        run(state, BETTER, 1, seed=state.pairs)
    assert state.arrive("v3") == []
    assert [change.stage for change in run(state, BETTER, CANARY_LABELS)] == ["champion"]
    assert run(state, BETTER, CANARY_LABELS - 1) == []
    assert [(change.stage, change.version) for change in run(state, BETTER, 1)] == [("shadow", "v3")]


def decision(action: Literal["promote", "rollback", "split"], version: str = "", share: float = 0.0) -> Decision:
    """What ada says."""
    return Decision(id="d", action=action, version=version, share=share, by="ada", when=7, why="audit")


def test_people_promote_roll_back_and_split() -> None:
    """By name, with who, when and why; and the gate does not end a split."""
    state = champion()
    state.arrive("v2")
    assert state.decide(decision("promote", "v2")) == [Change("champion", "v2", "audit", "ada", 7)]
    assert (state.stage, state.champion, state.challenger) == ("watch", "v2", "v1")
    assert state.decide(decision("rollback")) == [Change("rolled_back", "v2", "audit", "ada", 7)]
    assert state.champion == "v1"
    assert state.decide(decision("split", "v2", 0.5)) == [Change("split", "v2", "audit", "ada", 7)]
    assert run(state, {"v1": 1.0, "v2": 3.0}, 8_000) == run(state, BETTER, 8_000) == []
    assert (state.stage, state.champion, state.challenger, state.share) == ("split", "v1", "v2", 0.5)
    assert [change.stage for change in state.decide(decision("rollback"))] == ["rolled_back"]
    assert (state.stage, state.champion, state.share) == ("idle", "v1", 0.0)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (decision("promote", "v9"), "no version 'v9' has asked to be tried; known: v1, v2"),
        (decision("split", "v9", 0.5), "no version 'v9'"),
        (decision("promote", "v1"), "v1 is the champion already"),
        (decision("split", "v2", 1.0), "a share of 1 is no split"),
        (decision("split", "v2", -0.5), "a share of -0.5 is no split"),
        (decision("rollback"), "nothing is on trial, and no champion before is kept"),
    ],
)
def test_a_decision_that_cannot_be_carried_out_is_refused_with_the_reason(said: Decision, why: str) -> None:
    """It is answered under the name of who said it, and changes nothing."""
    state = champion()
    state.arrive("v2")
    state.decide(decision("rollback"))
    before = state.to_bytes()
    (change,) = state.decide(said)
    assert change.stage == "refused" and change.why.startswith(why)
    assert (change.by, change.when) == ("ada", 7)
    assert state.to_bytes() == before


def test_without_a_champion_a_version_is_promoted_and_not_split() -> None:
    """A person may put the first one in place though it has shown nothing; there is nobody to split with."""
    state = RolloutState()
    state.arrive("v1")
    assert [change.stage for change in state.decide(decision("split", "v1", 0.5))] == ["refused"]
    assert [change.stage for change in state.decide(decision("promote", "v1"))] == ["champion"]
    assert (state.stage, state.champion, state.challenger) == ("idle", "v1", None)


def test_who_makes_way_for_a_decision_is_named_and_a_version_that_waited_is_not_tried_against_itself() -> None:
    """v2 is a canary and v3 waits when v3 is promoted: v2 is rejected by name, and later nothing is left to be tried."""
    state = champion()
    state.arrive("v2")
    while state.stage == "shadow":
        run(state, BETTER, 1, seed=state.pairs)
    assert state.arrive("v3") == []
    assert [(change.stage, change.version) for change in state.decide(decision("promote", "v3"))] == [
        ("rejected", "v2"),
        ("champion", "v3"),
    ]
    assert [(change.stage, change.version) for change in state.decide(decision("rollback"))] == [("rolled_back", "v3")]
    assert (state.stage, state.champion, state.challenger) == ("idle", "v1", None)


def test_stored_in_the_middle_it_goes_on_as_if_it_had_not_been() -> None:
    """Equal bytes give equal futures; bytes that are none are refused."""
    one = champion()
    one.arrive("v2")
    run(one, BETTER, 300)
    other = RolloutState.from_bytes(one.to_bytes())
    assert run(one, BETTER, 8_000, seed=3) == run(other, BETTER, 8_000, seed=3)
    assert one.to_bytes() == other.to_bytes()
    with pytest.raises(StateError, match="fold the examples anew"):
        RolloutState.from_bytes(b"?")
