"""The demo's figures of learning, from records made by hand."""

from __future__ import annotations

import base64

import msgspec
import numpy as np

from contracts.definition import Feed, Number, Regression
from contracts.records import Answer, Example, Rollout, Switch
from feature_store.feature_plan import feature_names
from producers.plan import Planted
from stream_processors.models_log import Models
from streamgauge.demo.learning import LABEL_COUNTS, Learning, learning_report

FEED = Feed("f", entity="e", time="t", fields=[Number("x")], windows=["1m"], target=Regression("power"), partitions=2)
CHANGED, LIVE = 1_000, 100


def example(time: int, error: float, version: str, entity: str = "a", partition: int = 0) -> Example:
    """The label of the event whose offset is its time."""
    return Example(
        id=f"f/1/labels-0/{time}/example/0",
        score=f"f/1/{partition}/{time}/score/0",
        entity=entity,
        event_time=time,
        value=[10.0],
        version=version,
        predictions={version: [10.0 + error]},
        vector=base64.b64encode(np.zeros(len(feature_names(FEED))).tobytes()).decode(),
    )


def planted(kind: str, start: int, end: int, entity: str | None = None) -> Planted:
    return Planted(kind=kind, entity=entity, field=None, size_sigma=None, start=start, end=end, incident="drift", judged_by="incident")


def learning(examples: list[Example]) -> Learning:
    """v1, then v2 promoted after the change; partition 0 switches at offset 1,500, partition 1 at 1,600."""
    models = Models()
    rollouts = [("v1", 50, 0), ("v2", 1_400, 9)]
    for version, time, offset in rollouts:
        rollout = Rollout(
            id=f"f/1/examples/{offset}/rollout/0", stage="champion", version=version, champion=version, challenger=None, event_time=time
        )
        models.take(msgspec.json.encode(rollout))
    models.take(msgspec.json.encode(Answer(id="f/0/retrain/0/answer/0", request="r", outcome="trained", version="v2")))
    switches = [
        Switch(kind="model", log="f.events", partition=partition, from_offset=offset, version=version)
        for partition, offset, version in ((0, 10, "v1"), (1, 10, "v1"), (0, 1_500, "v2"), (1, 1_600, "v2.1"), (0, 1_700, "v2"))
    ]
    return Learning(dict.fromkeys(LABEL_COUNTS, 0) | {"balanced": True}, examples, models, switches, 1)


def test_errors_are_told_apart_by_the_change_and_by_the_switch_of_each_partition() -> None:
    """Before the live part nothing counts; what a partition still predicts with the old champion is *during*, whatever its time."""
    examples = [
        example(50, 99.0, "v1"),
        example(200, 1.0, "v1"),
        example(1_100, 4.0, "v1"),
        example(1_550, 6.0, "v1", partition=1),
        example(1_560, 2.0, "v2"),
        example(1_650, 1.0, "v2", partition=1),
    ]
    report = learning_report(FEED, learning(examples), [planted("concept", CHANGED, 9_000)], LIVE)
    assert (report["mae_before"], report["mae_during"], report["mae_after"]) == (1.0, 5.0, 1.5)
    assert (report["promoted"], report["trained"], report["champion"]) == (1, 1, "v2")


def test_labels_within_other_faults_are_left_out() -> None:
    """Those of the entity while its own fault lasts, and those of all during a fault of the whole feed."""
    examples = [example(200, 1.0, "v1"), example(300, 50.0, "v1"), example(300, 3.0, "v1", "b", 1), example(500, 50.0, "v1", "b", 1)]
    faults = [planted("concept", CHANGED, 9_000), planted("stuck", 250, 350, "a"), planted("sudden", 450, 550)]
    assert learning_report(FEED, learning(examples), faults, LIVE)["mae_before"] == 2.0
