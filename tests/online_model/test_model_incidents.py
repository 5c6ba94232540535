"""Data drift, drift of the predictions, a changed concept and skew are told apart, and what explains what is said."""

from __future__ import annotations

from dataclasses import replace

from contracts.definition import Feed, Regression
from contracts.durations import MINUTE
from contracts.records import RetrainRequest, Sample
from tests.online_model.evidence_log import HIGHER, NORMAL, START, EvidenceLog, alerts, judged, pumps, told

FEED: Feed = replace(pumps(), target=Regression("power", unit="kW"))
LOSSES = {"reference": Sample(n=1024, mean=0.4, std=0.0), "current": Sample(n=600, mean=1.2, std=0.0), "direction": 1}
POWERS = {"reference": Sample(n=900, mean=12.0, std=0.5), "current": Sample(n=60, mean=15.0, std=0.5), "direction": 1}
HEATS = {"reference": NORMAL, "current": HIGHER, "direction": 1}


def begun(minutes: float = 3_000) -> EvidenceLog:
    """A log of a feed whose rate is known at minute 0."""
    log = EvidenceLog()
    log.summaries(-3_000, minutes)
    return log


def learner_says(log: EvidenceLog, minute: float, source: str, level: float, since: float = 0.0, **values: object) -> None:
    """Evidence as the learner writes it: of no entity, in a partition that no stream fold has."""
    log.level(minute, None, None, source, level, since=since, partition=-1, **values)


def test_predictions_that_change_alone_are_an_incident_of_their_own() -> None:
    """It names the target in its unit, says that no reading explains it, asks for no model, and ends."""
    log = begun()
    log.climb(0, "pump-07", "power", "prediction", **POWERS)
    log.level(100, "pump-07", "power", "prediction", 0.0)
    found = judged(log, FEED)
    assert not any(isinstance(record, RetrainRequest) for record in found)
    said = alerts(log, FEED)
    assert told(said) == [("opened", "prediction", "pump-07", "power"), *told(said)[1:-1], ("resolved", "prediction", "pump-07", "power")]
    assert said[0].sentence == (
        "pump-07: predictions of power are higher than before since 00:00 UTC: 15 instead of 12 kW; "
        "no reading explains it yet, compare them with what the machine does."
    )


def test_predictions_follow_the_data_that_moved_them() -> None:
    """Whichever rises first, a field that drifts with them is the incident: one, of the field."""
    for field_at, predictions_at in ((0.0, 2.0), (0.5, 0.0)):
        log = begun()
        log.climb(field_at, "pump-07", "temperature", "drift", top=12, **HEATS)
        log.climb(predictions_at, "pump-07", "power", "prediction", top=12, **POWERS)
        found = alerts(log, FEED)
        assert told(found)[0] == ("opened", "drift", "pump-07", "temperature")
        assert len({alert.incident for alert in found}) == 1
        assert all(alert.kind == "drift" for alert in found)


def test_an_incident_of_predictions_becomes_that_of_the_field_that_explains_it() -> None:
    """The field's evidence comes minutes later: the same incident is told again, as drift of the field."""
    log = begun()
    log.climb(0, "pump-07", "power", "prediction", **POWERS)
    log.climb(4, "pump-07", "temperature", "drift", **HEATS)
    found = alerts(log, FEED)
    assert told(found)[0] == ("opened", "prediction", "pump-07", "power")
    assert ("updated", "drift", "pump-07", "temperature") in told(found)
    assert len({alert.incident for alert in found}) == 1


def test_predictions_of_a_fleet_follow_its_common_drift() -> None:
    """Both rise on twenty pumps: one incident, which the field names in the end."""
    log = begun()
    for pump in range(20):
        log.climb(0.1 * pump, f"pump-{pump:02d}", "power", "prediction", **POWERS)
        log.climb(3 + 0.1 * pump, f"pump-{pump:02d}", "temperature", "drift", **HEATS)
    found = alerts(log, FEED)
    common = {alert.incident for alert in found if alert.scope == "feed"}
    assert len(common) == 1
    last = [alert for alert in found if alert.scope == "feed"][-1]
    assert (last.kind, last.field) == ("drift", "temperature")


def test_a_changed_concept_is_told_alone() -> None:
    """Errors rise, readings and predictions do not: the relation has changed, and a model is asked for."""
    log = begun()
    for level in range(2, 10):
        learner_says(log, 10.0 * level, "concept", float(level), **LOSSES)
    found = judged(log, FEED)
    said = alerts(log, FEED)
    assert told(said)[0] == ("opened", "concept", None, None)
    assert said[0].sentence.endswith("over 600 labels; the relation of the readings to the target has changed.")
    assert [record.reason for record in found if isinstance(record, RetrainRequest)] == ["concept, severity low"]


def test_a_concept_that_changes_while_data_drift_is_open_says_so() -> None:
    """Two incidents, and the sentence of the concept names the other; one that has ended is not named."""
    for ended in (False, True):
        log = begun()
        log.climb(0, "pump-07", "temperature", "drift", **HEATS)
        if ended:
            log.level(30, "pump-07", "temperature", "drift", 0.0)
        for level in range(2, 10):
            learner_says(log, 200 + 10.0 * level, "concept", float(level), since=2.0, **LOSSES)
        opened = [alert for alert in alerts(log, FEED) if alert.status == "opened"]
        assert told(opened) == [("opened", "drift", "pump-07", "temperature"), ("opened", "concept", None, None)]
        named = "the data have changed as well (drift of temperature of pump-07), which may be the reason" in opened[1].sentence
        assert named != ended


def test_skew_names_the_features_and_concept_and_skew_are_two() -> None:
    """Both begin at the same moment: two incidents, each with its own request."""
    log = begun()
    shares = {"temperature_mean_1m (missing)": 0.7, "temperature_last (missing)": 0.3}
    learner_says(log, 10, "skew", 4.5, psi=3.2, contributions=shares)
    for level in range(2, 10):
        learner_says(log, 20.0 + level, "concept", float(level), **LOSSES)
    found = judged(log, FEED)
    opened = [alert for alert in alerts(log, FEED) if alert.status == "opened"]
    assert told(opened) == [("opened", "skew", None, None), ("opened", "concept", None, None)]
    assert opened[0].sentence == (
        "pumps: what is served differs since 00:00 UTC from what the model was trained on: most of all "
        "temperature_mean_1m (missing) and temperature_last (missing); check units and devices."
    )
    assert (opened[0].psi, opened[0].features[0]) == (3.2, ("temperature_mean_1m (missing)", 0.7))
    assert "(skew)" in opened[1].sentence
    assert len([record for record in found if isinstance(record, RetrainRequest)]) == 2


def test_incidents_of_the_learner_end_by_the_clocks_of_the_partitions() -> None:
    """The learner says once that a statistic has fallen; the quiet time passes on the clocks of those that go on."""
    log = begun()
    learner_says(log, 10, "skew", 4.5, contributions={"x (constant)": 1.0})
    learner_says(log, 50, "skew", 0.0)
    last = alerts(log, FEED)[-1]
    assert last.status == "resolved"
    assert last.event_time <= START + 150 * MINUTE
