"""Durations as people write them ("30s", "10m", "1h30m"), kept as integer microseconds."""

from __future__ import annotations

import re

from contracts.errors import DefinitionError

MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
SECOND = MICROSECONDS["s"]
MINUTE = MICROSECONDS["m"]
HOUR = MICROSECONDS["h"]
DAY = MICROSECONDS["d"]
WEEK = MICROSECONDS["w"]

LONGEST = 100 * 365 * DAY  # times are below 2**53 µs, the year 2255: with more, their sums would overflow kernels' integers

_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w)")


def parse_duration(text: str, name: str = "duration") -> int:
    """Microseconds of a duration such as ``"90s"`` or ``"1h30m"``; `name` is what an error calls it.

    Raises:
        DefinitionError: the text is not a sum of number and unit, or is not above zero, or is longer than a hundred years.

    >>> parse_duration("1m")
    60000000
    >>> parse_duration("1h30m") // MINUTE
    90
    """
    position, total = 0, 0.0
    if not isinstance(text, str):
        raise DefinitionError(f"{name}: {text!r} is not a duration; write a string such as '30s', '10m' or '1d'")
    for part in _PART.finditer(text):
        if part.start() != position:
            break
        total += float(part[1]) * MICROSECONDS[part[2]]
        position = part.end()
    if total > LONGEST:
        raise DefinitionError(f"{name}: {text!r} is longer than {format_duration(LONGEST)}; no feed lives so long")
    if position != len(text) or not text or total < 1:
        raise DefinitionError(f"{name}: {text!r} is not a duration; write a number and a unit (us, ms, s, m, h, d, w), such as '30s'")
    return round(total)


def format_duration(microseconds: int) -> str:
    """The shortest text that `parse_duration` reads back as the same value.

    >>> format_duration(90 * MINUTE)
    '1h30m'
    """
    parts, rest = [], microseconds
    for unit in ("w", "d", "h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, MICROSECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0us"
