"""What a technician reads."""

from __future__ import annotations

from typing import get_args

import pytest

from contracts.definition import Feed
from contracts.durations import DAY, HOUR
from contracts.records import EvidenceSource, Sample
from online_model.sentences import Subject, number, plural, resolved_sentence, sentence
from tests.online_model.evidence_log import HIGHER, NORMAL, START, pumps

ONE = Subject("drift", "pump-07", "vibration", START + HOUR, START + 2 * HOUR, NORMAL, HIGHER)
MANY = ONE._replace(entity=None, affected=46, entities=48)


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (
            ONE,
            "pump-07: vibration is higher than before since 01:00 UTC: 3.1 instead of 2.4 mm/s; "
            "check the machine and the sensor's calibration.",
        ),
        (MANY, "Vibration of 46 of 48 pumps is higher than before since 01:00 UTC: 3.1 instead of 2.4 mm/s."),
        (
            ONE._replace(current=Sample(n=80, mean=2.41, std=0.55)),
            "pump-07: vibration is more scattered than before since 01:00 UTC: a standard deviation of 0.55 instead of 0.2 mm/s; "
            "check the machine and the sensor's calibration.",
        ),
        (
            ONE._replace(kind="anomaly", current=Sample(n=12, mean=9.3, std=0.3)),
            "pump-07: vibration has taken unusual values since 01:00 UTC: 12 readings around 9.3 instead of 2.4 mm/s; look at the machine.",
        ),
        (
            ONE._replace(kind="missing", reference=Sample(n=900, mean=0.011, std=0.0), current=Sample(n=60, mean=0.35, std=0.0)),
            "pump-07: vibration is missing more often than before since 01:00 UTC: in 35 % of readings instead of 1 %; "
            "check the sensor's connection.",
        ),
        (
            ONE._replace(kind="silence", field=None, now=START + DAY),
            "pump-07: not heard since 2026-11-20 01:00 UTC; check its power and its network.",
        ),
    ],
)
def test_sentences(subject: Subject, text: str) -> None:
    """Who, what, since when, how much in the field's unit, and what to look at."""
    assert sentence(pumps(), subject) == text


@pytest.mark.parametrize("kind", get_args(EvidenceSource))
@pytest.mark.parametrize("field", ["vibration", None])
@pytest.mark.parametrize("samples", [True, False])
def test_every_kind_has_a_sentence(kind: str, field: str | None, samples: bool) -> None:
    """For one entity and for many, with and without numbers: one line that ends with a full stop."""
    for subject in (ONE, MANY):
        asked = subject._replace(kind=kind, field=field)
        asked = asked if samples else asked._replace(reference=None, current=None)
        for text in (sentence(pumps(), asked), resolved_sentence(pumps(), asked, "back to normal", False)):
            assert text.endswith(".") and "\n" not in text and "None" not in text and ": :" not in text


def test_numbers_show_two_digits_of_the_difference() -> None:
    """Neither noise digits nor a difference rounded away."""
    assert [number(v, s) for v, s in ((1013.25, 0.4), (1013.25, 40.0), (-0.001, 0.5), (3e20, 1e19), (5.0, 0.0))] == [
        "1013.25",
        "1013",
        "0",
        "3e+20",
        "5",
    ]


def test_entities_are_called_by_the_feeds_own_word() -> None:
    """The entity field's name, made plural."""
    names = {"pump": "pumps", "pump_id": "pumps", "Device ID": "devices", "id": "entities", "chassis": "chassis"}
    assert {name: plural(Feed("f", entity=name, time="ts", fields=pumps().fields)) for name in names} == names
