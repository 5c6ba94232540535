"""From readings to an alert that says what ADWIN found."""

from __future__ import annotations

import json

import msgspec
import numpy as np

from contracts.definition import Feed, Number
from contracts.records import Alert, Evidence
from online_model.judge import Judge
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.stream_fold.streams import MINUTE, START, Log

SHIFT, BACK, END = 1_000, 1_300, 2_000  # minutes


def alerts_of(detectors: list[str]) -> list[Alert]:
    """Of three pumps with a reading a minute, one of which runs hotter by one deviation from minute SHIFT to BACK."""
    feed = Feed(
        "pumps",
        entity="pump",
        time="ts",
        fields=[Number("heat")],
        windows=["10m"],
        season=None,
        detectors=detectors,
        partitions=1,
        false_alarms_per_week=20,
    )
    drawn = np.random.default_rng(4).standard_normal((END, 3))
    drawn[SHIFT:BACK, 1] += 1.0
    log = Log([], [], [])
    for minute in range(END):
        for pump in range(3):
            event = {"pump": f"pump-{pump}", "ts": (START + minute * MINUTE) // 1000, "heat": drawn[minute, pump]}
            log.times.append(START + minute * MINUTE)
            log.keys.append(event["pump"].encode())
            log.values.append(json.dumps(event).encode())
    evidence = StreamFold(feed, 0, 1).fold(log.batch(0, len(log.values))).records["evidence"]
    judge = Judge(feed, 1)
    records = [msgspec.json.decode(item.value, type=Evidence) for item in evidence]
    return [record for _, record in judge.fold(judge.new_state(), enumerate(records)) if isinstance(record, Alert)]


def test_what_adwin_found_stands_on_the_alerts_of_the_drift_that_the_budget_let_through() -> None:
    """On its end at the latest: from ranks around ½ to high ones, within the shift; alerts are else those without ADWIN."""
    with_it, without = alerts_of(["e-detector", "adwin"]), alerts_of(["e-detector"])
    assert {(alert.kind, alert.entity) for alert in with_it} == {("drift", "pump-1")}
    assert (with_it[0].status, with_it[-1].status) == ("opened", "resolved")
    change = with_it[-1].adwin
    assert change is not None
    assert START + SHIFT * MINUTE < change.event_time < START + BACK * MINUTE
    assert change.old_n > 200
    assert abs(change.old_mean - 0.5) < 0.1
    assert change.new_mean > 0.65
    for alert in with_it:
        alert.adwin = None
    assert with_it == without
