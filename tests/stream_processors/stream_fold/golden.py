"""A fixed small stream and the digests of all that the folds make of it.

``python -m tests.stream_processors.stream_fold.golden`` prints the digests; with ``--write`` it puts them down as right.
A changed digest means changed bytes: raise FOLD_VERSION in stream_processors/stream_fold/fold.py with it.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import sys
from pathlib import Path

from contracts.definition import Category, Correlation, Difference, Feed, Number, Ratio
from stream_processors.decoding.batches import raw_batch
from stream_processors.judge_fold import JudgeFold
from stream_processors.log_fold import OutRecord
from stream_processors.stream_fold.fold import FOLD_VERSION
from tests.stream_processors.stream_fold.streams import SECOND, START, Log, fold_in_cuts

GOLDEN = Path(__file__).with_name("golden.json")
FEED = Feed(
    "golden",
    entity="line",
    time="at",
    fields=[Number("heat", low=-40, high=150), Number("load"), Number("pieces", counter=True), Category("mode")],
    windows=["1m", "10m"],
    lateness="30s",
    partitions=1,
    across=[Correlation("heat", "load"), Difference("heat", "load"), Ratio("heat", "load")],
    detectors=["e-detector", "ks", "psi", "adwin"],
    max_entities=7,
    season="20m",
)
DEVICES, STEPS, CADENCE = 8, 700, 10 * SECOND


def golden_log() -> Log:
    """Made with + − × ÷ and Python's own generator alone, so that it is the same everywhere and for ever."""
    chance = random.Random(20_260_101)
    log = Log([], [], [])
    noise = [0.0] * DEVICES
    for step in range(STEPS):
        rare = [DEVICES - 2 + step // 20 % 2] if step % 20 == 0 else []  # two that take turns, and one slot for both
        for device in [*range(DEVICES - 2), *rare]:
            time = START + step * CADENCE + device * SECOND
            if chance.random() < 0.04:
                time -= chance.randrange(1, 60) * SECOND
            white = sum(chance.random() for _ in range(12)) - 6.0
            noise[device] = 0.5 * noise[device] + white
            triangle = abs(step % 120 - 60) / 60.0
            heat = 60.0 + 2.0 * triangle + noise[device] + (6.0 if device == 1 and step > 500 else 0.0)
            load = 20.0 + 0.3 * noise[device] + chance.random()
            event = {"line": f"line-{device}", "at": time // 1000, "heat": round(heat, 3), "load": round(load, 3), "pieces": step % 97}
            event["mode"] = "run" if step // 40 % 3 else "idle"
            if device == 2 and step > 400:
                event["heat"] = 61.5
            if chance.random() < 0.02:
                event["load"] = chance.choice([None, 1e300, -1.0, 500.0])
            if chance.random() < 0.01:
                event["heat"] = 400.0
            value = json.dumps(event).encode()
            if chance.random() < 0.01:
                value = value[:-7]
            for _ in range(2 if chance.random() < 0.02 else 1):
                log.times.append(START + step * CADENCE + 9 * SECOND)
                log.keys.append(b"line-%d" % device)
                log.values.append(value)
    return log


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little") + part)
    return whole.hexdigest()


def _of_records(items: list[OutRecord]) -> str:
    return _digest(*(part for i in items for part in (b"%d/%d" % (i.offset, i.n), i.key or b"", i.value, *(v for _, v in i.headers))))


def digests() -> dict[str, str]:
    """SHA-256 of each output and of the state, by name; alerts are those of the judge over the evidence."""
    folded = fold_in_cuts(FEED, golden_log(), [1000, 2000, 3000])
    out = {f"records {kind}": _of_records(items) for kind, items in folded.records.items()}
    out["served vectors"] = _digest(*(part for item in sorted(folded.vectors.items()) for part in item))
    out |= {f"state {name}": _digest(data) for name, data in folded.chunks.items()}
    evidence = folded.records["evidence"]
    judge = JudgeFold(FEED, 1)
    n = len(evidence)
    judged = judge.fold(raw_batch(list(range(n)), [-1] * n, [i.key for i in evidence], [i.value for i in evidence]))
    out |= {f"records {kind}": _of_records(items) for kind, items in judged.records.items()}
    out["state judge"] = _digest(*judge.changed_chunks().values())
    return dict(sorted(out.items()))


def libm_digest() -> str:
    """Of 80,000 results of the C library's exp, sin, log and pow: differs between processors with and without FMA."""
    chance, whole = random.Random(1), hashlib.sha256()
    for _ in range(20_000):
        x = chance.uniform(-50.0, 50.0)
        whole.update(repr((math.exp(x), math.sin(x), math.log(abs(x)), math.pow(abs(x), x / 9))).encode())
    return whole.hexdigest()


if __name__ == "__main__":
    found = {"fold version": FOLD_VERSION, "digests": digests()}
    if "--write" in sys.argv:
        GOLDEN.write_text(json.dumps(found, indent=2) + "\n")
    else:
        print(json.dumps(found | {"libm": libm_digest()}))
