"""Structures drawn by hypothesis: records field by field, and definitions setting by setting."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from contracts.definition import Across, Category, Classification, Feed, Number, Regression
from contracts.errors import DefinitionError
from contracts.records import TOPIC_RECORDS, Example, Label
from stream_processors.decoding.decoder import Decoder
from stream_processors.judge_fold import JudgeFold
from tests.hostile import samples
from tests.hostile.structures import structure
from tests.hostile.target import Target
from tests.hostile.targets.folds import FoldTarget, JudgeTarget, LearnerTarget
from tests.hostile.targets.records import Labels, reader
from tests.stream_processors.decoding.samples import PLAIN, one

_DRAWN = 200  # examples that hypothesis draws at once; it is slow to begin, and repeats itself less in larger portions


class Drawn(Target):
    """Inputs come from a strategy, a portion at a time, so that a round is one portion."""

    strategy: st.SearchStrategy[Any]

    def corpus(self) -> list[bytes]:
        return []

    def input(self, draw: random.Random, corpus: object) -> bytes:
        if not getattr(self, "_portion", None):
            self._portion: list[bytes] = drawn(self.strategy, draw.randrange(2**32))
        return self._portion.pop()

    def begin(self, draw: random.Random) -> None:
        self._portion = []


def drawn(strategy: st.SearchStrategy[Any], number: int) -> list[bytes]:
    """JSON of `_DRAWN` values of a strategy; the same number draws the same."""
    found: list[bytes] = []

    @seed(number)
    @settings(max_examples=_DRAWN, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: object) -> None:
        found.append(msgspec.json.encode(value))

    collect()
    return found


class RecordStructures(Drawn):
    """Records of every topic, field by field."""

    name = "record-structures"
    share = 0.06
    refuses = ()
    strategy = st.one_of(
        [st.tuples(st.just(kind), structure(record)) for kind, record in sorted(TOPIC_RECORDS.items())],
    )

    def take(self, data: bytes, draw: random.Random) -> None:
        kind, value = msgspec.json.decode(data)
        text = msgspec.json.encode(value)
        record = reader(kind)(text)
        if record is not None:
            assert reader(kind)(msgspec.json.encode(record)) == record
            msgspec.msgpack.encode(record)


class LabelStructures(Drawn):
    """Labels, field by field."""

    name = "label-structures"
    share = 0.06
    refuses = ()
    strategy = structure(Label)

    def take(self, data: bytes, draw: random.Random) -> None:
        Labels().take(data, draw)


class FoldStructures(Drawn, FoldTarget):
    """Records of a fold's log, field by field, after a state has formed."""

    share = 0.06

    def begin(self, draw: random.Random) -> None:
        Drawn.begin(self, draw)
        FoldTarget.begin(self, draw)
        for data in self.first()[:60]:
            FoldTarget.take(self, data, draw)

    def first(self) -> list[bytes]:
        """Valid records that go before."""
        raise NotImplementedError


class EvidenceStructures(FoldStructures, JudgeTarget):
    name = "evidence-structures"
    strategy = structure(TOPIC_RECORDS["evidence"])

    def corpus(self) -> list[bytes]:
        return []

    def first(self) -> list[bytes]:
        return samples.evidence()


class ExampleStructures(FoldStructures, LearnerTarget):
    name = "example-structures"
    strategy = structure(Example)

    def corpus(self) -> list[bytes]:
        return []

    def first(self) -> list[bytes]:
        return samples.examples()


_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=10), st.lists(st.text(max_size=3), max_size=3)
)
_DURATIONS = st.one_of(
    st.sampled_from(["30s", "1m", "10m", "1d", "1h30m", "0s", "1us", "36500d", "1e9d", "9" * 400 + "s", "", "5", "-1s"]), _ODD
)
_NAMES = st.one_of(st.sampled_from(["a", "b", "temperature", "ts", "pump", 'x"', "{}", "%s", "a" * 81, "ü", "__class__"]), _ODD)
_LIMITS = st.one_of(st.sampled_from([0, 1, 3, 60, 10_000, 10_000_000, 2**63, 1.0, "1"]), _ODD)


def _field() -> st.SearchStrategy[Any]:
    options = {"low": _ODD, "high": _ODD, "counter": _ODD, "required": _ODD, "features": _ODD, "unit": _ODD}
    number = st.fixed_dictionaries({"name": _NAMES}, optional=options).map(lambda given: ["Number", given])
    values = st.one_of(st.lists(st.text(max_size=3), max_size=17), _ODD)
    category = st.fixed_dictionaries({"name": _NAMES}, optional={"values": values, "required": _ODD, "features": _ODD})
    return st.one_of(number, number, category.map(lambda given: ["Category", given]), _ODD)


_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("name", "entity", "time", "id", "topic"), _NAMES),
    **dict.fromkeys(("lateness", "season", "max_age", "clock_tolerance", "label_delay"), _DURATIONS),
    **dict.fromkeys(("false_alarms_per_week", "partitions", "tiles", "max_entities", "remembered"), _LIMITS),
    **dict.fromkeys(("time_unit", "anomaly", "log_vectors", "learn", "predictor", "archive", "seed", "time_features"), _ODD),
    "fields": st.one_of(st.lists(_field(), max_size=5), _ODD),
    "windows": st.one_of(st.lists(_DURATIONS, max_size=9), _ODD),
    "detectors": st.one_of(st.lists(st.sampled_from(["e-detector", "ks", "psi", "x"]), max_size=3), _ODD),
    "target": st.tuples(st.sampled_from(["Regression", "Classification", "Odd"]), _NAMES, st.lists(st.text(max_size=2), max_size=3)),
    "across": st.one_of(st.lists(st.tuples(_ODD, _NAMES, _NAMES), max_size=2), _ODD),
}


class Definitions(Drawn):
    """Settings of a feed: a DefinitionError, or a feed that has a hash and can decode."""

    name = "definitions"
    share = 0.05
    refuses = (DefinitionError,)
    strategy = st.lists(st.sampled_from(sorted(_SETTINGS)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: _SETTINGS[name] for name in names})
    )

    def take(self, data: bytes, draw: random.Random) -> None:
        given_settings = {"name": "pumps", "entity": "pump", "time": "ts", "fields": [["Number", {"name": "temperature"}]]}
        given_settings |= msgspec.json.decode(data)
        fields = given_settings["fields"]
        if isinstance(fields, list):
            given_settings["fields"] = [_made(item) for item in fields]
        if "target" in given_settings:
            kind, name, classes = given_settings["target"]
            made = {"Regression": lambda: Regression(name), "Classification": lambda: Classification(name, classes)}
            given_settings["target"] = made.get(kind, lambda: kind)()
        if isinstance(given_settings.get("across"), list):
            given_settings["across"] = [
                Across(*item) if isinstance(item, list) and len(item) == 3 else item for item in given_settings["across"]
            ]
        feed = Feed(**given_settings)
        assert len(feed.hash) == 16
        Decoder(feed).decode(one(PLAIN))
        if feed.max_entities <= 100 and feed.partitions <= 10:
            JudgeFold(feed, 1)


def _made(item: Any) -> Any:
    if isinstance(item, list) and len(item) == 2 and isinstance(item[1], dict):
        return {"Number": Number, "Category": Category}[item[0]](**item[1])
    return item


STRUCTURE_TARGETS = [RecordStructures, LabelStructures, EvidenceStructures, ExampleStructures, Definitions]
