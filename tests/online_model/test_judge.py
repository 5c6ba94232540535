"""The judge's scenarios: what evidence becomes which incidents."""

from __future__ import annotations

import msgspec
import pytest

from contracts.definition import Feed
from contracts.durations import MINUTE
from contracts.ids import parse_id
from contracts.records import AdwinChange, Alert, RetrainRequest, Sample
from online_model.judge import Judge
from online_model.judge_state import JudgeState
from tests.online_model.evidence_log import HIGHER, NORMAL, START, EvidenceLog, alerts, judged, pumps, told


def begun(minutes: float = 3_000, **settings: int) -> EvidenceLog:
    """A log of a feed whose rate is known at minute 0."""
    log = EvidenceLog(**settings)
    log.summaries(-3_000, minutes)
    return log


def test_a_stuck_sensor_is_one_incident_and_its_drift_joins_it() -> None:
    """Stuck opens, the drift of the same field that must follow joins, and both end as one."""
    log = begun()
    log.climb(0, "pump-07", "temperature", "stuck", current=Sample(n=41, mean=20.5, std=0.0))
    log.climb(5, "pump-07", "temperature", "drift", top=12)
    log.level(30, "pump-07", "temperature", "stuck", 0.0)
    log.level(45, "pump-07", "temperature", "drift", 0.0)
    found = alerts(log)
    assert told(found)[0] == ("opened", "stuck", "pump-07", "temperature")
    assert {alert.incident for alert in found} == {found[0].id}
    assert told(found)[-1][0] == "resolved"
    assert "stuck at 20.5 degC since 00:00 UTC (41 readings)" in found[0].sentence


def test_a_more_specific_source_takes_over_a_young_incident() -> None:
    """Drift that opens first is told again as stuck, with the same incident id, when the stuck value explains it."""
    log = begun(600)
    log.climb(1, "pump-07", "temperature", "drift")
    log.climb(0, "pump-07", "temperature", "stuck", pace=4.0)
    found = alerts(log)
    assert told(found)[0] == ("opened", "drift", "pump-07", "temperature")
    assert ("updated", "stuck", "pump-07", "temperature") in told(found)
    assert len({alert.incident for alert in found}) == 1


def test_a_sensor_that_sticks_after_hours_of_drift_is_a_second_incident() -> None:
    """A more specific source joins only a young incident: later it is a fault of its own."""
    log = begun(1_500)
    log.climb(0, "pump-07", "temperature", "drift")
    log.climb(600, "pump-07", "temperature", "stuck")
    opened = [alert for alert in alerts(log) if alert.status == "opened"]
    assert told(opened) == [("opened", "drift", "pump-07", "temperature"), ("opened", "stuck", "pump-07", "temperature")]


def test_a_spike_burst_is_one_anomaly_whatever_the_drift_statistic_says() -> None:
    """The mean-based statistic that a burst drags along belongs to the burst, before as after it."""
    for first, second in ((0.0, 3.0), (3.0, 0.0)):
        log = begun(600)
        log.climb(first, "pump-03", "vibration", "anomaly", top=14, pace=0.5)
        log.climb(second, "pump-03", "vibration", "drift", top=9, pace=2.0)
        found = alerts(log)
        assert len({alert.incident for alert in found}) == 1
        assert found[-1].kind == "anomaly"


@pytest.mark.parametrize(("anomaly_ends", "drift_ends", "kind", "requests"), [(280, 900, "drift", 1), (280, 120, "anomaly", 0)])
def test_values_that_stay_where_they_went_are_drift_in_the_end(anomaly_ends: int, drift_ends: int, kind: str, requests: int) -> None:
    """An anomaly that ends while drift of its field stands was no burst: the incident is told again as drift, and asks for a model."""
    log = begun(600)
    log.climb(0, "pump-03", "vibration", "anomaly", top=19, pace=0.3, reference=NORMAL, current=HIGHER)
    log.climb(0, "pump-03", "vibration", "drift", top=17, pace=3.0)
    log.level(anomaly_ends, "pump-03", "vibration", "anomaly", 0.0)
    log.level(drift_ends, "pump-03", "vibration", "drift", 0.0)
    out = judged(log)
    found = [record for record in out if isinstance(record, Alert)]
    assert len({alert.incident for alert in found}) == 1
    assert found[-1].kind == kind
    assert all(alert.first_seen == found[0].first_seen for alert in found)
    assert sum(isinstance(record, RetrainRequest) for record in out) == requests


def test_slow_wear_of_two_fields_is_one_drift_with_a_retrain_request() -> None:
    """Two fields that began to change at nearly the same hour are one cause; a model is asked for once it is medium."""
    log = begun(3_000)
    log.climb(
        0,
        "pump-12",
        "vibration",
        "drift",
        top=14,
        pace=60.0,
        reference=NORMAL,
        current=HIGHER,
        direction=1,
        contributions={"vibration": 0.7, "temperature": 0.3},
    )
    log.climb(120, "pump-12", "temperature", "drift", top=10, pace=100.0)
    out = judged(log)
    found = [record for record in out if isinstance(record, Alert)]
    requests = [record for record in out if isinstance(record, RetrainRequest)]
    assert [alert.status for alert in found] == ["opened", "updated", "updated"]
    assert [alert.severity for alert in found] == ["low", "medium", "high"]
    assert found[0].features == [("vibration", 0.7), ("temperature", 0.3)]
    assert "vibration is higher than before since 00:00 UTC: 3.1 instead of 2.4 mm/s" in found[0].sentence
    assert len(requests) == 1
    assert requests[0].incident == found[0].incident
    assert requests[0].pin.generations == {"0": 1}
    assert requests[0].pin.offsets["0"][1] == parse_id(log.in_time()[parse_id(requests[0].id).offset][1].id).offset + 1


def test_drift_of_the_fleet_is_one_incident_and_takes_over_what_opened_before() -> None:
    """A pump quick enough to open alone is resolved into the feed-wide incident; no other pump opens one."""
    log = begun(600)
    log.climb(0, "pump-00", "vibration", "drift", direction=1, top=12, pace=1.0, reference=NORMAL, current=HIGHER)
    for pump in range(1, 46):
        log.climb(pump * 0.3, f"pump-{pump:02}", "vibration", "drift", direction=1, top=12, pace=5.0, reference=NORMAL, current=HIGHER)
    out = judged(log)
    found = [record for record in out if isinstance(record, Alert)]
    feed_wide = next(alert for alert in found if alert.scope == "feed")
    assert (feed_wide.status, feed_wide.kind, feed_wide.field, feed_wide.entity) == ("opened", "drift", "vibration", None)
    assert [alert.entity for alert in found if alert.status == "opened" and alert.scope == "entity"] == ["pump-00"]
    merged = next(alert for alert in found if alert.merged_into)
    assert (merged.entity, merged.status, merged.merged_into) == ("pump-00", "resolved", feed_wide.incident)
    assert feed_wide.sentence.startswith("Vibration of ") and "of 48 pumps is higher than before since 00:" in feed_wide.sentence
    assert [alert.scope for alert in found if alert.status != "resolved"][-1] == "feed"
    assert max(len(alert.entities) for alert in found) >= 24
    assert len([record for record in out if isinstance(record, RetrainRequest)]) == 1
    assert len(found) <= 6


def test_a_stuck_pump_is_not_hidden_by_a_drift_of_the_fleet() -> None:
    """Pump 7 sticks on one field while the fleet drifts on another: two incidents, neither hides the other."""
    log = begun(600)
    for pump in range(46):
        log.climb(pump * 0.3, f"pump-{pump:02}", "vibration", "drift", direction=1, top=12, pace=5.0)
    log.climb(2, "pump-07", "temperature", "stuck", pace=2.0)
    last = {alert.incident: alert for alert in alerts(log)}
    open_now = sorted(
        (alert.scope, alert.kind, alert.entity or "", alert.field or "") for alert in last.values() if alert.status != "resolved"
    )
    assert open_now == [("entity", "stuck", "pump-07", "temperature"), ("feed", "drift", "", "vibration")]


def test_a_drift_the_other_way_is_not_the_fleets() -> None:
    """A pump that falls while the fleet rises has a cause of its own."""
    log = begun(900)
    for pump in range(46):
        log.climb(pump * 0.3, f"pump-{pump:02}", "vibration", "drift", direction=1, top=12, pace=5.0)
    log.climb(300, "pump-47", "vibration", "drift", direction=-1, top=12, pace=5.0)
    opened = [(alert.scope, alert.entity) for alert in alerts(log) if alert.status == "opened"]
    assert opened == [("feed", None), ("entity", "pump-47")]


def test_wear_that_began_days_before_is_not_merged_into_a_drift_of_the_fleet() -> None:
    """An incident opened well before the fleet changed keeps its own cause."""
    log = begun(5_000)
    log.climb(0, "pump-12", "vibration", "drift", direction=1, top=12, pace=60.0)
    for pump in range(20):
        log.climb(4_000 + pump * 0.3, f"pump-{pump + 20:02}", "vibration", "drift", direction=1, top=12, pace=5.0)
    found = alerts(log)
    assert not any(alert.merged_into for alert in found)
    assert {alert.scope for alert in found if alert.status == "opened"} == {"entity", "feed"}


def test_many_single_faults_over_weeks_are_no_common_cause() -> None:
    """Fifteen pumps that drift one after another, days apart, stay fifteen incidents."""
    log = begun(25_000)
    for pump in range(15):
        log.climb(pump * 1_500, f"pump-{pump:02}", "vibration", "drift", direction=1, top=12, pace=5.0)
    found = alerts(log)
    assert {alert.scope for alert in found} == {"entity"}
    assert len({alert.incident for alert in found}) == 15


def test_one_pump_with_a_fault_and_others_that_tremble_are_no_fleet() -> None:
    """The mean may be carried by one: half of the needed entities must carry it."""
    log = begun(600)
    log.climb(0, "pump-00", "vibration", "drift", direction=1, top=19)
    for pump in range(1, 12):
        log.climb(0, f"pump-{pump:02}", "vibration", "drift", direction=1, top=3)
    assert {alert.scope for alert in alerts(log)} == {"entity"}


@pytest.mark.parametrize(("second", "opened"), [(7.0, 60), (8.0, 12)])
def test_an_entity_waits_while_a_common_cause_builds_up(second: float, opened: int) -> None:
    """Until the next summary at most, or one more decade of its own."""
    log = begun(100)
    for pump in range(1, 13):
        log.level(9, f"pump-{pump:02}", "vibration", "drift", 4.0, direction=1)
    log.level(10, "pump-00", "vibration", "drift", 7.0, direction=1)
    log.level(12, "pump-00", "vibration", "drift", second, direction=1)
    assert [(alert.entity, (alert.event_time - START) // MINUTE) for alert in alerts(log)] == [("pump-00", opened)]


def test_a_record_out_of_order_does_not_turn_the_clock_back() -> None:
    """What the judge decides bears the partition clock, not the time of a reading that came late."""
    log = begun(0)
    log.put("level", 60, offset=9_000, entity="pump-02", field="vibration", source="drift", log10_e=2.0)
    log.put("level", 40, offset=9_001, entity="pump-01", field="vibration", source="drift", log10_e=8.0)
    state = Judge(pumps(), 1).new_state()
    Judge(pumps(), 1).fold(state, log.records)
    assert state.cells["pump-01", -1, "vibration", "drift"].told == START + 60 * MINUTE


def test_silence_ends_when_heard_again() -> None:
    """No quiet time is waited for: a reading is proof."""
    log = begun(600)
    log.climb(0, "pump-30", None, "silence", top=7, direction=-1)
    log.level(90, "pump-30", None, "silence", 0.0)
    found = alerts(log)
    assert told(found) == [("opened", "silence", "pump-30", None), ("resolved", "silence", "pump-30", None)]
    assert found[0].sentence == "pump-30: not heard since 00:00 UTC; check its power and its network."
    assert found[1].event_time == START + 90 * MINUTE


def idle_log(stop: bool) -> EvidenceLog:
    log = begun(0, partitions=2)
    if stop:
        log.put("planned_stop", 1, offset=70)
    log.put("idle", 5, offset=60, since=START)
    log.put("idle", 6, partition=1, offset=60, since=START)
    log.put("level", 700, entity="pump-01", field="vibration", source="drift", log10_e=2.0)
    log.put("level", 701, partition=1, entity="pump-02", field="vibration", source="drift", log10_e=2.0)
    return log


def test_idle_partitions_are_one_silence_until_heard() -> None:
    """Two partitions that fall idle together are one incident, which ends with the last one's next record."""
    found = alerts(idle_log(stop=False))
    assert [(alert.status, alert.scope) for alert in found] == [("opened", "feed"), ("updated", "feed"), ("resolved", "feed")]
    assert found[1].sentence.startswith("Partitions 0, 1 of pumps have received nothing since 00:00 UTC")


def test_a_planned_stop_is_no_silence() -> None:
    """A partition whose sender has said that it stops may fall idle; the other one may not."""
    found = alerts(idle_log(stop=True))
    assert [alert.status for alert in found] == ["opened", "resolved"]
    assert "Partition 1 of pumps has" in found[0].sentence


def test_a_planned_stop_holds_until_something_newer_is_read() -> None:
    """After new readings an idle partition is an incident again."""
    log = begun(0)
    log.put("planned_stop", 1, offset=50)
    log.put("summary", 60, entities=48, counters={"folded": 5})
    log.put("idle", 70, offset=60 * 48, since=START + 60 * MINUTE)
    assert [alert.kind for alert in alerts(log)] == ["silence"]


def test_a_flapping_statistic_is_one_incident() -> None:
    """Up and down every ten minutes for hours: opened once, resolved once."""
    log = begun(1_000)
    for swing in range(30):
        log.climb(swing * 20, "pump-05", "vibration", "drift", top=8, pace=0.5)
        log.level(swing * 20 + 10, "pump-05", "vibration", "drift", 0.0)
    assert [alert.status for alert in alerts(log)] == ["opened", "resolved"]


def test_the_same_cause_may_not_open_again_before_it_has_cooled_down() -> None:
    """Within the cool-down nothing opens; what still stands afterwards does, at the next summary."""
    log = begun(1_000)
    log.climb(0, "pump-05", "vibration", "drift", top=8)
    log.level(20, "pump-05", "vibration", "drift", 0.0)
    log.climb(70, "pump-05", "vibration", "drift", top=8)
    found = [(alert.status, (alert.event_time - START) // MINUTE) for alert in alerts(log)]
    assert found[1:] == [("resolved", 60), ("opened", 120)]


def test_two_causes_of_one_entity_are_two_incidents() -> None:
    """A stuck field, and hours later a burst on another one."""
    log = begun(1_000)
    log.climb(0, "pump-05", "temperature", "stuck")
    log.climb(400, "pump-05", "vibration", "anomaly")
    assert told([alert for alert in alerts(log) if alert.status == "opened"]) == [
        ("opened", "stuck", "pump-05", "temperature"),
        ("opened", "anomaly", "pump-05", "vibration"),
    ]


def test_nothing_opens_below_the_threshold_and_less_before_the_rate_is_known() -> None:
    """48 pumps, a reading a minute: drift needs 10^6.54; before the first summaries 10^9.56."""
    for summaries, level, opens in ((True, 6.0, False), (True, 7.0, True), (False, 9.0, False), (False, 10.0, True)):
        log = begun(0) if summaries else EvidenceLog()
        log.level(1, "pump-01", "vibration", "drift", level)
        assert bool(alerts(log)) == opens


def test_evidence_that_waited_for_the_rate_opens_at_the_summary() -> None:
    """A level told under the default threshold is looked at again when the threshold is known."""
    log = EvidenceLog()
    log.level(1, "pump-01", "vibration", "drift", 8.0)
    log.summaries(2, 200)
    assert [(alert.status, (alert.event_time - START) // MINUTE) for alert in alerts(log)] == [("opened", 62)]


def test_a_second_drift_within_a_day_asks_for_no_second_model() -> None:
    """A request counts as in progress for a day of event time."""
    log = begun(4_000)
    for start, pump in ((0, "pump-01"), (300, "pump-02"), (2_000, "pump-03")):
        log.climb(start, pump, "vibration", "drift", top=12, since_offset=start * 48)
    requests = [record for record in judged(log) if isinstance(record, RetrainRequest)]
    assert [parse_id(request.id).kind for request in requests] == ["retrain", "retrain"]
    assert requests[1].event_time - requests[0].event_time >= 1_440 * MINUTE
    assert [request.from_offset for request in requests] == [{"0": 0}, {"0": 2_000 * 48}]


def test_a_new_generation_voids_the_statistics_of_its_partition() -> None:
    """No stream fold will say that they fell; their incidents end after the quiet time, and lower generations are repeats."""
    log = begun(0)
    log.climb(0, "pump-01", "vibration", "drift", top=8)
    log.put("summary", 30, generation=2, offset=5, entities=48, counters={"folded": 5})
    log.put("level", 40, generation=1, offset=9_999, entity="pump-02", field="vibration", source="drift", log10_e=19.0)
    log.put("summary", 70, generation=2, offset=50, entities=48, counters={"folded": 50})
    assert told(alerts(log)) == [("opened", "drift", "pump-01", "vibration"), ("resolved", "drift", "pump-01", "vibration")]


def test_what_is_no_evidence_of_this_feed_is_counted_and_changes_nothing() -> None:
    """An unreadable id, another feed's record and a statistic without a source are left out."""
    judge = Judge(pumps(), 1)
    log = EvidenceLog()
    log.level(1, "pump-01", "vibration", "drift", 19.0)
    log.level(2, "pump-01", "vibration", "drift", 19.0)
    log.put("level", 3, entity="pump-01", log10_e=19.0)
    log.records[0][1].id, log.records[1][1].id = "nonsense", "water/1/0/5/evidence/0"
    state = judge.new_state()
    assert judge.fold(state, log.records) == []
    assert (state.counters["read"], state.counters["unreadable"]) == (3, 3)


def test_an_alert_bears_what_adwin_said_with_its_evidence() -> None:
    """The change that comes with the evidence stands on the alerts that it causes, across restarts; else there is no such key."""
    change = AdwinChange(event_time=START + 22 * MINUTE, old_n=640, old_mean=0.47, new_n=9, new_mean=0.92)
    feed, log = pumps(), begun(0)
    log.level(20, "pump-01", "vibration", "drift", 9.0)
    log.level(25, "pump-01", "vibration", "drift", 12.0, adwin=change)
    log.level(30, "pump-01", "vibration", "drift", 0.0)
    log.level(40, "pump-02", "vibration", "drift", 9.0)
    log.summaries(100, 400)
    judge, state, out = Judge(feed, 1), JudgeState(feed), []
    for record in log.in_time():
        state = judge.from_bytes(judge.to_bytes(state))
        out += [alert for _, alert in judge.fold(state, [record]) if isinstance(alert, Alert)]
    assert [(a.status, a.entity, a.adwin) for a in out] == [
        ("opened", "pump-01", None),
        ("updated", "pump-01", change),
        ("opened", "pump-02", None),
        ("resolved", "pump-01", change),
    ]
    assert [b'"adwin"' in msgspec.json.encode(a) for a in out] == [False, True, False, True]
    assert state.adwin == {}


@pytest.mark.parametrize("entity", ["pump", "pump_id", "Pump ID"])
def test_ids_follow_from_the_offset_of_the_evidence(entity: str) -> None:
    """An incident is named by its opening alert, whose id holds the evidence's generation and offset."""
    log = begun(0)
    log.level(1, "pump-01", "vibration", "drift", 9.0)
    feed = Feed("pumps", entity=entity, time="ts", fields=pumps().fields)
    (offset, alert), *_ = [item for item in Judge(feed, 7).fold(Judge(feed, 7).new_state(), log.in_time()) if isinstance(item[1], Alert)]
    assert alert.id == alert.incident == f"pumps/7/evidence/{offset}/alert/0"


def test_partitions_whose_records_stop_fitting_together_are_one_incident() -> None:
    """Devices changed at one time send through every partition: one incident, over when all fit again; a later change is another."""
    log = EvidenceLog(partitions=3)
    log.summaries(0, 900)
    for partition, minute in enumerate((400, 402, 405)):
        log.level(minute, None, None, "consistency", 9.0, since=minute - 1, partition=partition, contributions={"unknown fields": 1.0})
        log.level(500 + partition, None, None, "consistency", 0.0, partition=partition)
    log.level(800, None, None, "consistency", 9.0, since=799, partition=1)
    found = alerts(log)
    assert {(a.kind, a.scope) for a in found} == {("consistency", "feed")}
    assert [a.status for a in found] == ["opened", "resolved", "opened"]
    assert found[0].features == [("unknown fields", 1.0)]
    assert found[1].event_time >= START + 502 * MINUTE


def test_an_entity_that_is_unusual_as_a_whole_is_called_so_until_a_field_is_known() -> None:
    """One incident: opened on the anomaly of the entity, renamed when hours later the drift of a field passes its threshold."""
    log = EvidenceLog()
    log.summaries(0, 900)
    log.climb(300, "pump-07", None, "anomaly", pace=15, contributions={"vibration_rate": 0.6, "vibration_last": 0.4})
    log.climb(550, "pump-07", "vibration", "drift", pace=2, direction=1)
    found = alerts(log)
    assert told(found)[0] == ("opened", "anomaly", "pump-07", None)
    assert "most of all vibration_rate and vibration_last; look at the machine." in found[0].sentence
    assert {a.incident for a in found} == {found[0].incident}
    assert ("updated", "drift", "pump-07", "vibration") in told(found)
