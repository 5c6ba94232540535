"""Silence of a device, in event time: told when it is due, not mistaken for an outage of all, ended by a return."""

from __future__ import annotations

import json

import msgspec
import pytest

from contracts.records import Evidence
from stream_processors.decoding.batches import raw_batch
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.stream_fold.streams import MINUTE, SECOND, START, small_feed

STEP = 10 * SECOND
DEVICES = 6
FEED = small_feed(windows=["1m"], lateness="30s")


def told(sends, steps: int, step: int = STEP) -> list[tuple[str, int, float]]:
    """(entity, seconds since the start, log10 e) of all evidence of silence, where device d sends at step i if sends(d, i)."""
    readings = [(START + i * step + d * SECOND, f"p{d}") for i in range(steps) for d in range(DEVICES) if sends(d, i)]
    values = [json.dumps({"pump": name, "ts": time // 1000, "heat": (time // SECOND * 7919) % 83}).encode() for time, name in readings]
    fold = StreamFold(FEED, 0, 1)
    keys = [name.encode() for _, name in readings]
    outputs = fold.fold(raw_batch(list(range(len(values))), [time for time, _ in readings], keys, values))
    found = [msgspec.json.decode(item.value, type=Evidence) for item in outputs.records.get("evidence", [])]
    return [(e.entity or "", (e.event_time - START) // SECOND, e.log10_e) for e in found if e.source == "silence"]


def test_a_silent_device_is_told_in_time():
    """Nothing before six missed ticks and the lateness; the first word within twelve ticks and the lateness; then decades."""
    last = 100
    found = told(lambda d, i: d != 2 or i <= last, 160)
    assert {entity for entity, _, _ in found} == {"p2"}
    quiet = [(at - last * 10 - 2, level) for _, at, level in found]
    assert 30 + 60 <= quiet[0][0] <= 30 + 120
    assert quiet[0][1] >= 2.0
    levels = [level for _, level in quiet]
    assert levels == sorted(set(levels)), "each decade is told once"
    assert levels[-1] > 10


@pytest.mark.parametrize("minutes", [5, 60, 1440])
def test_an_outage_of_all_is_no_silence_of_each(minutes):
    """After a gap of the whole partition nobody is told silent: nothing can be missed where nobody is heard."""
    gap = minutes * MINUTE // STEP
    assert told(lambda d, i: not 100 < i <= 100 + gap, 200 + gap) == []


def test_a_device_that_does_not_come_back_after_an_outage_is_told():
    """The gap itself does not count against it, what it misses afterwards does."""
    found = told(lambda d, i: i <= 100 or (i > 460 and d != 4), 560)
    assert {entity for entity, _, _ in found} == {"p4"}
    assert all(at > 4600 for _, at, _ in found)


def test_a_return_ends_it():
    """The first record of the device brings the level back to 0, once; a second silence is told anew."""
    found = told(lambda d, i: d != 1 or i <= 100 or 130 < i <= 200, 240)
    levels = [level for _, _, level in found]
    assert levels.count(0.0) == 1
    back = levels.index(0.0)
    assert found[back][1] == 131 * 10 + 1
    assert min(levels[:back]) >= 2.0 <= min(levels[back + 1 :])


def test_a_device_seen_a_few_times_is_no_silent_one():
    """With fewer readings than a cadence can be learnt from, absence means nothing."""
    assert told(lambda d, i: d != 3 or i < 20, 200) == []


def test_a_slow_device_has_its_own_cadence():
    """One that reports every tenth step is not silent between its reports, and is when it misses many of them."""
    assert told(lambda d, i: d != 5 or i % 10 == 0, 600) == []
    found = told(lambda d, i: d != 5 or (i % 10 == 0 and i <= 400), 700)
    assert {entity for entity, _, _ in found} == {"p5"}
    assert found[0][1] >= 4000 + 600


def test_a_device_with_breaks_has_breaks():
    """Pauses of a known length are not told again and again."""
    found = told(lambda d, i: d != 0 or i % 60 < 40, 1200)
    assert [at for _, at, _ in found if at > 4000] == []
