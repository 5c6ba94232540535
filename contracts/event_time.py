"""Event time as producers write it, ISO 8601 or epoch, as integer microseconds since 1970-01-01 UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_EVENT_TIME = 2**53 - 1  # µs, the year 2255: above it a double no longer holds each microsecond
_UNITS = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}


def unit_of(value: float) -> str:
    """The unit of an epoch number told from its magnitude: below 1e11 s, below 1e14 ms, below 1e17 µs, else ns."""
    size = abs(value)
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def parse_event_time(value: object, unit: str | None = None) -> int | None:
    """Microseconds of an ISO 8601 text (no offset means UTC) or an epoch number; None where it can't be read.

    Fractions of a microsecond are cut off toward minus infinity. Times before 1970 or after 2255 can't be read.

    >>> parse_event_time("2026-01-01T00:00:00Z") == parse_event_time(1767225600)
    True
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _parse_iso(value)
    if isinstance(value, int):
        return _bounded(_scale_integer(value, unit or unit_of(value) if abs(value) < 2**63 else "ns"))
    if isinstance(value, float) and math.isfinite(value):
        scaled = value * _UNITS[unit or unit_of(value)]
        return _bounded(math.floor(scaled)) if math.isfinite(scaled) else None
    return None


def format_event_time(microseconds: int) -> str:
    """ISO 8601 in UTC with microseconds only where there are any; of what no calendar has, such as a damaged value, the bare number."""
    seconds, rest = divmod(microseconds, 1_000_000)
    if abs(microseconds) > MAX_EVENT_TIME:
        return f"{microseconds} us"
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z" if rest else f"{text}Z"


def _scale_integer(value: int, unit: str) -> int:
    return value // 1000 if unit == "ns" else value * {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]


def _bounded(value: int) -> int | None:
    return value if 0 <= value <= MAX_EVENT_TIME else None


def _parse_iso(text: str) -> int | None:
    if not 10 <= len(text) <= 40 or not text.isascii():
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    delta = moment - EPOCH
    return _bounded((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)
