"""Writes what a later version must still read: a full copy of a state, and a record of each kind, as bytes of the present version.

``python -m tests.stream_processors.kept.writer`` writes them beside this file, named by the fold's version. Files that stand there are
never written anew: they are what a user's Redis, history and topics hold.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from contracts.records import (
    Answer,
    Arrival,
    DatasetPin,
    Decision,
    Example,
    FeatureReference,
    Label,
    LeftOut,
    Remark,
    RetrainRequest,
    Rollout,
    Snapshot,
    Switch,
)
from feature_store.checkpoint import Manifest
from feature_store.full_copies import encode_copy
from stream_processors.decoding.batches import raw_batch
from stream_processors.judge_fold import JudgeFold
from stream_processors.stream_fold.fold import FOLD_VERSION, StreamFold
from tests.stream_processors.stream_fold.golden import FEED, golden_log

DIRECTORY = Path(__file__).parent
AT, END = 2_000, 2_200  # the state is that before AT; the records, and the vectors served, are those of AT ≤ offset < END
T = 1_767_225_600_000_000


def copy() -> bytes:
    """A full copy of the golden stream's state at AT."""
    fold = StreamFold(FEED, 0, 1)
    fold.fold(golden_log().batch(0, AT))
    manifest = Manifest(
        generation=1,
        offset=AT,
        definition=FEED.hash,
        fold_version=FOLD_VERSION,
        epoch=3,
        counters=fold.counters() | {"read": AT, "control": 0, "gaps": 0, "start_offset": 0},
        output_ends={("golden.scores", 0): 1_900, ("golden.evidence", 0): 12},
        topic_id="7f3b",
        extra={"withhold_to": 0},
    )
    return encode_copy(manifest, fold.all_chunks())


def folded_on(fold: StreamFold) -> tuple[dict[str, list[bytes]], dict[bytes, bytes]]:
    """What a fold with that state makes of the next records: values by topic, and the vectors that it serves."""
    outputs = fold.fold(golden_log().batch(AT, END))
    records = {kind: [item.value for item in items] for kind, items in outputs.records.items()}
    return records, dict(zip(outputs.entities, outputs.vectors, strict=True))


def lines() -> list[dict[str, Any]]:
    """A line for each record: its topic, and its value as text."""
    whole, fold = StreamFold(FEED, 0, 1), StreamFold(FEED, 0, 1)
    evidence = whole.fold(golden_log().batch(0, len(golden_log().values))).records["evidence"]
    fold.fold(golden_log().batch(0, AT))
    n = len(evidence)
    judged = JudgeFold(FEED, 1).fold(raw_batch(list(range(n)), [-1] * n, [i.key for i in evidence], [i.value for i in evidence]))
    values = {kind: found for kind, found in folded_on(fold)[0].items() if kind != "evidence"}
    values |= {"evidence": [i.value for i in evidence[:20]], "alerts": [i.value for i in judged.records["alerts"][:20]]}
    for kind, record in by_hand():
        values.setdefault(kind, []).append(msgspec.json.encode(record))
    return [{"topic": kind, "value": value.decode()} for kind, found in sorted(values.items()) for value in found]


def by_hand() -> list[tuple[str, Any]]:
    """Records that no fold of the golden stream gives, with every setting at some value."""
    pin = DatasetPin(feed="golden", definition=FEED.hash, generations={"0": 1}, offsets={"0": (0, AT)}, examples=(0, 90), left_out=[])
    out = LeftOut(incident="golden/1/evidence/5/alert/0", entity="line-1", first_seen=T, until=None)
    reference = {"heat_last": FeatureReference(missing=0.5, edges=[0.0], shares=[0.25, 0.75])}
    snapshot = Snapshot(
        id="golden/1/examples/90/snapshot/0",
        version="v1",
        family="linear",
        definition=FEED.hash,
        features=["heat_last"],
        outputs=1,
        state="AAAA",
        crc32c=7,
        half_width=0.5,
        reference=reference,
        request="golden/1/evidence/5/retrain/0",
        pin=pin,
        parameters={"l2": "1.0"},
        metrics={"loss": 0.25},
    )
    generation = {"log": "golden.events", "partition": 0, "generation": 2, "from_offset": AT, "definition": FEED.hash, "epoch": 4}
    label = Label(entity="line-1", event_time="2026-01-01T00:00:00Z", until=T, tags=["worn"], verdict="fine", by="a person", note="seen")
    example = {"id": "golden/1/labels-0/8/example/0", "score": "golden/1/0/7/score/0", "entity": "line-1", "event_time": T}
    retrain = {"id": "golden/1/evidence/5/retrain/0", "incident": out.incident, "reason": "drift", "event_time": T, "from_offset": {"0": 9}}
    return [
        ("switches", Switch(kind="taken", log="golden.events", partition=0, owner="here-1")),
        ("switches", Switch(kind="generation", topic_id="7f3b", fold_version=2, cause="migrated", state_from=5, **generation)),  # type: ignore[arg-type]
        (
            "switches",
            Switch(kind="model", log="golden.events", partition=0, version="v1.2", challenger="v2", share=0.5, cause="x", epoch=4),
        ),
        ("labels", label),
        ("labels", Label(score="golden/1/0/7/score/0", value=1.5)),
        ("remarks", Remark(id="golden/1/labels-0/8/remark/0", when=T, label=label)),
        ("examples", Example(value=[1.5], previous=[1.0], version="v1", predictions={"v1": [1.25]}, vector="AAAAAAAA8D8=", **example)),  # type: ignore[arg-type]
        ("examples", Arrival(id="golden/0/retrain/5/arrival/0", version="v1", request=snapshot.request or "", snapshot=snapshot)),
        (
            "examples",
            Decision(id="golden/0/people/9/decision/a", action="split", version="v1", share=0.5, by="a person", when=T, why="to see"),
        ),
        ("models", snapshot),
        ("models", Rollout(id="golden/1/examples/91/rollout/0", stage="canary", version="v1", champion="v1.2", challenger="v2", share=0.1)),
        (
            "models",
            Answer(id="golden/0/retrain/5/answer/0", request="r", outcome="trained", version="v1", examples=(0, 90), left_out=[out]),
        ),
        ("retrain", RetrainRequest(pin=pin, **retrain)),  # type: ignore[arg-type]
    ]


def write() -> None:
    """Puts both files down, and the vectors that a fold with the state serves next."""
    name = DIRECTORY / f"fold-{FOLD_VERSION}"
    if name.with_suffix(".checkpoint").exists():
        raise SystemExit(f"{name}.checkpoint stands already, and is what that version wrote")
    fold = StreamFold(FEED, 0, 1)
    fold.fold(golden_log().batch(0, AT))
    served = [{"topic": "", "entity": key.decode(), "value": vector.hex()} for key, vector in sorted(folded_on(fold)[1].items())]
    name.with_suffix(".checkpoint").write_bytes(copy())
    name.with_suffix(".jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines(), *served]))


if __name__ == "__main__":
    write()
