"""Drift of the predictions in the fold: a function of the log and of the recorded placements, however it is cut."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence

import numpy as np
import pytest

from contracts.definition import Feed, Number, Regression
from online_model.placement import Placement
from stream_processors.log_fold import OutRecord
from stream_processors.stream_fold.fold import StreamFold
from tests.online_model.snapshots import linear_snapshot
from tests.stream_processors.stream_fold.streams import START, Log

FEED = Feed(
    "ovens",
    entity="oven",
    time="at",
    fields=[Number("heat"), Number("load")],
    windows=["1m"],
    season="5m",
    partitions=1,
    max_entities=6,
    target=Regression("power", unit="kW"),
)
CADENCE, STEPS, CHANGED = 5_000_000, 1_500, 1_100
OVENS = ["a", "b", "c", "d", "e"]


def stream(changed: int = CHANGED) -> Log:
    """Five ovens, and two that come rarely and take each other's slot; heat rises by 4 σ on all from step `changed` on."""
    chance = np.random.default_rng(3)
    log = Log([], [], [])
    for step in range(STEPS):
        for oven in [*OVENS, *(["rare-1", "rare-2"][step // 40 % 2 : step // 40 % 2 + 1] if step % 4 == 0 else [])]:
            heat, load = chance.standard_normal(2)
            at = START + step * CADENCE - (20_000_000 if chance.random() < 0.02 else 0)
            event = {"oven": oven, "at": at // 1000, "heat": round(heat + (4.0 if step >= changed else 0.0), 3), "load": round(load, 3)}
            log.times.append(START + step * CADENCE)
            log.keys.append(oven.encode())
            log.values.append(json.dumps(event).encode())
    return log


def placements(log: Log) -> list[tuple[int, Placement]]:
    """A champion from early on, a revision of it, another beside it, and that one in its place near the end."""
    first = linear_snapshot(FEED, "v0.1", {"heat_last": 3.0, "load_last": 1.0})
    revised = linear_snapshot(FEED, "v0.2", {"heat_last": 3.01, "load_last": 1.0})
    other = linear_snapshot(FEED, "v9", {"heat_last": -3.0}, 40.0)
    n = len(log.values)
    return [
        (37, Placement(first)),
        (n // 3, Placement(revised)),
        (n // 2, Placement(revised, other, 0.3)),
        (n - 400, Placement(other, revised)),
    ]


def folded(log: Log, cuts: Sequence[int], restarts: Sequence[int] = ()) -> tuple[dict[str, list[OutRecord]], dict[str, bytes]]:
    """Outputs and the state at the end; a fold that is put back has all placements recorded so far before it."""
    fold, stored, records = StreamFold(FEED, 0, 1), {}, {}  # type: ignore[var-annotated]
    placed = placements(log)
    for offset, placement in placed:
        fold.place_models(offset, placement)
    for start, end in itertools.pairwise(sorted({0, len(log.values), *cuts, *restarts})):
        if start in restarts:
            stored |= fold.changed_chunks()
            fold = StreamFold(FEED, 0, 1)
            fold.restore(stored)
            for offset, placement in placed:
                fold.place_models(offset, placement)
        for kind, items in fold.fold(log.batch(start, end)).records.items():
            records.setdefault(kind, []).extend(items)
    return records, stored | fold.changed_chunks()


@pytest.fixture(scope="module")
def whole() -> tuple[Log, dict[str, list[OutRecord]], dict[str, bytes]]:
    """The stream, and what folding it in one batch gives."""
    log = stream()
    return (log, *folded(log, []))


def levels(records: dict[str, list[OutRecord]], source: str) -> list[dict[str, object]]:
    """Evidence of a source."""
    found = [json.loads(item.value) for item in records["evidence"]]
    return [record for record in found if record.get("source") == source]


def test_shifted_inputs_are_drift_of_fields_and_of_predictions(whole) -> None:
    """Each oven's predictions rise with its heat: evidence names the target, tells its means, and ends when another champion serves."""
    log, records, _ = whole
    found = levels(records, "prediction")
    high = [record for record in found if record.get("log10_e", 0.0) > 6]  # type: ignore[operator]
    assert {record["entity"] for record in high} >= set(OVENS)
    assert {record["field"] for record in found} == {"power"}
    assert all(record["current"]["mean"] - record["reference"]["mean"] > 6 for record in high)  # type: ignore[index]
    assert {record["entity"] for record in levels(records, "drift") if record.get("log10_e", 0.0) > 6} >= set(OVENS)  # type: ignore[operator]
    for oven in OVENS:
        last = [record for record in found if record["entity"] == oven][-1]
        assert last.get("log10_e", 0.0) == 0.0
        assert int(str(last["id"]).split("/")[3]) >= len(log.values) - 400


def test_evidence_of_predictions_is_counted(whole) -> None:
    """Summaries say how many such statistics run, so that the judge can split the budget over them."""
    summaries = [json.loads(item.value) for item in whole[1]["evidence"] if b'"kind":"summary"' in item.value]
    assert all(summary["cells"]["prediction"] == summary["entities"] for summary in summaries)


def test_ids_rise_with_the_evidence(whole) -> None:
    """Whatever kernel made it: by offset, then by number, without a repeat."""
    positions = [(item.offset, item.n) for item in whole[1]["evidence"]]
    assert positions == sorted(set(positions))


@pytest.mark.parametrize("seed", range(3))
def test_cuts_and_restarts_change_no_byte(whole, seed: int) -> None:
    """Random cuts, many of a single record, and restarts, across evictions and placements: outputs and state of one batch."""
    log, records, chunks = whole
    chance = random.Random(seed)
    cuts = chance.sample(range(len(log.values)), (5, 300, 2_000)[seed])
    again, state = folded(log, cuts, chance.sample(range(1, len(log.values)), (0, 4, 12)[seed]))
    assert again.keys() == records.keys()
    for kind, items in records.items():
        assert items == again[kind], kind
    assert state == chunks


def test_nothing_is_told_without_a_change() -> None:
    """The same stream with steady heat, the same placements: no evidence of predictions above a thousand."""
    records, _ = folded(stream(changed=STEPS), [])
    assert all(record.get("log10_e", 0.0) < 3 for record in levels(records, "prediction"))  # type: ignore[operator]
