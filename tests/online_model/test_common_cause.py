"""One cause across entities: the mean of e-values, who counts, and what is left out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.durations import DAY, HOUR, MINUTE
from contracts.records import Sample
from online_model.common_cause import Groups, absorbs, bar_for, began_at, common_cells, mean_log10, needed, pooled, tenths_of
from online_model.incidents import Cell, Incident, spans_for
from tests.online_model.test_incidents import incident

SPANS = spans_for(MINUTE)


def cell(entity: int, level: float = 6.0, since: int = 0, told: int | None = None, direction: int = 1, source: str = "drift") -> Cell:
    at = since + HOUR // 2 if told is None else told
    return Cell(f"pump-{entity:02}", "vibration", source, 0, level, direction, since, 0, at, at, None, None)


def nobody(_: Cell) -> Incident | None:
    return None


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(2.0, 29.0), min_size=1, max_size=40), st.integers(40, 200))
def test_the_mean_is_that_of_the_e_values(levels: list[float], entities: int) -> None:
    """Within the tenth of a decade that levels are rounded down by, and never above."""
    cells = [cell(i, level) for i, level in enumerate(levels)]
    exact = math.log10(sum(10.0**level for level in levels) / entities)
    assert exact - 0.11 <= mean_log10(cells, entities) <= exact + 0.006


@settings(derandomize=True, deadline=None)
@given(st.permutations(range(12)), st.lists(st.floats(2.0, 29.0), min_size=12, max_size=12))
def test_the_index_of_groups_does_not_depend_on_the_order(order: list[int], levels: list[float]) -> None:
    """Adding in any order, and taking out again, leaves what was there."""
    cells = [cell(i, level) for i, level in enumerate(levels)]
    groups, reference = Groups(), Groups()
    for i in order:
        groups.add(cells[i])
    for i in order[:6]:
        groups.remove(cells[i])
    for i in sorted(order[6:]):
        reference.add(cells[i])
    group, bar = cells[0].group, bar_for(12, 6.0)
    assert groups.keys(group) == reference.keys(group)
    assert groups.may_pass(group, bar) == reference.may_pass(group, bar)


def test_one_entity_alone_cannot_carry_the_mean() -> None:
    """Half of the needed entities must: one at 10^19 is not a fleet, five at 10^8 are."""
    bar = bar_for(48, 6.0)
    assert needed(48) == bar.fewest == 10
    assert not bar.reached([(tenths_of(19.0), 1), (tenths_of(3.0), 11)])
    assert bar.reached([(tenths_of(8.0), 5), (tenths_of(3.0), 7)])
    assert needed(4) == 3


def test_what_changed_together_leaves_out_older_causes_and_explained_statistics() -> None:
    """A pump worn for days, one whose sensor sticks, and one that trembled hours ago are not part of the change."""
    worn, stuck, stale = cell(1, since=-5 * DAY, told=HOUR // 2), cell(2), cell(3, since=-9 * HOUR, told=-8 * HOUR)
    others = [cell(i, since=i * MINUTE) for i in range(10, 20)]
    owners = {"pump-01": incident("drift", opened_at=-4 * DAY), "pump-02": incident("stuck")}
    found = common_cells([worn, stuck, stale, *others], lambda c: owners.get(c.entity or ""), HOUR, SPANS)
    assert found == others
    assert began_at(found) == 15 * MINUTE


def test_a_slow_change_of_the_fleet_is_seen_as_one() -> None:
    """What took ten hours to show may have been opened for single entities hours before."""
    slow = [cell(i, since=i * 10 * MINUTE, told=10 * HOUR - i * 20 * MINUTE) for i in range(12)]
    early = incident("drift", opened_at=6 * HOUR)
    found = common_cells(slow, lambda c: early if c.entity == "pump-00" else None, 10 * HOUR, SPANS)
    assert len(found) == 12
    assert common_cells([], nobody, 0, SPANS) == []


@pytest.mark.parametrize(
    ("source", "direction", "expected"),
    [("drift", 1, True), ("anomaly", 1, True), ("drift", -1, False), ("stuck", 1, False), ("drift", 0, True)],
)
def test_a_common_cause_absorbs_its_own_direction_and_its_consequences(source: str, direction: int, expected: bool) -> None:
    """A pump that goes the other way, or sticks, has a cause of its own."""
    common = incident("drift")
    common.groups = [("drift", "vibration", 1)]
    assert absorbs(common, cell(1, direction=direction, source=source), False) == expected


def test_samples_are_pooled_by_size() -> None:
    """The mean over all readings, the spread within entities, and nothing out of nothing."""
    found = pooled([Sample(n=10, mean=1.0, std=1.0), None, Sample(n=30, mean=2.0, std=1.0)])
    assert found is not None and (found.n, found.mean, found.std) == (40, 1.75, 1.0)
    assert pooled([None]) is None
