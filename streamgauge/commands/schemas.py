"""``streamgauge schemas DIR``: the JSON Schema of every topic's records, made from the code."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("schemas")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a file differs.")
def command(directory: Path, check: bool) -> None:
    """Write one JSON Schema a topic into DIRECTORY."""
    from contracts.errors import InputError
    from contracts.schemas import topic_schemas

    for name, text in topic_schemas().items():
        path = directory / f"{name}.json"
        if not check:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            raise InputError(f"{path} is not what the code says; run: make schemas")
