"""streamgauge check: what a definition costs, and one sentence for each thing that can be wrong with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from contracts.schemas import topic_schemas
from tests.streamgauge.commands_in_process import command

ISSUE = """
from streamgauge import Category, Feed, Number

pumps = Feed(
    "pumps",
    entity="pump",
    time="ts",
    fields=[
        Number("temperature", unit="degC", low=-40, high=150),
        Number("vibration", unit="mm/s", low=0, high=100),
        Category("mode"),
    ],
    windows=["1m", "10m"],
    lateness="30s",
    false_alarms_per_week=1,
)
"""


def plant(directory: Path, text: str) -> str:
    path = directory / "plant.py"
    path.write_text(text)
    return str(path)


def test_the_definition_of_the_readme_is_understood(tmp_path):
    """As JSON: its topics, features by name, positive sizes, and a budget whose parts add up to what was asked for."""
    done = command(["check", plant(tmp_path, ISSUE), "--rate", "2000", "--entities", "48", "--json"])
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)["feeds"]["pumps"]
    topics = {f"pumps.{kind}" for kind in ("events", "scores", "dead-letters", "evidence", "alerts", "retrain", "switches")}
    assert topics <= found["topics"].keys()
    assert {"temperature_mean_1m", "vibration_std_10m", "temperature_last"} <= set(found["features"])
    assert len(found["features"]) == len(set(found["features"]))
    assert all(isinstance(size, int) and size > 0 for size in found["bytes"].values())
    assert sum(row["false_alarms_per_week"] for row in found["budget"].values()) == pytest.approx(1.0)
    assert all(row["log10_threshold"] > 0 for row in found["budget"].values())


def test_no_more_entities_are_held_than_the_cap_lets_in(tmp_path):
    """A worker's memory and the checkpoints end at the cap; vectors of the evicted stay in Redis for their time."""

    def sizes(entities: int) -> dict[str, int]:
        found = command(["check", plant(tmp_path, capped), "--json", "--entities", str(entities)]).out
        return json.loads(found)["feeds"]["pumps"]["bytes"]

    capped = ISSUE.replace("windows=", "max_entities=500,\n    partitions=4,\n    windows=")
    few, full, many = sizes(1_000), sizes(2_000), sizes(200_000)
    for what in ("worker_state", "worker_resident", "redis_checkpoint"):
        assert few[what] < full[what] == many[what], what
    assert full["worker_resident"] > full["worker_state"]
    assert many["redis_vectors"] == 100 * full["redis_vectors"]


def test_a_target_shows_what_joining_holds(tmp_path):
    """Bounds of the joiner's memory appear with a target, grow with the partitions, and do not depend on the rate."""

    def sizes(text: str, *options: str) -> dict[str, int]:
        return json.loads(command(["check", plant(tmp_path, text), "--json", *options]).out)["feeds"]["pumps"]["bytes"]

    text = ISSUE.replace("import Category, Feed, Number", "import Category, Feed, Number, Regression")
    text = text.replace("windows=", 'target=Regression("power"),\n    partitions=2,\n    windows=')
    bounds = ("labels_waiting_at_most", "labels_remembered_at_most", "scores_indexed_at_most", "scores_in_memory_at_most")
    assert not set(bounds) & sizes(ISSUE).keys()
    two, four = sizes(text), sizes(text.replace("partitions=2", "partitions=4"), "--rate", "10000")
    assert [four[name] / two[name] for name in bounds] == [2, 2, 2, 1]


@pytest.mark.parametrize("name", ["pumps.csv", "pumps.parquet"])
def test_data_in_the_place_of_a_definition(tmp_path, name):
    """Readings given instead of a plant file are told apart from a mistake in one, with the command that makes one of them."""
    data = tmp_path / name
    data.write_bytes(b"ts,pump,flow\n2026-01-01 00:00:00,a,1.5\n" if name == "pumps.csv" else b"PAR1\x00\xff")
    done = command(["check", str(data)])
    assert (done.code, done.out) == (1, "")
    assert f"{data} is data and no definition" in done.err
    assert f"streamgauge init {data} -o plant.py" in done.err


def test_sizes_follow_rate_and_entities(tmp_path):
    """Twice the rate costs twice the bytes a day, twice the entities twice the state, and thinner logging costs less."""
    path = plant(tmp_path, ISSUE)

    def sizes(*options: str, path: str = path) -> dict[str, int]:
        return json.loads(command(["check", path, "--json", *options]).out)["feeds"]["pumps"]["bytes"]

    once, twice = sizes("--rate", "100"), sizes("--rate", "200")
    assert twice["kafka_scores_per_day"] == pytest.approx(2 * once["kafka_scores_per_day"], rel=1e-6)
    assert twice["worker_state"] == once["worker_state"]
    assert sizes("--entities", "200")["worker_state"] == 2 * sizes("--entities", "100")["worker_state"]
    thin = plant(tmp_path, ISSUE.replace("lateness=", 'log_vectors="none", lateness='))
    assert sizes("--rate", "100", path=thin)["kafka_scores_per_day"] < once["kafka_scores_per_day"] / 2


def test_adwin_costs_state_and_no_budget(tmp_path):
    """Named among the detectors it adds 1,216 bytes a number field to an entity's state, and leaves every share and threshold as it was."""
    named = ISSUE.replace("lateness=", 'detectors=["e-detector", "ks", "psi", "adwin"], lateness=')
    without, with_it = (json.loads(command(["check", plant(tmp_path, text), "--json"]).out)["feeds"]["pumps"] for text in (ISSUE, named))
    assert with_it["bytes"]["state_per_entity"] - without["bytes"]["state_per_entity"] == 2 * 1216
    assert with_it["budget"] == without["budget"]


def test_people_get_tables(tmp_path):
    """Without --json the same things stand there in words."""
    done = command(["check", plant(tmp_path, ISSUE)])
    assert done.code == 0
    assert all(word in done.out for word in ("pumps.events", "features:", "state per entity", "Budget: 1 false alarm a week"))
    assert re.search(r"│ \d\.\de\+\d\d +│", done.out), "a threshold is no 1e5.64"


def test_the_named_feed_alone_is_shown(tmp_path):
    """--feed chooses one of several, and a name that is none is answered with those there are."""
    path = plant(tmp_path, ISSUE + ISSUE.replace('"pumps"', '"fans"').replace("pumps =", "fans ="))
    assert json.loads(command(["check", path, "--json"]).out)["feeds"].keys() == {"pumps", "fans"}
    assert json.loads(command(["check", path, "--json", "--feed", "fans"]).out)["feeds"].keys() == {"fans"}
    done = command(["check", path, "--feed", "fams"])
    assert (done.code, "no feed 'fams'" in done.err, "pumps, fans" in done.err) == (1, True, True)


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ('"pumps",', '"1 pumps",', ["feed name '1 pumps'", "letter"]),
        ('entity="pump"', 'entity=""', ["entity", "write a letter"]),
        ('time="ts"', 'time="pump"', ["'pump' is named twice"]),
        ('Number("vibration"', 'Number("temperature"', ["'temperature' is named twice"]),
        ("low=-40, high=150", "low=150, high=-40", ["'temperature'", "low=150", "swap"]),
        ("low=-40", 'low="cold"', ["'temperature'", "low='cold'", "write a number"]),
        ("low=-40", 'features=["median"]', ["'temperature'", "'median'", "choose from count"]),
        ('Category("mode")', 'Category("mode", values=["a", "a"])', ["'mode'", "distinct"]),
        ('Category("mode")', '"mode"', ["fields holds 'mode'", "write Number"]),
        ('windows=["1m", "10m"]', 'windows=["10m", "1m"]', ["windows", "rising order"]),
        ('windows=["1m", "10m"]', 'windows=["soon"]', ["windows", "soon"]),
        ('windows=["1m", "10m"]', "windows=[]", ["windows", "1 to 8 durations"]),
        ('windows=["1m", "10m"]', "windows=[60]", ["windows", "60"]),
        ('windows=["1m", "10m"]', "windows=60", ["windows=60 is no list", "['1m', '10m']"]),
        ('windows=["1m", "10m"]', 'windows="10m"', ["windows='10m' is no list"]),
        ('Category("mode")', 'Category("mode", values="run")', ["'mode'", "values='run' is no list"]),
        ('lateness="30s"', 'lateness="-30s"', ["lateness", "-30s"]),
        ('lateness="30s"', 'lateness="30d"', ["lateness", "lengthen the window"]),
        ('lateness="30s"', 'season="daily"', ["season", "daily"]),
        ('lateness="30s"', "partitions=0", ["partitions=0", "1 to 10000"]),
        ('lateness="30s"', "tiles=7", ["1m", "7 tiles"]),
        ('lateness="30s"', 'log_vectors="some"', ["log_vectors='some'", "all, 10s, none"]),
        ('lateness="30s"', 'time_unit="min"', ["time_unit", "'ms'"]),
        ('lateness="30s"', 'detectors=["cusum"]', ["'cusum'", "e-detector"]),
        ('lateness="30s"', 'detectors=["adwin"]', ["detectors", "'adwin' adds figures", "write ['e-detector', 'adwin']"]),
        ('lateness="30s"', 'detectors=["ks", "psi"]', ["'ks' adds figures", "write ['e-detector', 'ks', 'psi']"]),
        ('lateness="30s"', 'anomaly="river.anomaly.Nothing"', ["anomaly", "river.anomaly"]),
        ('lateness="30s"', 'anomaly="pickle.loads"', ["pickle.loads", "choose from"]),
        ('lateness="30s"', "remembered=0", ["remembered=0", "1 to 1024"]),
        ('lateness="30s"', 'across=["a"]', ["across", "Correlation"]),
        ("false_alarms_per_week=1", "false_alarms_per_week=0", ["false_alarms_per_week=0", "above 0"]),
        (
            "false_alarms_per_week=1",
            "false_alarms=1",
            ["plant.py:4", "feed 'pumps'", "'false_alarms'", "did you mean false_alarms_per_week?"],
        ),
        ("entity=", "entities=", ["plant.py:4", "feed 'pumps'", "no setting 'entities'", "did you mean entity?"]),
        ('entity="pump",', "", ["plant.py:4", "feed 'pumps'", "entity is missing; write entity="]),
        ("windows=", "window=", ["feed 'pumps'", "no setting 'window'", "did you mean windows?"]),
        ('unit="degC"', 'units="degC"', ["plant.py:9", "field 'temperature'", "no setting 'units'", "did you mean unit?"]),
        ('unit="degC"', "xyzzy=1", ["'temperature'", "no setting 'xyzzy'", "choose from unit, counter"]),
        ('unit="degC"', "unit=3", ["field 'temperature': unit=3 is not text"]),
        ('"temperature", unit="degC"', '"temperature", 3', ["field 'temperature': unit=3 is not text"]),
        ('unit="degC"', "counter=1", ["field 'temperature': counter=1 is not True or False"]),
        ('unit="degC"', 'features="mean"', ["field 'temperature': features='mean' is no list"]),
        ('Category("mode")', 'Category("mode", required="yes")', ["field 'mode': required='yes' is not True or False"]),
        ('Category("mode")', 'Category("mode", values=[["a"]])', ["'mode'", "distinct strings"]),
        ('lateness="30s"', 'seed="one"', ["feed 'pumps': seed='one' is not a whole number"]),
        ('lateness="30s"', "seed=True", ["feed 'pumps': seed=True is not a whole number"]),
        ('lateness="30s"', "topic=7", ["feed 'pumps': topic=7 is not text"]),
        ('lateness="30s"', "time_features=0", ["feed 'pumps': time_features=0 is not True or False"]),
        ('lateness="30s"', "anomaly=None", ["feed 'pumps': anomaly=None is not text"]),
        ("pumps = Feed(", "pumps = Feed((", ["plant.py"]),
        ("pumps = Feed(", "pumps = 1 / 0 or Feed(", ["ZeroDivisionError", "plant.py:4"]),
        ("import Category, Feed", "import Category, Fed", ["Fed"]),
        ("pumps = Feed(", "pumps = (lambda *a, **b: None)(", ["defines no feed"]),
    ],
)
def test_a_wrong_definition_is_a_sentence(tmp_path, right, wrong, words):
    """The field and the fix on stderr, exit 1, and never a traceback."""
    assert right in ISSUE
    done = command(["check", plant(tmp_path, ISSUE.replace(right, wrong, 1))])
    assert done.code == 1, done.out
    assert done.out == ""
    assert done.err.startswith("Error: ")
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err


@pytest.mark.parametrize("options", [["--rate", "0"], ["--rate", "-1"], ["--rate", "fast"], ["--entities", "0"]])
def test_sizes_that_cannot_be_are_refused(tmp_path, options):
    """Rates and numbers of entities below what can be are a usage error."""
    done = command(["check", plant(tmp_path, ISSUE), *options])
    assert (done.code, options[0] in done.err) == (2, True)


def test_schemas_are_written_and_compared(tmp_path):
    """schemas DIR writes one valid JSON Schema a topic; --check names the first that differs."""
    import jsonschema

    assert command(["schemas", str(tmp_path)]).code == 0
    assert {path.stem for path in tmp_path.iterdir()} == topic_schemas().keys()
    for path in tmp_path.iterdir():
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))
    assert command(["schemas", str(tmp_path), "--check"]).code == 0
    (tmp_path / "scores.json").write_text("{}")
    done = command(["schemas", str(tmp_path), "--check"])
    assert (done.code, "scores.json is not what the code says" in done.err) == (1, True)
