"""What the demo calls found, late and false."""

from __future__ import annotations

from typing import Any

from contracts.records import Alert
from producers.plan import Planted
from streamgauge.demo.matching import false_incidents, match

WEAR = Planted(kind="wear", entity="a", field="x", size_sigma=3.0, start=100, end=200, incident="drift", judged_by="incident")


def opened(event_time: int, **changed: Any) -> Alert:
    """An opening alert on drift of `x` of `a`."""
    values: dict[str, Any] = {"kind": "drift", "scope": "entity", "entity": "a", "field": "x"} | changed
    return Alert(
        id=f"f/1/evidence/{event_time}/alert/0",
        incident=f"f/1/evidence/{event_time}/alert/0",
        status="opened",
        severity="low",
        sentence="",
        event_time=event_time,
        first_seen=event_time,
        log10_e=5.0,
        threshold=4.0,
        features=[],
        reference=None,
        current=None,
        ks=None,
        ks_p=None,
        psi=None,
        entities=[],
        merged_into=None,
        reason="",
        **values,
    )


def test_a_fault_told_after_its_time_is_late_and_its_incident_false() -> None:
    """The incident stands beside the fault that it is of, for people; it is not called found."""
    in_time, late, before = opened(WEAR.found_by), opened(WEAR.found_by + 1), opened(WEAR.start - 1)
    (found,) = match([WEAR], [before, in_time, late], True)
    assert (found.found, found.alert, found.late) == (True, in_time, None)
    (found,) = match([WEAR], [before, late], True)
    assert (found.found, found.alert, found.late) == (False, None, late)
    assert false_incidents([WEAR], [before, in_time, late]) == [before, late]


def test_an_incident_of_something_else_is_neither() -> None:
    """Another kind, entity or field tells nothing of the fault."""
    others = [opened(150, kind="anomaly"), opened(150, entity="b"), opened(150, field="y"), opened(150, scope="feed", entity=None)]
    (found,) = match([WEAR], others, True)
    assert (found.found, found.late) == (False, None)
