"""The README and docs are true to the code: links, settings, dependencies, options, commands."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from contracts.definition import Across, Category, Classification, Feed, Number, Regression
from contracts.plant import load_plant
from streamgauge.command_line import COMMANDS, cli, run
from streamgauge.demo.report import TOTALS
from tests.doc_pages import PAGES, ROOT, anchors, blocks, commands, links, prose, rows, section

names = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file or directory that exists, and a heading in it where it names one."""
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_files_named_in_prose_exist(page: Path) -> None:
    """Paths such as `contracts/settings.py` that a page names in code font exist."""
    packages = "contracts|producers|feature_store|online_model|training|stream_processors|streamgauge|tests|benchmarks|docs|deploy"
    for path in re.findall(rf"`((?:{packages})/[\w/.\-]+\.\w+)`", prose(page)):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


@pytest.mark.parametrize("kind", [Feed, Number, Category, Regression, Classification, Across])
def test_every_setting_is_on_its_page_with_its_default(kind: type) -> None:
    """docs/definition.md has a row for each setting of the dataclass, with the default that it has, and no other row."""
    table = {row[0].strip("`"): row[1] for row in rows(section(ROOT / "docs/definition.md", kind.__name__)) if row[0].startswith("`")}
    settings = [item for item in dataclasses.fields(kind) if item.init]
    assert list(table) == [item.name for item in settings]
    for item in settings:
        default = "required" if item.default is dataclasses.MISSING else f"`{item.default!r}`".replace("'", '"')
        assert table[item.name] == default, item.name


def test_the_example_of_the_definition_loads(tmp_path: Path) -> None:
    """Each Python block of docs/definition.md is a plant file."""
    for block in blocks(ROOT / "docs/definition.md", "python"):
        plant = tmp_path / "plant.py"
        plant.write_text(block.text)
        assert load_plant(plant)


def test_every_dependency_has_its_reason() -> None:
    """The table of docs/architecture.md has a row for each package of pyproject.toml, and says what it carries."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"]) + [item for extra in project["optional-dependencies"].values() for item in extra]
    table = {row[0].split("`")[1]: row[1] for row in rows(section(ROOT / "docs/architecture.md", "Dependencies")) if "`" in row[0]}
    package = re.compile(r"[A-Za-z0-9_.\-]+")
    assert sorted(table) == sorted(package.match(item)[0] for item in wanted)
    assert all(table.values())


def options_of(name: str) -> set[str]:
    """Every option of a command."""
    command: Any = cli.get_command(click.Context(cli), name)
    parts = [command, *getattr(command, "commands", {}).values()]
    return {text for part in parts for option in part.params for text in getattr(option, "opts", [])} | {"-h", "--help"}


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_commands_on_pages_exist_with_their_options(page: Path) -> None:
    """Each `streamgauge …` of a page, in a block or in code font, names a command that exists and options that it has."""
    inline = re.findall(r"`((?:\.venv/bin/)?streamgauge [^`]+)`", prose(page))
    for line in commands(page) + inline:
        found = re.match(r"(?:\.venv/bin/)?streamgauge ([a-z\-]+)(.*)", line)
        if not found:
            continue
        assert found[1] in COMMANDS, f"{page.name}: {line}"
        used = set(re.findall(r"(?<=\s)--?[a-z][a-z\-]*", found[2]))
        assert used <= options_of(found[1]) | {"--help"}, f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_makefile_has_the_targets_that_pages_name(page: Path) -> None:
    """Each `make TARGET` of a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z][a-z\-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = re.findall(r"`make ([a-z\- ]+)`", prose(page)) + re.findall(r"(?:^|\s)make ([a-z\-]+)$", "\n".join(commands(page)), re.MULTILINE)
    for words in used:
        assert set(words.split()) <= targets, f"{page.name}: make {words}"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_benchmarks_that_pages_name_exist(page: Path) -> None:
    """Each `python -m MODULE` of a page is a module of the project."""
    for module in re.findall(r"python -m ([a-z_.]+[a-z_])", page.read_text()):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{page.name}: python -m {module}"


def test_schemas_are_what_the_code_says() -> None:
    """docs/schemas/ holds what `streamgauge schemas` writes."""
    assert run(["schemas", str(ROOT / "docs/schemas"), "--check"]) == 0


def test_metrics_on_the_page_are_those_of_the_worker() -> None:
    """The table of docs/operating.md has a row for each metric of the worker, with its labels, and no other."""
    from stream_processors.runner.metrics import WorkerMetrics

    section_rows = rows(section(ROOT / "docs/operating.md", "Pages and metrics"))
    table = {row[0].strip("`"): row[1] for row in section_rows if row[0].startswith("`streamgauge_")}
    collectors = {c for c in vars(WorkerMetrics()).values() if hasattr(c, "_labelnames")}
    expected = {c._name + ("_total" if c._type == "counter" else ""): ", ".join(c._labelnames) for c in collectors}
    assert table == expected


def test_keys_of_the_demos_report_are_on_its_page() -> None:
    """docs/demo.md names each key that streamgauge/demo/report.py writes."""
    source = (ROOT / "streamgauge/demo/report.py").read_text()
    keys = {*re.findall(r'^ +"([a-z_0-9]+)":', source, re.MULTILINE), *TOTALS, "balanced"}
    page = (ROOT / "docs/demo.md").read_text()
    assert len(keys) > 20
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_the_license_is_whole() -> None:
    """LICENSE is the full text of Apache-2.0, which pyproject.toml names."""
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text) > 11_000
