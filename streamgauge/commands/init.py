"""``streamgauge init DATA…``: writes a plant file that fits files of readings."""

from __future__ import annotations

from pathlib import Path

import click

from contracts.errors import InputError
from streamgauge.commands.options import entity_from_option, entity_is_path, say


@click.command("init")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to write; standard output when left out.")
@click.option("--entity", metavar="COLUMN", help="The column that names the device; guessed when left out.")
@click.option("--time", metavar="COLUMN", help="The column with the event time; guessed when left out.")
@click.option("--name", metavar="NAME", help="Name of the feed; that of the file or directory when left out.")
@entity_from_option
def command(
    data: tuple[str, ...], output: Path | None, entity: str | None, time: str | None, name: str | None, entity_from: str | None
) -> None:
    """Write a plant file from DATA: CSV or Parquet files, directories, or quoted globs."""
    from producers.files import find_files
    from producers.inference import guess
    from producers.plant_text import plant_text

    if output is not None and output.exists():
        raise InputError(f"{output} is there already; remove it or write another file, as your own changes would be lost")
    by_path = entity_is_path(entity, entity_from)
    sources = find_files(data)
    first = Path(data[0])
    stem = first.name if first.is_dir() else sources[0].path.stem if len(sources) == 1 else sources[0].path.parent.resolve().name
    found = guess(sources, time, entity, by_path)
    for column, why in found.left_out.items():
        say(f"note: column '{column}' is left out ({why})")
    text = plant_text(found, name or stem)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output}: {error.strerror}; choose a path that can be written") from error
    click.echo(f"wrote {output}; look at it, then: streamgauge check {output}", err=True)
