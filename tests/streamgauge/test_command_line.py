"""The command line: quick help, one sentence for what went wrong, and never a traceback for a typo."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from contracts.errors import StateError
from streamgauge import __version__, command_line

HEAVY = ("numpy", "numba", "pandas", "kafka", "aiokafka", "redis", "rich", "faust", "pyarrow", "river", "sklearn")


def test_help_names_every_command_and_imports_no_heavy_package():
    """Help needs none of the packages that take tenths of a second to import; so it starts in far less than 0.3 s."""
    code = "import sys; from streamgauge.command_line import run; run(['--help']); print('LOADED', *sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    text, _, loaded = out.partition("LOADED")
    assert all(f"  {name} " in text for name in command_line.COMMANDS)
    assert not set(HEAVY) & set(loaded.split())


def test_the_module_runs_like_the_script():
    """python -m streamgauge --version prints the version."""
    done = subprocess.run([sys.executable, "-m", "streamgauge", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"streamgauge {__version__}"


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["simulat"], "no command 'simulat'; did you mean simulate?", 2),
        (["xyzzy"], "no command 'xyzzy'; see streamgauge --help", 2),
        (["--verison"], "No such option", 2),
        (["replay"], "Missing argument 'PLANT'", 2),
        (["simulate", "p.py", "--speed", "fast"], "'fast' is no speed", 2),
        (["simulate", "p.py", "--seed", "-1"], "-1", 2),
        (["init"], "Missing argument", 2),
        (["init", "nothing-here.csv"], "no file matches nothing-here.csv", 1),
        (["replay", "no-plant.py", "x.csv"], "no plant file no-plant.py", 1),
        (["simulate", "no-plant.py"], "no plant file no-plant.py", 1),
        (["schemas", "/dev/null"], "Error: /dev/null: File exists", 1),
        (["schemas", "/dev/null/schemas"], "Error: /dev/null/schemas: Not a directory", 1),
        (["alerts", "p.py", "--kafka", "localhost:x"], "Kafka address has the port", 1),
        (["worker", "p.py", "--web-port", "65536"], "65536 is not in the range", 2),
    ],
)
def test_a_typo_is_answered_with_a_sentence(arguments, words, code, capsys, tmp_path, monkeypatch):
    """Wrong commands, options, arguments and files end in words on stderr and an exit code, without a traceback."""
    monkeypatch.chdir(tmp_path)
    assert command_line.run(arguments) == code
    out, error = capsys.readouterr()
    assert words in error
    assert "Traceback" not in out + error


def test_no_command_shows_the_help(capsys):
    """streamgauge alone is a question, not a mistake."""
    assert command_line.run([]) == 0
    assert "Commands:" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [(StateError("row 7 is damaged; restore it"), 1, "Error: row 7 is damaged; restore it\n"), (KeyboardInterrupt(), 130, "interrupted\n")],
)
def test_errors_raised_on_purpose_are_one_sentence(raised, code, words, capsys, monkeypatch):
    """Any StreamgaugeError is its sentence and exit 1; Ctrl-C is exit 130."""

    @click.command("check")
    def command() -> None:
        raise raised

    monkeypatch.setattr(command_line.LazyGroup, "get_command", lambda *_: command)
    assert command_line.run(["check"]) == code
    assert capsys.readouterr().err.strip() == words.strip()


def test_a_command_chooses_its_exit_code(monkeypatch):
    """verify ends with 2 where nothing could be checked, by ctx.exit, sys.exit being for others."""

    @click.command("verify")
    @click.pass_context
    def command(ctx: click.Context) -> None:
        ctx.exit(2)

    monkeypatch.setattr(command_line.LazyGroup, "get_command", lambda *_: command)
    assert command_line.run(["verify"]) == 2


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    """Only errors raised on purpose become a sentence: a bug keeps its traceback."""

    @click.command("check")
    def command() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(command_line.LazyGroup, "get_command", lambda *_: command)
    with pytest.raises(ZeroDivisionError):
        command_line.run(["check"])


def test_a_reader_that_has_enough_is_no_error():
    """streamgauge --help | head -1 ends without a complaint."""
    pipe = f"{sys.executable} -m streamgauge --help | head -1"
    done = subprocess.run(pipe, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""
