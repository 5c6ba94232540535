"""Valid records of every topic, as the folds themselves write them."""

from __future__ import annotations

import base64
import functools

import msgspec
import numpy as np

from contracts.definition import Classification, Feed, Regression
from contracts.records import AdwinChange, Answer, DatasetPin, Decision, Example, LeftOut, RetrainRequest, Rollout, Sample, Switch
from stream_processors.log_fold import Outputs
from stream_processors.stream_fold.fold import StreamFold
from tests.online_model.evidence_log import EvidenceLog, judged, pumps
from tests.online_model.snapshots import arrival_of, linear_snapshot
from tests.stream_processors.joiner.label_streams import stream
from tests.stream_processors.stream_fold.streams import hostile, small_feed

SMALL = small_feed("small", target=Regression("power", unit="kW"))
PUMPS = pumps()  # whose evidence is judged
RECORDS = 300


@functools.cache
def folded() -> Outputs:
    """What a stream fold makes of a short hostile stream."""
    log, _ = hostile(SMALL, 3, RECORDS)
    return StreamFold(SMALL, 0, 1).fold(log.batch(0, len(log.values)))


def values(kind: str, most: int = 6) -> list[bytes]:
    """Some records of a topic that a stream fold writes."""
    return [record.value for record in folded().records.get(kind, ())][:most]


def vectors() -> list[bytes]:
    """Served vectors of SMALL."""
    return list(folded().vectors)[:4]


def evidence() -> list[bytes]:
    """Evidence of the feed `pumps`: every kind, and what opens, updates and ends incidents."""
    log = EvidenceLog(partitions=2)
    log.summaries(-600, 60)
    normal, higher = Sample(n=500, mean=2.4, std=0.2), Sample(n=60, mean=3.1, std=0.2)
    change = AdwinChange(event_time=1, old_n=10, old_mean=0.1, new_n=20, new_mean=0.9)
    log.climb(0, "pump-07", "temperature", "stuck", top=5)
    log.climb(1, "pump-08", "vibration", "drift", top=12, reference=normal, current=higher, adwin=change, contributions={"vibration": 1.0})
    for n in range(9, 14):
        log.climb(2, f"pump-{n:02d}", "vibration", "drift", top=9)
    log.put("idle", 70, 1, since=5)
    log.put("planned_stop", 71, -1)
    log.put("verdict", 72, 0)
    log.level(73, "pump-08", "vibration", "drift", 0.0)
    found = [msgspec.json.encode(record) for _, record in log.in_time()]
    return [*found[:: max(1, len(found) // 40)], *found[-12:]]


def alerts() -> list[bytes]:
    """Alerts and retrain requests that follow from evidence."""
    log = EvidenceLog()
    log.summaries(-3_000, 3_000)
    log.climb(0, "pump-12", "vibration", "drift", top=14, pace=60.0, contributions={"vibration": 0.7})
    return [msgspec.json.encode(record) for record in judged(log)]


def labels(feed: Feed) -> list[bytes]:
    """Truths, tags and verdicts of every form."""
    value = b'"good"' if isinstance(feed.target, Classification) else b"3.5"
    name = feed.name.encode()
    return [
        b'{"score":"%s/1/0/7/score/0","value":%s}' % (name, value),
        b'{"entity":"point-0","event_time":"2026-01-01T00:00:05Z","value":%s,"by":"x"}' % value,
        b'{"entity":"span-1","event_time":1767225600000000,"until":1767225610000000,"value":%s}' % value,
        b'{"incident":"%s/1/evidence/5/alert/0","verdict":"confirm","by":"ann","note":"worn"}' % name,
        b'{"entity":"point-0","event_time":5,"until":9,"verdict":"missed","tags":["wear","a"]}',
        b'{"score":"%s/1/0/7/score/0","tags":["odd"]}' % name,
        *(msgspec.json.encode(label) for label in stream(1)[1][:8]),
    ]


def examples(count: int = 12) -> list[bytes]:
    """Examples, arrivals and decisions for SMALL."""
    chance, width = np.random.default_rng(1), len(linear_snapshot(SMALL, "v1", {"heat_last": 1.0}).features)
    found = []
    for i in range(count):
        vector = chance.normal(size=width).astype("<f8").tobytes()
        found.append(
            Example(
                id=f"small/1/labels-0/{i}/example/0",
                score=f"small/1/0/{i}/score/0",
                entity=f"pump-{i % 3}",
                event_time=i * 60_000_000,
                value=[float(i)],
                previous=None if i % 4 else [1.0],
                version="v1",
                predictions={"v1": [float(i)], "v2": [1.0]},
                vector=base64.b64encode(vector).decode(),
            )
        )
    arrivals = [arrival_of(linear_snapshot(SMALL, version, {"heat_last": 2.0})) for version in ("v1", "v2")]
    decisions = [
        Decision(id=f"small/0/people/{n}/decision/ann", action=action, version="v1", share=0.3, by="ann", when=5)
        for n, action in enumerate(("promote", "rollback", "split"))
    ]
    return [msgspec.json.encode(record) for record in (*found, *arrivals, *decisions)]


def models() -> list[bytes]:
    """Snapshots, rollouts and answers, as learner and trainer write them."""
    snapshot = linear_snapshot(SMALL, "v1", {"heat_last": 2.0})
    rollouts = [
        Rollout(id=f"small/1/examples/{n}/rollout/0", stage=stage, version="v1", champion="v1", challenger="v2", share=0.1)
        for n, stage in enumerate(("shadow", "canary", "champion"))
    ]
    answers = [Answer(id="small/0/retrain/1/answer/0", request="r", outcome="started", examples=(0, 5), left_out=[left_out()])]
    return [msgspec.json.encode(record) for record in (snapshot, *rollouts, *answers)]


def left_out() -> LeftOut:
    """A span that is not trained on."""
    return LeftOut(incident="i", entity="e", first_seen=1, until=None)


def switches() -> list[bytes]:
    """Owners, generations and models of two partitions."""
    found = [
        Switch(kind="taken", log="small.events", partition=0, owner="a"),
        Switch(kind="generation", log="small.events", partition=0, generation=1, topic_id="t", definition="d", fold_version=1, cause="c"),
        Switch(kind="generation", log="small.events", partition=0, generation=2, from_offset=50, state_from=10, epoch=1),
        Switch(kind="model", log="small.events", partition=0, generation=1, version="v1", challenger="v2", share=0.5, epoch=1),
    ]
    return [msgspec.json.encode(switch) for switch in found]


def requests() -> list[bytes]:
    """Requests for retraining."""
    pin = DatasetPin(feed="small", definition="d", generations={"0": 1}, offsets={"0": (0, 5)})
    request = RetrainRequest(id="small/1/evidence/5/retrain/0", incident="i", reason="r", event_time=5, from_offset={"0": 1}, pin=pin)
    return [msgspec.json.encode(request)]
