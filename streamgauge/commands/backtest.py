"""``streamgauge backtest FILES… --out DIR``: the folds over files, with no broker and no store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contracts.errors import InputError
from streamgauge.commands.options import entity_from_option, entity_is_path, feed_option, resolve_one_feed, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producers.files import Source


@click.command("backtest")
@click.argument("files", nargs=-1, required=True)
@click.option("--definition", type=click.Path(path_type=Path), metavar="PLANT", help="The plant file; inferred and written when left out.")
@feed_option
@click.option("--time", metavar="COLUMN", help="The column with the event time.")
@click.option("--entity", metavar="COLUMN", help="The column that names the device.")
@entity_from_option
@click.option("--partitions", type=click.IntRange(1, 10_000), help="Of the topic to compare with; the definition's when left out.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where the results go.",
)
def command(
    files: tuple[str, ...],
    definition: Path | None,
    feed_name: str | None,
    time: str | None,
    entity: str | None,
    entity_from: str | None,
    partitions: int | None,
    out: Path,
) -> None:
    """Score the rows of FILES (CSV or Parquet files, directories, quoted globs) and raise their alarms, as a worker would."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from producers.files import find_files
    from streamgauge.backtest.history import read_history
    from streamgauge.backtest.run import run_backtest, write_outputs

    by_path = entity_is_path(entity, entity_from)
    sources = find_files(files)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: {error.strerror}; choose a directory that can be made") from error
    if definition is None:
        definition = _infer(files[0], sources, time, entity, by_path, out)
    feed = resolve_one_feed(definition, feed_name)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        read = bar.add_task("read files", total=len(sources))
        history = read_history(feed, sources, time, entity, by_path, lambda _: bar.advance(read))
        folded = bar.add_task("fold rows", total=history.columns.n)
        tested = run_backtest(feed, history, partitions, lambda rows: bar.advance(folded, rows))
    write_outputs(out, history, tested)
    _show(tested.report, out)


def _infer(first: str, sources: Sequence[Source], time: str | None, entity: str | None, from_path: bool, out: Path) -> Path:
    """Writes the plant file that `streamgauge init` would write."""
    from producers.inference import guess
    from producers.plant_text import plant_text

    root = Path(first)
    stem = root.name if root.is_dir() else sources[0].path.stem if len(sources) == 1 else sources[0].path.parent.resolve().name
    path, text = out / "plant.py", plant_text(guess(sources, time, entity, from_path), stem)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise InputError(f"{path} is there already and says otherwise; use it with --definition {path}, or choose another --out")
    path.write_text(text, encoding="utf-8")
    say(f"no definition given; wrote {path}")
    return path


def _show(report: dict[str, Any], out: Path) -> None:
    counts = ", ".join(f"{count:,} {name.replace('_', '-')}" for name, count in report["outcomes"].items())
    kinds = ", ".join(f"{count} {kind}" for kind, count in report["incidents_by_kind"].items())
    click.echo(f"{report['feed']}: {report['rows']:,} rows of {report['entities']:,} entities: {counts}")
    click.echo(f"{report['incidents']:,} incidents{f' ({kinds})' if kinds else ''}, {report['rows_per_second'] or 0:,} rows a second")
    click.echo(f"written to {out}: scores.csv, alerts.jsonl, report.json")
