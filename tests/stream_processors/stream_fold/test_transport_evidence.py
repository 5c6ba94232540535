"""Delay and consistency, from records to incidents: usual trouble on the way is none, a burst of each kind is told as what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import msgspec
import pytest

from contracts.durations import HOUR
from contracts.records import Alert, Evidence
from online_model.judge import Judge
from producers.scenario import Scenario
from producers.signals import Counter, Modes, Noise, Signal
from producers.simulator import Simulation
from producers.transport_faults import Transport
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.stream_fold.streams import CADENCE, MINUTE, START, Log, small_feed

FEED = replace(small_feed(season="20m", false_alarms_per_week=1), name="pumps")
PUMPS = [f"pump-{i:02d}" for i in range(12)]
HOURS = 4
FAULT = START + 3 * HOUR


@cache
def healthy() -> Log:
    """1 % repeats, 2 % out of order, and some late and damaged, as every feed has them."""
    signals = [Signal("heat", 60.0, Noise(2.0, 0.5), 1.0), Signal("flow", 20.0, Noise(1.0, 0.3)), Counter("strokes", 3.0)]
    transport = Transport(duplicates=0.01, disorder=0.02, late=0.003, malformed=0.001)
    modes = [Modes("mode", ["run", "idle", "wash"], mean_stay="2m")]
    log = Log([], [], [])
    for batch in Simulation(Scenario(FEED, PUMPS, CADENCE, signals, modes, transport=transport), 5, START, START + HOURS * HOUR).run():
        log.times.extend((batch.due // 1000 * 1000).tolist())
        log.keys.extend(batch.keys)
        log.values.extend(batch.values)
    return log


def faulty(change: Callable[[dict[str, object], int], None], entities: set[str], every: int = 1, minutes: int = 15) -> Log:
    """The healthy log with every n-th readable record of some pumps changed for a while from FAULT on."""
    log, seen = healthy(), 0
    values = list(log.values)
    for i, (key, value) in enumerate(zip(log.keys, log.values, strict=True)):
        if key is None or key.decode() not in entities or not FAULT <= log.times[i] < FAULT + minutes * MINUTE:
            continue
        try:
            event = json.loads(value or b"")
        except ValueError:
            continue
        if isinstance(event, dict):
            seen += 1
            if seen % every == 0:
                change(event, seen)
                values[i] = json.dumps(event).encode()
    return log._replace(values=values)


def evidence_of(log: Log) -> list[Evidence]:
    """What the fold puts on the evidence log, in one batch."""
    found = StreamFold(FEED, 0, 1).fold(log.batch(0, len(log.values))).records.get("evidence", [])
    return [msgspec.json.decode(item.value, type=Evidence) for item in found]


def alerts_of(evidence: list[Evidence]) -> list[Alert]:
    """What the judge says of it."""
    judge = Judge(FEED, 1)
    return [record for _, record in judge.fold(judge.new_state(), enumerate(evidence)) if isinstance(record, Alert)]


def shift(seconds: int) -> Callable[[dict[str, object], int], None]:
    """Moves the record's time."""

    def change(event: dict[str, object], _: int) -> None:
        stamp = event["ts"]
        if isinstance(stamp, int | float):
            event["ts"] = stamp + seconds * (1 if stamp < 1e11 else 1000 if stamp < 1e14 else 1_000_000)

    return change


def put(name: str, value: object) -> Callable[[dict[str, object], int], None]:
    """Sets one field."""
    return lambda event, _: event.update({name: value})


def test_usual_trouble_is_no_evidence() -> None:
    """Four hours with repeats, disorder, late and damaged records: neither source ever reaches its low bar."""
    assert [e for e in evidence_of(healthy()) if e.source in ("delay", "consistency")] == []
    summary = next(e for e in evidence_of(healthy()) if e.kind == "summary")
    assert (summary.cells["delay"], summary.cells["consistency"], summary.cells["anomaly"]) == (12, 12, 48)


@pytest.mark.parametrize("change", [shift(365 * 86_400), shift(-300)], ids=["a year ahead", "five minutes late"])
@pytest.mark.parametrize("every", [1, 2])
def test_a_device_whose_clock_goes_wrong_is_told(change: Callable[[dict[str, object], int], None], every: int) -> None:
    """One incident of delay on that pump, within ten minutes; its shares are said, and no evidence is dated ahead."""
    evidence = evidence_of(faulty(change, {"pump-03"}, every))
    assert max(e.event_time for e in evidence) < START + HOURS * HOUR + MINUTE
    opened = [a for a in alerts_of(evidence) if a.status == "opened" and a.kind == "delay"]
    assert [(a.entity, a.field) for a in opened] == [("pump-03", None)]
    assert FAULT <= opened[0].event_time <= FAULT + 10 * MINUTE
    assert "arrive late, or stamped ahead, more often than before" in opened[0].sentence and "of records instead of 0" in opened[0].sentence
    assert [a.status for a in alerts_of(evidence) if a.incident == opened[0].incident][-1] == "resolved"


WRONG: dict[str, Callable[[dict[str, object], int], None]] = {
    "damaged records": put("ts", "yesterday"),
    "wrong types": put("heat", "warm"),
    "wrong keys": put("pump", "somebody else"),
    "unknown fields": put("firmware", "2.0"),
    "categories never seen": put("mode", "RUN"),
}


@pytest.mark.parametrize("what", WRONG)
def test_records_that_no_longer_fit_are_told(what: str) -> None:
    """After a change of half the pumps one incident of the feed opens, within two minutes; it says what does not fit."""
    evidence = evidence_of(faulty(WRONG[what], set(PUMPS[:6])))
    opened = [a for a in alerts_of(evidence) if a.status == "opened" and a.kind == "consistency"]
    assert [(a.scope, a.entity, a.field) for a in opened] == [("feed", None, None)]
    assert opened[0].features[0][0] == what
    assert FAULT <= opened[0].event_time <= FAULT + 2 * MINUTE
    assert f"records no longer fit the definition since 03:00 UTC: {what}, in " in opened[0].sentence
    assert [a.status for a in alerts_of(evidence) if a.incident == opened[0].incident][-1] == "resolved"
