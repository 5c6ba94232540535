"""The plant file that `streamgauge init` writes for a guess."""

from __future__ import annotations

import json
import keyword
import re

from contracts.durations import DAY, HOUR, MINUTE, format_duration, parse_duration
from producers.inference import SAMPLED_FILES, SAMPLED_ROWS, Guess, span_text

# window lengths that people say and that divide into six tiles of whole microseconds
_WINDOWS = ("6ms", "12ms", "30ms", "60ms", "120ms", "300ms", "600ms", "1200ms", "3s", "6s", "12s", "30s", "1m", "2m", "3m", "5m", "6m",
            "10m", "15m", "20m", "30m", "1h", "2h", "3h", "6h", "12h", "1d", "2d", "3d", "6d", "12d", "30d")  # fmt: skip
_LATENESS = ("10s", "15s", "30s", "1m", "2m", "3m", "5m", "10m", "15m", "30m", "1h")
READINGS = 6  # in the short window at least: fewer, and its mean and spread tell nothing
USUAL_MAX_AGE = 10 * MINUTE  # the definition's default
_NOT_VARIABLES = {"Category", "Feed", "Number"}


def plant_text(found: Guess, name: str) -> str:
    """Python source of a plant file with one feed; `name` may be any text, such as a file's stem."""
    feed = feed_name(name)
    cadence = found.cadence or MINUTE
    short = _at_least(_WINDOWS, READINGS * cadence)
    windows = [format_duration(short), format_duration(10 * short)]
    lateness = format_duration(_at_least(_LATENESS, 3 * cadence))
    kinds = "Category, Feed, Number" if found.categories else "Feed, Number"
    entity = found.entity or _free_name(found)
    lines = [
        f'"""Written by streamgauge init from {_count(found.files, "file")}; state ranges and units where you know them."""',
        "",
        f"from streamgauge import {kinds}",
        "",
        f"# seen: {_count(found.rows, 'row')}{_sampled(found)} of {_count(found.entities, 'entity')}, {span_text(found)}",
        f"# a reading of an entity every {format_duration(cadence)}" if found.cadence else "# one reading an entity: windows are a guess",
    ]
    if found.entity is None:
        lines.append(f"# no column names the entity: each file is one, and replay writes its path as '{entity}'")
    lines += [f"# left out: {_quoted(column)} {why}" for column, why in found.left_out.items()]
    lines += [
        f"{_variable(feed)} = Feed(",
        f"    {_quoted(feed)},",
        f"    entity={_quoted(entity)},",
        f"    time={_quoted(found.time)},",
        "    fields=[",
        *[f"        Number({_quoted(column)})," for column in found.numbers],
        *[f"        Category({_quoted(column)})," for column in found.categories],
        "    ],",
        f"    windows=[{', '.join(map(_quoted, windows))}],",
        f"    lateness={_quoted(lateness)},",
    ]
    if 3 * cadence > USUAL_MAX_AGE:
        lines.append(f"    max_age={_quoted(format_duration(3 * cadence))},  # older values are reported stale")
    if found.longest < 2 * DAY:
        lines.append("    season=None,  # no entity's data span two days, so they are too few to know a daily cycle")
    elif cadence > 6 * HOUR:
        lines.append("    season=None,  # readings are too rare to show a daily cycle")
    return "\n".join([*lines, "    false_alarms_per_week=1,", ")", ""])


def feed_name(text: str) -> str:
    """The text made into a name that a feed can have."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:64]
    return name if name and name[0].isalpha() else f"feed-{name}"[:64].rstrip("-")


def _variable(feed: str) -> str:
    name = feed.replace("-", "_")
    return f"{name}_feed" if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in _NOT_VARIABLES else name


def _free_name(found: Guess) -> str:
    """A name for the entity that no column has."""
    taken = {found.time, *found.numbers, *found.categories, *found.left_out}
    return next(name for name in ("entity", "source", "device", *(f"entity_{i}" for i in range(1000))) if name not in taken)


def _at_least(choices: tuple[str, ...], least: int) -> int:
    """The shortest duration of the choices that is not below `least` µs, or the longest there is."""
    lengths = [parse_duration(text) for text in choices]
    return next((length for length in lengths if length >= least), lengths[-1])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _count(number: int, what: str) -> str:
    several = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{number:,} {what if number == 1 else several}"


def _sampled(found: Guess) -> str:
    return " (a sample)" if found.files > SAMPLED_FILES or found.rows >= SAMPLED_ROWS * min(found.files, SAMPLED_FILES) else ""
