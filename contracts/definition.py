"""The definition of a feed: what its events look like and what is computed from them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any

import msgspec

from contracts.checked_settings import checked_settings
from contracts.durations import parse_duration
from contracts.errors import DefinitionError

NUMBER_WINDOW_FEATURES = ("count", "mean", "std", "min", "max", "slope", "time_weighted_mean", "share_missing")
NUMBER_FEATURES = ("last", "rate", "since", "stuck", "zscore")
COUNTER_WINDOW_FEATURES = ("increase",)
CATEGORY_WINDOW_FEATURES = ("frequency", "changes")
CATEGORY_FEATURES = ("since_change",)
STATED_CATEGORY_FEATURES = ("code",)  # only where `values` states the codes: learnt ones differ between partitions
TIME_FEATURES = ("time_of_day_sin", "time_of_day_cos", "time_of_week_sin", "time_of_week_cos")
DETECTORS = ("e-detector", "ks", "psi", "adwin")
LOG_VECTORS = ("all", "10s", "none")
LEARN = ("online", "frozen")
ARCHIVE = ("scores", "raw")
MAX_CLASSES = 20  # a score record holds one probability a class and model
MAX_FIELDS = 64  # the decoder finds a field by a linear look at this many names
MAX_WINDOWS = 8
MAX_PARTITIONS = 10_000  # of a feed; a record that speaks of a greater one is a stranger's, and must not grow a state

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\- ]{0,79}")
_FEED_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,63}")


@checked_settings("field")
@dataclass(frozen=True)
class Number:
    """A numeric field.

    Args:
        name: key in the JSON object.
        unit: physical unit, for people.
        low, high: physical range; a value outside is folded as missing and counted. Only people state ranges.
        counter: an ever-growing count that may reset; adds the `increase` feature.
        required: without it a record becomes a dead letter ``required_missing``.
        features: names out of the catalogue; all that the type allows by default.
    """

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    counter: bool = False
    required: bool = False
    features: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _check_name(self.name, "a Number field")
        for side in ("low", "high"):
            value = getattr(self, side)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)):
                raise DefinitionError(f"field '{self.name}': {side}={value!r} is not a finite number; write a number or leave it out")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise DefinitionError(f"field '{self.name}': low={self.low} is not below high={self.high}; swap them")
        allowed = NUMBER_WINDOW_FEATURES + NUMBER_FEATURES + (COUNTER_WINDOW_FEATURES if self.counter else ())
        object.__setattr__(self, "features", _check_features(self.name, self.features, allowed))


@checked_settings("field")
@dataclass(frozen=True)
class Category:
    """A field with a few distinct values (strings, integers or booleans of at most 64 bytes of UTF-8).

    Args:
        name: key in the JSON object.
        values: the values that are expected, in order; learnt from the stream (at most 15) when left out.
        required: without it a record becomes a dead letter ``required_missing``.
        features: names out of the catalogue; all by default.
    """

    name: str
    values: Sequence[str] | None = None
    required: bool = False
    features: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _check_name(self.name, "a Category field")
        if self.values is not None:
            values = _list(self.values, f"field '{self.name}': values", "['run', 'idle']")
            if not 1 <= len(values) <= MAX_CATEGORIES or not all(isinstance(v, str) for v in values) or len(set(values)) != len(values):
                raise DefinitionError(f"field '{self.name}': values must be 1 to {MAX_CATEGORIES} distinct strings")
            object.__setattr__(self, "values", values)
        allowed = CATEGORY_WINDOW_FEATURES + CATEGORY_FEATURES + (STATED_CATEGORY_FEATURES if self.values is not None else ())
        object.__setattr__(self, "features", _check_features(self.name, self.features, allowed))


MAX_CATEGORIES = 15  # code 15 means "another value"; 16 counters a tile keep the state small


@dataclass(frozen=True)
class Across:
    """A feature of two numeric fields: `kind` is correlation, difference (first − second) or ratio (first / second)."""

    kind: str
    first: str
    second: str


def Correlation(first: str, second: str) -> Across:
    """Pearson correlation of two fields in each window."""
    return Across("correlation", first, second)


def Difference(first: str, second: str) -> Across:
    """Last value of the first field minus last value of the second."""
    return Across("difference", first, second)


def Ratio(first: str, second: str) -> Across:
    """Last value of the first field divided by last value of the second."""
    return Across("ratio", first, second)


@checked_settings("target")
@dataclass(frozen=True)
class Regression:
    """A target that is a number; its truth comes later, as labels.

    Args:
        name: what is predicted; no field of the events bears this name.
        unit: physical unit, for people.
    """

    name: str
    unit: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name, "a target")


@checked_settings("target")
@dataclass(frozen=True)
class Classification:
    """A target that is one of a few classes; its truth comes later, as labels.

    Args:
        name: what is predicted; no field of the events bears this name.
        classes: 2 to MAX_CLASSES distinct strings; predictions hold one probability each, in this order.
    """

    name: str
    classes: Sequence[str]

    def __post_init__(self) -> None:
        _check_name(self.name, "a target")
        classes = _list(self.classes, f"target '{self.name}': classes", "['healthy', 'worn']")
        if not 2 <= len(classes) <= MAX_CLASSES or not all(isinstance(c, str) and c for c in classes) or len(set(classes)) != len(classes):
            raise DefinitionError(f"target '{self.name}': classes must be 2 to {MAX_CLASSES} distinct strings")
        object.__setattr__(self, "classes", classes)


Target = Regression | Classification


@checked_settings("feed")
@dataclass(frozen=True)
class Feed:
    """One stream of sensor events and everything computed from it. See docs/definition.md for each setting.

    Raises:
        DefinitionError: a setting is wrong; the message names it and the fix.
    """

    name: str
    entity: str
    time: str
    fields: Sequence[Number | Category]
    windows: Sequence[str] = ("1m", "10m")
    lateness: str = "30s"
    false_alarms_per_week: float = 1.0
    time_unit: str | None = None  # "s", "ms", "us", "ns"; told from the magnitude when left out
    id: str | None = None  # a field that identifies a reading; content and event time do when left out
    topic: str | None = None  # "<name>.events" when left out
    partitions: int = 4
    clock_tolerance: str | None = None  # the lateness when left out
    tiles: int = 6  # tiles a window; a window advances by window / tiles
    across: Sequence[Across] = ()
    time_features: bool = True
    season: str | None = "1d"  # the cycle taken out before drift is tested; None: no cycle
    anomaly: str = "half-space-trees"  # or a river detector such as "river.anomaly.LocalOutlierFactor"
    detectors: Sequence[str] = ("e-detector", "ks", "psi")
    max_entities: int = 10_000  # per partition; the entity longest unread is evicted
    remembered: int = 16  # readings an entity remembers to tell a repeat
    max_age: str = "10m"  # older values are reported stale by readers
    log_vectors: str = "all"
    target: Target | None = None  # what is predicted for every event; its truth comes on `<name>.labels`
    label_delay: str = "10m"  # how long after its event a label usually comes; the gap between training and test data
    learn: str = "online"  # "online": the model learns from every joined label; "frozen": versions change by retraining only
    predictor: str | None = None  # the online model: "linear", "logistic" or a river model; by the target's type when left out
    seed: int = 1
    archive: str = "scores"  # what `streamgauge archive` writes; "raw": the logs themselves, too, so that they outlive Kafka's retention

    # derived, in microseconds
    window_us: tuple[int, ...] = field(init=False, default=())
    lateness_us: int = field(init=False, default=0)
    clock_tolerance_us: int = field(init=False, default=0)
    season_us: int = field(init=False, default=0)
    max_age_us: int = field(init=False, default=0)
    label_delay_us: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _FEED_NAME.fullmatch(self.name):
            raise DefinitionError(f"feed name {self.name!r}: write a letter, then letters, digits, '_' or '-' (64 at most)")
        put = object.__setattr__
        where = f"feed '{self.name}'"
        _check_fields(self, where)
        put(self, "fields", tuple(self.fields))
        for name, example in (("windows", "['1m', '10m']"), ("across", "[Ratio('a', 'b')]"), ("detectors", "['e-detector']")):
            put(self, name, _list(getattr(self, name), f"{where}: {name}", example))
        if not 1 <= len(self.windows) <= MAX_WINDOWS:
            raise DefinitionError(f"{where}: windows needs 1 to {MAX_WINDOWS} durations, such as ['1m', '10m']")
        put(self, "window_us", tuple(parse_duration(w, f"{where}: windows") for w in self.windows))
        if list(self.window_us) != sorted(set(self.window_us)):
            raise DefinitionError(f"{where}: windows {list(self.windows)} must be distinct and in rising order")
        put(self, "lateness_us", parse_duration(self.lateness, f"{where}: lateness"))
        tolerance = self.lateness if self.clock_tolerance is None else self.clock_tolerance
        put(self, "clock_tolerance_us", parse_duration(tolerance, f"{where}: clock_tolerance"))
        put(self, "season_us", 0 if self.season is None else parse_duration(self.season, f"{where}: season"))
        put(self, "max_age_us", parse_duration(self.max_age, f"{where}: max_age"))
        put(self, "label_delay_us", parse_duration(self.label_delay, f"{where}: label_delay"))
        _check_settings(self, where)
        _check_across(self, where)
        _check_target(self, where)

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The numeric fields, in order; a number's index here is its field index in kernels."""
        return tuple(f for f in self.fields if isinstance(f, Number))

    @property
    def categories(self) -> tuple[Category, ...]:
        """The category fields, in order."""
        return tuple(f for f in self.fields if isinstance(f, Category))

    @property
    def outputs(self) -> int:
        """Numbers in one prediction: 1 of a regression, a probability a class, 0 without a target."""
        if self.target is None:
            return 0
        return len(self.target.classes) if isinstance(self.target, Classification) else 1

    @property
    def online_model(self) -> str:
        """Name of the model that learns from every label: `predictor`, or the compiled one that fits the target."""
        return self.predictor or ("logistic" if isinstance(self.target, Classification) else "linear")

    @property
    def tile_us(self) -> tuple[int, ...]:
        """Length of a tile of each window, in µs."""
        return tuple(w // self.tiles for w in self.window_us)

    def canonical(self) -> dict[str, Any]:
        """The settings as plain JSON values, without what is derived and what changes nothing that is folded."""
        out: dict[str, Any] = {}
        for item in dataclass_fields(self):
            if item.init and item.name != "archive":
                out[item.name] = _plain(getattr(self, item.name))
        return out

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the canonical definition; names this definition in records."""
        return hashlib.sha256(msgspec.json.encode(self.canonical(), order="deterministic")).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, (Number, Category, Across, Regression, Classification)):
        return {"type": type(value).__name__} | {f.name: _plain(getattr(value, f.name)) for f in dataclass_fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _list(value: object, what: str, example: str) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise DefinitionError(f"{what}={value!r} is no list; write one, such as {example}")
    return tuple(value)


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{what} is named {name!r}; write a letter or '_', then letters, digits, '_', '.', '-' or spaces (80 at most)"
        )


def _check_features(name: str, chosen: Sequence[str] | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    if chosen is None:
        return allowed
    for feature in _list(chosen, f"field '{name}': features", "['mean', 'last']"):
        if feature not in allowed:
            raise DefinitionError(f"field '{name}': no feature {feature!r}; choose from {', '.join(allowed)}")
    return tuple(f for f in allowed if f in chosen)


def _check_fields(feed: Feed, where: str) -> None:
    if isinstance(feed.fields, (str, bytes)) or not isinstance(feed.fields, Sequence) or not 1 <= len(feed.fields) <= MAX_FIELDS:
        raise DefinitionError(f"{where}: fields needs a list of 1 to {MAX_FIELDS} Number or Category fields")
    for item in feed.fields:
        if not isinstance(item, (Number, Category)):
            raise DefinitionError(f'{where}: fields holds {item!r}; write Number("name") or Category("name")')
    for key in ("entity", "time") if feed.id is None else ("entity", "time", "id"):
        _check_name(getattr(feed, key), f"{where}: {key}")
    names = [item.name for item in feed.fields] + [feed.entity, feed.time] + ([] if feed.id is None else [feed.id])
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"{where}: '{name}' is named twice; entity, time, id and fields must all differ")
    if not any(isinstance(item, Number) for item in feed.fields):
        raise DefinitionError(f"{where}: fields has no Number; name at least one numeric field")


def _check_settings(feed: Feed, where: str) -> None:
    if feed.time_unit not in (None, "s", "ms", "us", "ns"):
        raise DefinitionError(f"{where}: time_unit {feed.time_unit!r} is unknown; write 's', 'ms', 'us' or 'ns', or leave it out")
    for name, low, high in (("partitions", 1, MAX_PARTITIONS), ("tiles", 1, 60), ("max_entities", 1, 10_000_000), ("remembered", 1, 1024)):
        value = getattr(feed, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise DefinitionError(f"{where}: {name}={value!r}; write a whole number from {low} to {high}")
    budget = feed.false_alarms_per_week
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not 0 < budget <= 10_000:
        raise DefinitionError(f"{where}: false_alarms_per_week={budget!r}; write a number above 0, such as 1")
    if feed.log_vectors not in LOG_VECTORS:
        raise DefinitionError(f"{where}: log_vectors={feed.log_vectors!r}; choose from {', '.join(LOG_VECTORS)}")
    if feed.archive not in ARCHIVE:
        raise DefinitionError(f"{where}: archive={feed.archive!r}; choose from {', '.join(ARCHIVE)}")
    for detector in feed.detectors:
        if detector not in DETECTORS:
            raise DefinitionError(f"{where}: no detector {detector!r}; choose from {', '.join(DETECTORS)}")
        if "e-detector" not in feed.detectors:  # the only one whose evidence keeps to the budget
            raise DefinitionError(
                f"{where}: detectors: {detector!r} adds figures to the evidence of 'e-detector', which is not there; "
                f"write {['e-detector', *feed.detectors]} or detectors=[]"
            )
    for text, window in zip(feed.windows, feed.window_us, strict=True):
        if window % feed.tiles:
            raise DefinitionError(f"{where}: window '{text}' does not divide into {feed.tiles} tiles of whole microseconds")
        if -(-feed.lateness_us // (window // feed.tiles)) > 10_000:
            raise DefinitionError(f"{where}: lateness '{feed.lateness}' needs over 10,000 tiles of window '{text}'; lengthen the window")


def _check_across(feed: Feed, where: str) -> None:
    numbers = {n.name for n in feed.numbers}
    for item in feed.across:
        if not isinstance(item, Across) or item.kind not in ("correlation", "difference", "ratio"):
            raise DefinitionError(f"{where}: across holds {item!r}; write Correlation(a, b), Difference(a, b) or Ratio(a, b)")
        for name in (item.first, item.second):
            if name not in numbers:
                raise DefinitionError(f"{where}: across names '{name}', which is no Number field; choose from {', '.join(sorted(numbers))}")


def _check_target(feed: Feed, where: str) -> None:
    if feed.learn not in LEARN:
        raise DefinitionError(f"{where}: learn={feed.learn!r}; choose from {', '.join(LEARN)}")
    if feed.target is None:
        if feed.predictor is not None:
            raise DefinitionError(f"{where}: predictor={feed.predictor!r} has nothing to predict; name a target, or leave it out")
        return
    if not isinstance(feed.target, (Regression, Classification)):
        raise DefinitionError(f"{where}: target={feed.target!r}; write Regression('power', unit='kW') or Classification('state', [...])")
    if feed.target.name in {item.name for item in feed.fields} | {feed.entity, feed.time, feed.id}:
        raise DefinitionError(f"{where}: target '{feed.target.name}' is also a field of the events; give the target another name")
    if feed.log_vectors != "all":
        raise DefinitionError(f"{where}: log_vectors={feed.log_vectors!r} with a target; labels join to logged vectors, so write 'all'")
