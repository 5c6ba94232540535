"""From the anomaly scores of an entity as a whole to an incident, with models of either kind."""

from __future__ import annotations

import itertools
import json
from functools import cache

import msgspec
import numpy as np

from contracts.definition import Feed, Number
from contracts.records import Alert, Evidence
from online_model.judge import Judge
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.stream_fold.streams import MINUTE, START, Log

PUMPS = [f"pump-{i}" for i in range(12)]
FAULT, END = 24 * 60, 34 * 60  # minutes


def feed_with(anomaly: str = "half-space-trees") -> Feed:
    """Data quality and the score alone: no detector of a field's drift runs, so what is found the score has found."""
    fields = [Number(name, features=["mean", "std", "last"]) for name in ("heat", "flow", "load")]
    return Feed(
        "pumps",
        entity="pump",
        time="ts",
        fields=fields,
        windows=["10m"],
        lateness="2m",
        time_features=False,
        season="2h",
        detectors=[],
        anomaly=anomaly,
        false_alarms_per_week=20,
        partitions=1,
    )


@cache
def log() -> Log:
    """A reading a minute and pump; from FAULT on two fields of one pump are higher by six deviations for six hours."""
    rng = np.random.default_rng(8)
    drawn = rng.standard_normal((END, len(PUMPS), 3))
    drawn[FAULT : FAULT + 360, 3, :2] += 6.0
    times, keys, values = [], [], []
    for minute in range(END):
        for i, name in enumerate(PUMPS):
            heat, flow, load = drawn[minute, i].tolist()
            times.append(START + minute * MINUTE)
            keys.append(name.encode())
            stamp = (START + minute * MINUTE) // 1000
            values.append(json.dumps({"pump": name, "ts": stamp, "heat": heat, "flow": flow, "load": load}).encode())
    return Log(times, list(keys), list(values))


def evidence_of(feed: Feed, end: int, cuts: int) -> list[Evidence]:
    """Evidence of the first `end` minutes, folded in so many batches."""
    fold, n = StreamFold(feed, 0, 1), end * len(PUMPS)
    edges = np.linspace(0, n, cuts + 1).astype(int).tolist()
    items = [item for a, b in itertools.pairwise(edges) for item in fold.fold(log().batch(a, b)).records.get("evidence", [])]
    return [msgspec.json.decode(item.value, type=Evidence) for item in items]


def test_an_entity_unusual_as_a_whole_opens_one_incident() -> None:
    """On that pump alone, within the fault, with the fields that are off in front; it ends after the fault."""
    judge = Judge(feed_with(), 1)
    evidence = evidence_of(feed_with(), END, 7)
    alerts = [a for _, a in judge.fold(judge.new_state(), enumerate(evidence)) if isinstance(a, Alert)]
    opened = [a for a in alerts if a.status == "opened"]
    assert [(a.kind, a.entity, a.field) for a in opened] == [("anomaly", "pump-3", None)]
    assert FAULT < (opened[0].event_time - START) // MINUTE <= FAULT + 360
    assert opened[0].features[0][0].split("_")[0] in ("heat", "flow")
    assert opened[0].current is not None and opened[0].reference is not None
    assert opened[0].current.mean > opened[0].reference.mean
    assert "taken together are unusual" in opened[0].sentence
    assert alerts[-1].status == "resolved"


def test_a_model_from_river_gives_the_same_evidence() -> None:
    """River's own trees score outside of the compiled loop; what they raise is the same, in whatever batches."""
    river = evidence_of(feed_with("river.anomaly.HalfSpaceTrees"), FAULT + 120, 11)
    ours = evidence_of(feed_with(), FAULT + 120, 1)
    assert [e for e in ours if e.source == "anomaly"]
    assert river == ours
