"""Compiled event times against contracts/event_time.py."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import numpy as np
import pytest

from contracts.event_time import MAX_EVENT_TIME, parse_event_time
from stream_processors.decoding.plan import UNITS
from stream_processors.decoding.time_kernel import DECLINED, epoch_decimal, epoch_integer, iso_time


def read(text: str) -> int:
    """What the kernel makes of a text."""
    return int(iso_time(np.frombuffer(text.encode(), np.uint8), 0, len(text.encode())))


def test_every_day() -> None:
    """Each calendar day of 1970 to 2254 is the day that the standard library makes of it."""
    day = datetime(1970, 1, 1)
    while day.year < 2255:
        text = day.strftime("%Y-%m-%dT23:59:58")
        assert read(text) == parse_event_time(text)
        day += timedelta(days=1)


def test_digits_at_random() -> None:
    """Whatever stands in the places of digits, an accepted text means what the standard library makes of it."""
    rng = random.Random(5)
    taken = 0
    for _ in range(20_000):
        year, rest = (
            rng.choice(["1969", "1970", "2000", "2024", "2100", "2254", "2255"]),
            [rng.randint(0, top) for top in (13, 32, 25, 61, 61)],
        )
        tail = rng.choice(["", "Z", "+00:00", "-00:00", "+05:30", "-23:59", "+24:00", "+01:60", "+0100", "z", "+01", "+01:00:00"])
        fraction = rng.choice(["", ".", ".5", ".123", ".000001", ".1234567", ",5", ".12345x"])
        text = f"{year}-{rest[0]:02d}-{rest[1]:02d}{rng.choice('T T_')}{rest[2]:02d}:{rest[3]:02d}:{rest[4]:02d}{fraction}{tail}"
        got = read(text)
        taken += got != DECLINED
        assert got in (DECLINED, parse_event_time(text)), text
    assert taken > 1_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z",
        "2024-02-29 12:30:45.25+02:00",
        "2026-12-31T23:59:59.999999-11:30",
        "1970-01-01T00:00:00",
        "2254-12-31T23:59:59Z",
    ],
)
def test_usual_forms_are_taken(text: str) -> None:
    """The forms that devices write need no Python."""
    assert read(text) == parse_event_time(text)


@pytest.mark.parametrize("unit", UNITS)
def test_epoch(unit: str | None) -> None:
    """Integers and decimals in each unit, and told from their magnitude, mean what contracts/event_time.py says."""
    rng = random.Random(6)
    edges = [10**11, 10**14, 10**17, MAX_EVENT_TIME, MAX_EVENT_TIME // 1000, MAX_EVENT_TIME * 1000, 2**63]
    values = [max(0, edge + near) for edge in edges for near in (-1, 0, 1)] + [
        rng.randrange(10 ** rng.randint(1, 19)) for _ in range(2_000)
    ]
    code = UNITS.index(unit)
    for value in values:
        expected = parse_event_time(value, unit)
        assert epoch_integer(False, np.uint64(value), code) == (DECLINED if expected is None else expected), value
        for decimal in (float(value), value / 1000, value / 997):
            expected = parse_event_time(decimal, unit)
            assert epoch_decimal(decimal, code) == (DECLINED if expected is None else expected), decimal
    for value in (-1.0, -1e-9, float("nan"), float("inf"), 1e308):
        assert epoch_decimal(value, code) == DECLINED
        assert parse_event_time(value, unit) is None
