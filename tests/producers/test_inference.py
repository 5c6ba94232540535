"""What init writes loads as a plant and fits the files it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.definition import Category, Feed
from contracts.durations import DAY, MINUTE, SECOND, parse_duration
from contracts.errors import InputError
from contracts.event_time import format_event_time
from contracts.plant import load_plant
from producers.files import find_files
from producers.inference import guess
from producers.plant_text import feed_name, plant_text
from producers.replay import Replay

START = 1_767_225_600_000_000


def csv(path: Path, header: str, rows: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def times(count: int, step: int) -> list[str]:
    return [format_event_time(START + i * step) for i in range(count)]


def plant_of(tmp_path: Path, *patterns, name="pumps", **settings) -> tuple[Feed, str]:
    text = plant_text(guess(find_files(patterns), **settings), name)
    path = tmp_path / "plant.py"
    path.write_text(text)
    (feed,) = load_plant(path)
    return feed, text


def test_one_file_with_an_entity_column(tmp_path):
    """Entity, time, numbers, categories and labels are told apart, and replay reads the file with the plant."""
    rows = [
        f"{t};pump-{p};{i * 0.5};{'run' if i % 3 else 'idle'};note {i};0" for i, t in enumerate(times(200, 10 * SECOND)) for p in range(2)
    ]
    path = csv(tmp_path / "data" / "a.csv", "when;pump;load kW;mode;comment;anomaly", rows)
    feed, text = plant_of(tmp_path, path)
    assert (feed.entity, feed.time) == ("pump", "when")
    assert [f.name for f in feed.numbers] == ["load kW"]
    assert [f.name for f in feed.categories] == ["mode"]
    assert '"anomaly" looks like a label' in text
    assert '"comment" holds 200 different texts' in text
    assert all(number.low is None and number.high is None for number in feed.numbers)
    assert (feed.windows, feed.season) == (("1m", "10m"), None)
    assert "400 rows of 2 entities" in text
    assert Replay(feed, [path]).rows == 400


@pytest.mark.parametrize("seconds", [0.01, 0.1, 1, 5, 20, 60, 300, 900, 3600, 7200, 86_400])
def test_windows_fit_the_cadence(tmp_path, seconds):
    """The short window holds six readings or more but not many, the long one is ten times it, tiles divide it, lateness fits."""
    step = round(seconds * SECOND)
    path = csv(tmp_path / "data" / "a.csv", "time,x", [f"{t},{i}" for i, t in enumerate(times(100, step))])
    feed, _ = plant_of(tmp_path, path)
    short, long = feed.window_us
    assert 6 * step <= short <= 15 * step
    assert long == 10 * short
    assert short % feed.tiles == 0
    assert min(step, parse_duration("1h")) <= feed.lateness_us <= max(10 * step, 10 * SECOND)
    assert feed.max_age_us >= min(3 * step, 10 * MINUTE)


@pytest.mark.parametrize(("days", "season"), [(1, 0), (3, DAY)])
def test_a_season_needs_two_days(tmp_path, days, season):
    """A daily cycle is only stated where the data span two days of one entity."""
    path = csv(tmp_path / "data" / "a.csv", "time,x", [f"{t},{i}" for i, t in enumerate(times(days * 288, 5 * MINUTE))])
    assert plant_of(tmp_path, path)[0].season_us == season


def test_files_without_an_entity_column_are_one_entity_each(tmp_path):
    """Each file is an entity, and a span over files is none of an entity."""
    for day in range(4):
        moments = [format_event_time(START + day * DAY + i * SECOND) for i in range(50)]
        csv(tmp_path / "data" / f"valve{day % 2}" / f"{day}.csv", "datetime,x", [f"{t},{i}" for i, t in enumerate(moments)])
    feed, text = plant_of(tmp_path, tmp_path / "data")
    assert "200 rows of 4 entities" in text
    assert feed.season is None
    assert feed.entity == "entity"
    batch = next(Replay(feed, [tmp_path / "data"], entity_from_path=True).batches())
    assert batch.keys[0] == b"valve0/0"


def test_two_texts_at_one_time_are_two_entities(tmp_path):
    """Without a telling name, the column that tells readings of the same time apart is the entity."""
    rows = [f"{t},{line},{i}" for i, t in enumerate(times(30, MINUTE)) for line in ("north", "south")]
    feed, _ = plant_of(tmp_path, csv(tmp_path / "data" / "a.csv", "time,line,x", rows))
    assert feed.entity == "line"


def test_a_number_of_the_row_is_no_entity(tmp_path):
    """A column called id that never repeats is a field like any other."""
    feed, _ = plant_of(tmp_path, csv(tmp_path / "data" / "a.csv", "time,id,x", [f"{t},{i},1" for i, t in enumerate(times(30, MINUTE))]))
    assert (feed.entity, [f.name for f in feed.numbers]) == ("entity", ["id", "x"])


def test_people_name_columns_and_the_feed(tmp_path):
    """--entity, --time and a name go before any guess."""
    rows = [f"{t},{t},{i % 3},{i}" for i, t in enumerate(times(30, MINUTE))]
    path = csv(tmp_path / "data" / "a.csv", "time,measured,line,x", rows)
    feed, text = plant_of(tmp_path, path, name="class 7", time="measured", entity="line")
    assert (feed.name, feed.time, feed.entity) == ("class-7", "measured", "line")
    assert [f.name for f in feed.numbers] == ["x"]
    assert '"time" holds 30 different texts' in text


@pytest.mark.parametrize("name", ["class", "7", "Feed", "näh maschine", "-", "x" * 200, "match"])
def test_any_name_gives_a_file_that_loads(tmp_path, name):
    """Keywords, digits, signs and long names are made into a feed name and a variable."""
    path = csv(tmp_path / "data" / "a.csv", "time,x", [f"{t},{i}" for i, t in enumerate(times(5, MINUTE))])
    feed, _ = plant_of(tmp_path, path, name=name)
    assert feed.name == feed_name(name)


def test_columns_that_cannot_be_fields_are_left_out_aloud(tmp_path):
    """A name with signs, an empty column and a column of times are noted as comments."""
    rows = [f"{t},{i},,{t},true" for i, t in enumerate(times(5, MINUTE))]
    feed, text = plant_of(tmp_path, csv(tmp_path / "data" / "a.csv", "time,x,nothing,temp (°C),on", rows))
    assert [type(f).__name__ for f in feed.fields] == ["Number", "Category"]
    assert feed.categories == (Category("on"),)
    assert '"temp (°C)" not a name that a field can have' in text
    assert '"nothing" is empty' in text


@pytest.mark.parametrize(
    ("header", "rows", "settings", "words"),
    [
        ("time,x", [], {}, "no rows"),
        ("a,x", ["1,2"], {}, "--time COLUMN"),
        ("time,x", ["2026-01-01,1"], {"entity": "pump"}, "no column 'pump' (--entity); choose from time, x"),
        ("time,x", ["2026-01-01,1"], {"time": "when"}, "no column 'when' (--time)"),
        ("time,mode", ["2026-01-01,on"], {}, "no column holds numbers"),
    ],
)
def test_what_cannot_be_guessed_is_said(tmp_path, header, rows, settings, words):
    """No rows, no time, no numbers or an unknown column end in a sentence with the fix."""
    with pytest.raises(InputError) as error:
        plant_of(tmp_path, csv(tmp_path / "data" / "a.csv", header, rows), **settings)
    assert words in str(error.value)
