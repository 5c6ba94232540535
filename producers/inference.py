"""What files of readings look like: entity and time columns, fields and their types, cadence, span."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from contracts.definition import MAX_CATEGORIES, MAX_FIELDS, Category, Number
from contracts.errors import DefinitionError, InputError
from contracts.event_time import format_event_time
from contracts.outcomes import MAX_CATEGORY_BYTES
from producers.csv_file import Cells, RawChunk
from producers.files import MISSING_TEXTS, Columns, Source, event_times, number_of
from producers.merge import profile
from producers.signals import I64

SAMPLED_ROWS = 20_000  # of a file: types show early, and a look at all rows of large files would take minutes
SAMPLED_FILES = 50

TIME_NAMES = ("time", "timestamp", "ts", "datetime", "date_time", "date", "event_time", "@timestamp", "t")
ENTITY_NAMES = ("entity", "device", "device_id", "sensor", "sensor_id", "machine", "machine_id", "asset", "asset_id", "unit", "unit_id",
                "pump", "station", "host", "node", "tag", "name", "id", "engine", "turbine", "meter")  # fmt: skip
LABEL_NAMES = ("anomaly", "anomalies", "is_anomaly", "outlier", "is_outlier", "changepoint", "change_point", "label", "labels", "target",
               "class", "ground_truth", "fault", "failure", "y")  # fmt: skip


class Guess(NamedTuple):
    """What was found; times in µs."""

    time: str
    entity: str | None  # None: no column names one, so each file is one entity
    numbers: list[str]
    categories: list[str]
    left_out: dict[str, str]  # column -> why it is no field
    rows: int
    entities: int
    files: int
    first: int
    last: int
    longest: int  # the longest time between the first and the last reading of one entity
    cadence: int  # median step between readings of an entity


class _Sample(NamedTuple):
    source: Source
    lines: I64
    columns: dict[str, Cells]


def guess(sources: Sequence[Source], time: str | None = None, entity: str | None = None, from_path: bool = False) -> Guess:
    """Look at the first rows of the files.

    Args:
        time, entity: columns named by a person instead of guessed.
        from_path: the entity is each file's path; no column is looked for.

    Raises:
        InputError: a column is not there, none holds times, none numbers, or a file has no rows; the message names the fix.
    """
    samples = [_sample(source) for source in sources[:SAMPLED_FILES]]
    samples = [sample for sample in samples if len(sample.lines)]
    if not samples:
        raise InputError(f"{sources[0].path}: no rows under the header; there is nothing to learn from")
    names = list(dict.fromkeys(name for sample in samples for name in sample.columns))
    for asked, option in ((time, "--time"), (entity, "--entity")):
        if asked is not None and asked not in names:
            raise InputError(f"{sources[0].path}: no column '{asked}' ({option}); choose from {', '.join(names)}")
    at = time or _guess_time(samples, names)
    times = [event_times(s.source.path, RawChunk(s.lines, []), at, _cells(s, at), None) for s in samples]
    by = entity or (None if from_path else _guess_entity(samples, names, at, times))
    numbers, categories, left_out = _guess_fields(samples, [name for name in names if name not in (at, by)])
    if not numbers:
        others = "".join(f"; '{name}' {why}" for name, why in left_out.items())
        raise InputError(f"{sources[0].path}: no column holds numbers besides the time; a feed needs at least one{others}")
    steps, spans = _steps(samples, by, times)
    ends = {index: _last(sample, at, moments) for index, (sample, moments) in enumerate(zip(samples, times, strict=True))}
    return Guess(
        at, by, numbers, categories, left_out, sum(map(len, times)), len(spans), len(sources),
        min(int(t.min()) for t in times), max(ends.values()), max(ends[file] - first for first, file in spans.values()),
        int(np.median(steps)) if len(steps) else 0,
    )  # fmt: skip


def _sample(source: Source) -> _Sample:
    file = source.open()
    for chunk in file.chunks(file.header, SAMPLED_ROWS):
        return _Sample(source, chunk.line, dict(zip(file.header, chunk.columns, strict=True)))
    return _Sample(source, np.empty(0, np.int64), {name: [] for name in file.header})


def _cells(sample: _Sample, name: str) -> Cells:
    if name not in sample.columns:
        raise InputError(f"{sample.source.path}:1: no column '{name}', which other files have; give files of one kind")
    return sample.columns[name]


def _guess_time(samples: Sequence[_Sample], names: Sequence[str]) -> str:
    """A column called like a time that holds times, else the first whose texts are ISO 8601 or whose type says so."""
    first = samples[0]
    called = [name for wanted in TIME_NAMES for name in names if name.lower() == wanted]
    for name in called + [name for name in names if name not in called]:
        cells = first.columns.get(name)
        if cells is None or not len(cells):
            continue
        typed = isinstance(cells, np.ndarray) and cells.dtype == np.int64
        textual = not isinstance(cells, np.ndarray) and number_of(cells[0]) is None
        if not (name in called or typed or textual):
            continue  # a bare number is a time only where the name says so
        try:
            event_times(first.source.path, RawChunk(first.lines, []), name, cells, None)
        except InputError:
            continue
        return name
    raise InputError(
        f"{first.source.path}: no column holds times as ISO 8601 or epoch; name one with --time COLUMN, out of {', '.join(names)}"
    )


def _guess_entity(samples: Sequence[_Sample], names: Sequence[str], time: str, times: Sequence[I64]) -> str | None:
    """A column that repeats its few values: called like an entity, or one that tells readings of the same time apart."""
    candidates = [name for name in names if name != time and name.lower() not in LABEL_NAMES]
    called = [name for wanted in ENTITY_NAMES for name in candidates if name.lower() == wanted]
    called += [name for name in candidates if name.lower().endswith(("_id", " id")) and name not in called]
    for name in called:
        cells = samples[0].columns.get(name)
        if cells is not None and _repeats(cells):
            return name
    if all(len(np.unique(t)) == len(t) for t in times):
        return None
    for name in candidates:
        cells = samples[0].columns.get(name)
        if cells is not None and not isinstance(cells, np.ndarray) and number_of(cells[0]) is None and _repeats(cells):
            pairs = set(zip(times[0].tolist(), cells, strict=True))
            if len(pairs) == len(cells):
                return name
    return None


def _repeats(cells: Cells) -> bool:
    if isinstance(cells, np.ndarray) and not np.array_equal(cells, np.floor(cells)):
        return False
    distinct = len(set(cells.tolist() if isinstance(cells, np.ndarray) else cells))
    return distinct <= max(1, len(cells) // 2)


def _guess_fields(samples: Sequence[_Sample], names: Sequence[str]) -> tuple[list[str], list[str], dict[str, str]]:
    numbers: list[str] = []
    categories: list[str] = []
    left_out: dict[str, str] = {}
    for name in names:
        columns = [sample.columns[name] for sample in samples if name in sample.columns]
        if name.lower() in LABEL_NAMES:
            left_out[name] = "looks like a label"
        elif (why := _wrong_name(name)) is not None:
            left_out[name] = why
        elif len(numbers) + len(categories) == MAX_FIELDS:
            left_out[name] = f"a feed has at most {MAX_FIELDS} fields"
        else:
            kind = _kind(columns)
            if kind == "number":
                numbers.append(name)
            elif kind == "category":
                categories.append(name)
            else:
                left_out[name] = kind
    return numbers, categories, left_out


def _wrong_name(name: str) -> str | None:
    try:
        Number(name)
        Category(name)
    except DefinitionError:
        return "not a name that a field can have; rename the column"
    return None


def _kind(columns: Sequence[Cells]) -> str:
    """``number``, ``category``, or why the column is neither."""
    texts: set[str] = set()
    number, seen = True, False
    for cells in columns:
        if isinstance(cells, np.ndarray):
            if cells.dtype == np.int64:
                return "holds times"
            seen = seen or not bool(np.isnan(cells).all())
            continue
        found = [text for text in cells if text.strip().lower() not in MISSING_TEXTS]
        seen = seen or bool(found)
        number = number and all(number_of(text) is not None for text in found)
        texts.update(text.strip() for text in found)
    if not seen:
        return "is empty"
    if number:
        return "number"
    if len(texts) <= MAX_CATEGORIES and all(len(text.encode()) <= MAX_CATEGORY_BYTES for text in texts):
        return "category"
    return f"holds {len(texts)} different texts"


def _last(sample: _Sample, time: str, moments: I64) -> int:
    """The last time in a file, also behind the rows that were looked at."""
    if len(moments) < SAMPLED_ROWS:
        return int(moments.max())
    return profile(sample.source, Columns(time, None, None, [], []), None).last


def _steps(samples: Sequence[_Sample], entity: str | None, times: Sequence[I64]) -> tuple[I64, dict[str, tuple[int, int]]]:
    """Steps above zero between readings of one entity, in µs; and of each entity its first time and the last file it is in."""
    steps: list[I64] = []
    spans: dict[str, tuple[int, int]] = {}
    for index, (sample, moments) in enumerate(zip(samples, times, strict=True)):
        names = np.full(len(moments), sample.source.name) if entity is None else np.array([str(c) for c in _cells(sample, entity)])
        order = np.lexsort((moments, names))
        same = names[order][1:] == names[order][:-1]
        step = np.diff(moments[order])[same]
        steps.append(step[step > 0])
        for row in order[np.concatenate(([True], ~same))].tolist():
            first = int(moments[row])
            spans[str(names[row])] = (min(first, spans.get(str(names[row]), (first, 0))[0]), index)
    return np.concatenate(steps), spans


def span_text(found: Guess) -> str:
    """First to last time, for people."""
    return f"{format_event_time(found.first)} to {format_event_time(found.last)}"
