"""The rules of what explains what, severity, and spans."""

from __future__ import annotations

import pytest

from contracts.durations import DAY, HOUR, MINUTE
from online_model.incidents import (
    EXPLAINED,
    RANK,
    Cell,
    Incident,
    accompanies,
    explains,
    leads,
    severity_of,
    severity_of_common,
    spans_for,
    still_cools,
)

SPANS = spans_for(MINUTE)


def cell(source: str, field: str | None = "vibration", level: float = 8.0, since: int = 0) -> Cell:
    return Cell("pump-01", field, source, 0, level, 0, since, 0, since, since, None, None)


def incident(kind: str, field: str | None = "vibration", opened_at: int = 5 * MINUTE, resolved_at: int | None = None) -> Incident:
    return Incident(
        number=1,
        id="pumps/1/evidence/1/alert/0",
        kind=kind,
        entity="pump-01",
        field=field,
        severity=0,
        first_seen=0,
        opened_at=opened_at,
        log10_e=8.0,
        threshold=7.0,
        partition=0,
        causes=[(field or "", kind)],
        groups=[],
        idle=[],
        features=[],
        resolved_at=resolved_at,
    )


def test_every_source_has_a_rank_and_a_row() -> None:
    """The tables of the rules cover the closed list of sources, and what a source explains is never more specific."""
    assert set(RANK) == set(EXPLAINED)
    for kind, others in EXPLAINED.items():
        assert all(RANK[other] <= RANK[kind] or kind == "silence" for other in others)


@pytest.mark.parametrize(
    ("kind", "source", "field", "expected"),
    [
        ("stuck", "drift", "vibration", True),
        ("anomaly", "drift", "vibration", True),
        ("drift", "anomaly", "vibration", True),
        ("range", "missing", "vibration", True),
        ("drift", "drift", "temperature", False),
        ("drift", "anomaly", None, True),
        ("stuck", "silence", None, False),
        ("silence", "missing", "vibration", True),
    ],
)
def test_an_incident_explains_the_less_specific_statistics_of_its_field(kind: str, source: str, field: str | None, expected: bool) -> None:
    """Long after its opening, an incident takes in what its kind of fault does to the same field, and nothing else."""
    assert explains(incident(kind), cell(source, field, since=9 * HOUR), 10 * HOUR, SPANS) == expected


def test_a_more_specific_statistic_joins_while_the_incident_is_young() -> None:
    """Within the hour, and only when it began together with the incident."""
    assert explains(incident("drift"), cell("stuck", since=MINUTE), HOUR, SPANS)
    assert not explains(incident("drift"), cell("stuck", since=50 * MINUTE), HOUR, SPANS)
    assert not explains(incident("drift"), cell("stuck", since=MINUTE), 2 * HOUR, SPANS)


def test_another_field_accompanies_an_incident_that_began_with_it() -> None:
    """Ten minutes for any source; for changes of distribution as long as the incident took to open."""
    slow = incident("drift", opened_at=10 * HOUR)
    assert accompanies(slow, cell("drift", "temperature", since=8 * HOUR), SPANS)
    assert not accompanies(slow, cell("stuck", "temperature", since=8 * HOUR), SPANS)
    assert accompanies(slow, cell("stuck", "temperature", since=5 * MINUTE), SPANS)
    assert not accompanies(incident("drift", resolved_at=HOUR), cell("drift", "temperature"), SPANS)


def test_the_kind_follows_the_statistic_that_outgrows_the_other() -> None:
    """Drift becomes anomaly, or the reverse, by a decade; a field replaces the whole; after an hour nothing changes."""
    assert leads(incident("drift"), cell("anomaly", level=9.0), HOUR, SPANS)
    assert not leads(incident("drift"), cell("anomaly", level=8.5), HOUR, SPANS)
    assert not leads(incident("drift"), cell("anomaly", level=19.0), 3 * HOUR, SPANS)
    assert leads(incident("drift"), cell("stuck", level=2.0), HOUR, SPANS)
    assert leads(incident("anomaly", None), cell("anomaly", level=2.0), HOUR, SPANS)
    assert not leads(incident("anomaly"), cell("anomaly", None, level=19.0), HOUR, SPANS)


def test_a_resolved_incident_holds_back_only_its_own_cause() -> None:
    """The statistic itself and what it explains on the field; a stuck sensor after a burst opens at once."""
    ended = incident("anomaly", resolved_at=HOUR)
    assert still_cools(ended, cell("anomaly")) and still_cools(ended, cell("drift"))
    assert not still_cools(ended, cell("stuck")) and not still_cools(ended, cell("anomaly", "temperature"))


def test_severity_rises_with_the_decades_above_the_threshold() -> None:
    """Low at the threshold, medium from two decades, high from five; a sensor that gives nothing starts at medium."""
    assert [severity_of("drift", 7.0 + decades, 7.0) for decades in (0.0, 1.9, 2.0, 5.0, 12.0)] == [0, 0, 1, 2, 2]
    assert [severity_of("stuck", 7.0 + decades, 7.0) for decades in (0.0, 2.0, 12.0)] == [1, 2, 2]
    assert [severity_of_common("drift", affected, 48) for affected in (10, 23, 24)] == [1, 1, 2]


def test_spans_are_never_shorter_than_some_readings() -> None:
    """An hourly feed needs days where one that is read each second needs minutes."""
    assert spans_for(0).quiet == 30 * MINUTE
    assert spans_for(HOUR).quiet == 30 * HOUR
    assert spans_for(HOUR).cool == 60 * HOUR < 3 * DAY
