"""streamgauge init writes a plant file that the other commands take."""

from __future__ import annotations

import pytest

from contracts.plant import load_plant
from streamgauge.command_line import run


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "pumps"
    folder.mkdir()
    for name in ("a", "b"):
        rows = [f"2026-01-01 00:{i // 60:02d}:{i % 60:02d};{i / 10};0" for i in range(300)]
        (folder / f"{name}.csv").write_text("\n".join(["datetime;flow;anomaly", *rows]) + "\n")
    return folder


def test_the_plant_goes_to_stdout_and_loads(data, tmp_path, capsys):
    """Without -o the file is on standard output, nothing else with it; what was left out is on standard error."""
    assert run(["init", str(data)]) == 0
    plant = tmp_path / "plant.py"
    text, said = capsys.readouterr()
    assert said == "note: column 'anomaly' is left out (looks like a label)\n"
    plant.write_text(text)
    (feed,) = load_plant(plant)
    assert (feed.name, feed.time, feed.windows, [f.name for f in feed.fields]) == ("pumps", "datetime", ("6s", "1m"), ["flow"])


def test_options_go_before_guesses(data, tmp_path):
    """-o, --name, --time and --entity-from are taken as given."""
    plant = tmp_path / "plant.py"
    assert run(["init", f"{data}/*.csv", "-o", str(plant), "--name", "wells", "--time", "datetime", "--entity-from", "path"]) == 0
    assert load_plant(plant)[0].name == "wells"


def test_a_plant_file_is_never_written_over(data, tmp_path, capsys):
    """What a person may have changed by hand stays."""
    plant = tmp_path / "plant.py"
    plant.write_text("# mine\n")
    assert run(["init", str(data), "-o", str(plant)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert plant.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--entity", "pump"], "no column 'pump' (--entity)"),
        (["--entity", "flow", "--entity-from", "path"], "exclude each other"),
        (["-o", "missing/plant.py"], "missing/plant.py"),
    ],
)
def test_what_cannot_be_done_is_said(data, options, words, capsys, tmp_path, monkeypatch):
    """An unknown column, options that contradict and a directory that is not there are one sentence each."""
    monkeypatch.chdir(tmp_path)
    assert run(["init", str(data), *options]) == 1
    assert words in capsys.readouterr().err
