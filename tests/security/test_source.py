"""What the sources do not do: nothing that comes from outside is unpickled, evaluated, imported or handed to a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doc_pages import ROOT

PACKAGES = ("contracts", "producers", "feature_store", "online_model", "training", "stream_processors", "streamgauge", "deploy")
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "runpy",
    "code",
    "pty",
    "commands",
}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {
    *(
        ("os", name)
        for name in ("system", "popen", "execv", "execve", "execvp", "execvpe", "execl", "execlp", "posix_spawn", "spawnv", "spawnl")
    ),
    *(("subprocess", name) for name in ("Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput")),
    *((module, "load") for module in ("numpy", "np", "torch", "yaml")),
    *((module, "read_pickle") for module in ("pandas", "pd")),
    ("importlib", "import_module"),
}
ALLOWED = {
    ("contracts/plant.py", "runpy"): "a plant is the user's own program; its path comes from the command line alone",
    ("streamgauge/command_line.py", "importlib.import_module"): "names of commands out of a list of our own",
    ("streamgauge/local_stack/child.py", "subprocess.Popen"): "our own commands and the embedded servers, as a list, without a shell",
    ("streamgauge/local_stack/guard.py", "os.execvp"): "the same, one level below",
    ("online_model/state_format.py", "importlib.import_module"): "classes of river out of a list of our own",
    ("streamgauge/demo/run.py", "subprocess.Popen"): "a reader of our own",
}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def found_in(path: Path) -> Iterator[tuple[str, int]]:
    """(what, line) of everything that is forbidden where nothing excuses it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from ((alias.name, line) for alias in node.names if alias.name.partition(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            if (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
                yield node.module or "", line
            yield from ((name, line) for name in names if tuple(name.rsplit(".", 1)) in FORBIDDEN_ATTRIBUTES)
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            yield node.id, line
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in FORBIDDEN_ATTRIBUTES:
                yield f"{node.value.id}.{node.attr}", line
        elif isinstance(node, ast.keyword) and node.arg in ("shell", "allow_pickle") and not _is_false(node.value):
            yield f"{node.arg}=", line


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("package", PACKAGES)
def test_no_source_runs_what_it_reads(package: str) -> None:
    """No pickle, eval, import by name or shell in any source, but for the exceptions that say why."""
    found = [(str(path.relative_to(ROOT)), line, what) for path in (ROOT / package).rglob("*.py") for what, line in found_in(path)]
    assert not [f"{name}:{line}: {what}" for name, line, what in found if (name, what) not in ALLOWED]


def test_every_exception_is_still_needed() -> None:
    """An exception whose source has changed is taken off the list."""
    there = {(str(path.relative_to(ROOT)), what) for path in SOURCES for what, _ in found_in(path)}
    assert set(ALLOWED) <= there


@pytest.mark.parametrize(
    "text", ["import pickle", "from pickle import loads", "x = eval('1')", "import os\nos.system('ls')", "from os import system",
             "import numpy as np\nnp.load('x', allow_pickle=True)", "import subprocess\nsubprocess.run('ls', shell=True)"]
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(text: str, tmp_path: Path) -> None:
    """Each of these in a source would be seen."""
    source = tmp_path / "source.py"
    source.write_text(text)
    assert list(found_in(source))


def test_state_names_only_classes_on_its_list() -> None:
    """The one place that imports what a state names goes through the lists of allowed classes and constants."""
    from online_model import state_format

    source = (ROOT / "online_model/state_reader.py").read_text()
    assert source.count("form.resolve(") == 3
    assert "if name not in form.CLASSES:" in source and "if name not in form.CONSTANTS:" in source
    assert all(name.startswith("river.") for name in (*state_format.CLASSES, *state_format.CONSTANTS))
