"""What a record ends as: the compiled fold against a slow oracle, and against what a simulation knows it planted."""

from __future__ import annotations

import json
import random

import pytest

from contracts.outcomes import Outcome, Reason
from stream_processors.decoding.batches import raw_batch
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.stream_fold.order_oracle import Oracle, Reading
from tests.stream_processors.stream_fold.streams import SECOND, START, fold_in_cuts, hostile, small_feed

# (entities, max_entities, remembered, seconds that times spread over, lateness in s, clock tolerance in s)
STREAMS = {
    "repeats and disorder": (5, 100, 16, 60, 30, 30),
    "little memory": (4, 100, 2, 60, 40, 10),
    "a memory of one": (3, 100, 1, 20, 10, 10),
    "evictions": (12, 5, 3, 60, 15, 15),
    "one slot": (6, 1, 2, 60, 15, 15),
    "more evicted than the table keeps": (400, 2, 2, 300, 15, 15),
    "no lateness to speak of": (5, 100, 4, 60, 1, 5),
}


def random_stream(seed: int, entities: int, spread: int, n: int = 1500) -> list[Reading]:
    """Readings whose times wander forward with jumps back, few contents, and repeats of what went before."""
    chance = random.Random(seed)
    readings: list[Reading] = []
    clock = START
    for _ in range(n):
        clock += chance.choice([0, 0, 0, 1, 2]) * SECOND
        if readings and chance.random() < 0.25:
            old = chance.choice(readings[-40:])
            readings.append(old._replace(kafka_time=clock if old.kafka_time >= 0 else -1))
            continue
        time = clock - chance.randrange(-8, spread) * SECOND
        # few contents; a missing value, a zero of either sign and two categories among them
        content = (chance.choice([None, 0.0, 1.5, 2.5]), chance.choice([None, "run"]))
        kafka_time = -1 if chance.random() < 0.1 else clock
        readings.append(Reading(f"pump-{chance.randrange(entities)}", time, kafka_time, content))
    return readings


def encode(reading: Reading) -> bytes:
    value, mode = reading.content  # type: ignore[misc]
    return json.dumps({"pump": reading.entity, "ts": reading.time // 1000, "heat": value, "mode": mode}).encode()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stream", STREAMS)
def test_every_record_ends_as_the_oracle_says(stream, seed):
    """Record by record the outcome, and at the end every counter, equal those of section 2 written down in plain Python."""
    entities, cap, remembered, spread, lateness, tolerance = STREAMS[stream]
    feed = small_feed(max_entities=cap, remembered=remembered, lateness=f"{lateness}s", clock_tolerance=f"{tolerance}s")
    readings = random_stream(seed, entities, spread)
    oracle = Oracle(lateness * SECOND, tolerance * SECOND, remembered, cap)
    wanted = [oracle.decide(offset, reading) for offset, reading in enumerate(readings)]

    fold = StreamFold(feed, 0, 1)
    found = []
    for start in range(0, len(readings), 311):
        part = readings[start : start + 311]
        batch = raw_batch(
            list(range(start, start + len(part))),
            [r.kafka_time for r in part],
            [r.entity.encode() for r in part],
            [encode(r) for r in part],
        )
        rows = fold.fold_rows(fold.decoder.decode(batch))
        for outcome, reason in zip(rows.outcome.tolist(), rows.reason.tolist(), strict=True):
            found.append(Reason(reason).code if outcome == Outcome.DEAD_LETTERED else Outcome(outcome).name.lower())

    first = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b), None)
    assert first is None, f"record {first} {readings[first]}: {found[first]}, the oracle says {wanted[first]}"
    counters = fold.counters()
    assert sum(counters[outcome.name.lower()] for outcome in Outcome) == len(readings)
    assert {name: counters[name] for name in oracle.counted} == oracle.counted
    assert {name: counters[name] for name in ("folded", "duplicate", "late", "clock_ahead")} == {
        name: wanted.count(name) for name in ("folded", "duplicate", "late", "clock_ahead")
    }
    assert counters["entities"] == len(oracle.known)


def test_the_streams_reach_every_rule():
    """Over all random streams each outcome and each thing forgotten occurs often: the comparison above is not about nothing."""
    total: dict[str, int] = {}
    for entities, cap, remembered, spread, lateness, tolerance in STREAMS.values():
        oracle = Oracle(lateness * SECOND, tolerance * SECOND, remembered, cap)
        for offset, reading in enumerate(random_stream(0, entities, spread)):
            outcome = oracle.decide(offset, reading)
            total[outcome] = total.get(outcome, 0) + 1
        for name, count in oracle.counted.items():
            total[name] = total.get(name, 0) + count
    assert min(total.values()) >= 50, total


@pytest.mark.parametrize("seed", range(2))
def test_counters_are_what_the_simulation_planted(seed):
    """The four counters and every reason equal the simulator's plan, and add up to the records read."""
    feed = small_feed()
    log, expected = hostile(feed, seed, 5_000)
    counters = fold_in_cuts(feed, log, [100, 1000, 1001]).counters
    names = ("folded", "duplicate", "late", "dead_lettered")
    assert {name: counters[name] for name in names} == {name: getattr(expected, name) for name in names}
    assert sum(counters[name] for name in names) == expected.read == len(log.values)
    reasons = {reason.code for reason in Reason if reason not in (Reason.NONE, Reason.LATE)}
    assert {name: counters[name] for name in reasons if counters[name]} == expected.reasons


def test_a_clock_a_year_ahead_moves_nothing():
    """A reading stamped a year ahead is refused before it can make its entity's later readings late."""
    feed = small_feed()
    year = 365 * 86_400 * SECOND
    readings = [Reading("p", START + i * SECOND + (year if i == 5 else 0), START + i * SECOND, (1.0 + i, None)) for i in range(20)]
    fold = StreamFold(feed, 0, 1)
    fold.fold(raw_batch(list(range(20)), [r.kafka_time for r in readings], [b"p"] * 20, [encode(r) for r in readings]))
    counters = fold.counters()
    assert (counters["folded"], counters["late"], counters["clock_ahead"]) == (19, 0, 1)
    assert fold.clock()[0] == START + 19 * SECOND


def test_other_content_at_the_same_time_is_another_reading():
    """Two readings of one moment that differ are both folded; their repeats, in either order, are duplicates."""
    one, two = Reading("p", START, -1, (1.0, "run")), Reading("p", START, -1, (1.0, "stop"))
    fold = StreamFold(small_feed(), 0, 1)
    records = [one, two, two, one]
    rows = fold.fold_rows(fold.decoder.decode(raw_batch([0, 1, 2, 3], [-1] * 4, [b"p"] * 4, [encode(r) for r in records])))
    assert rows.outcome.tolist() == [Outcome.FOLDED, Outcome.FOLDED, Outcome.DUPLICATE, Outcome.DUPLICATE]


def test_where_readings_have_an_id_it_tells_the_repeat():
    """With `id` in the definition, the same id at the same time is a repeat whatever its values, and another id is none."""
    feed = small_feed(id="reading")
    values = [
        json.dumps({"pump": "p", "ts": START // 1000, "reading": name, "heat": heat}).encode()
        for name, heat in (("a", 1.0), ("a", 2.0), ("b", 1.0), ("b", 1.0))
    ]
    fold = StreamFold(feed, 0, 1)
    rows = fold.fold_rows(fold.decoder.decode(raw_batch([0, 1, 2, 3], [-1] * 4, [b"p"] * 4, values)))  # type: ignore[arg-type]
    assert rows.outcome.tolist() == [Outcome.FOLDED, Outcome.DUPLICATE, Outcome.FOLDED, Outcome.DUPLICATE]
