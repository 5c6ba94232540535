"""``streamgauge backtest FILES… | --recorded --out DIR``: the folds over files, with no broker, or over recorded events."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contracts.errors import InputError
from streamgauge.commands.options import (
    entity_from_option,
    entity_is_path,
    feed_option,
    history_option,
    kafka_option,
    resolve_one_feed,
    resolve_servers,
    say,
)
from streamgauge.commands.place_progress import shown_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress

    from contracts.definition import Feed
    from producers.files import Source


@click.command("backtest")
@click.argument("files", nargs=-1)
@click.option("--recorded", is_flag=True, help="Instead of FILES: the feed's events, archive and log as one, whatever folded them.")
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
@kafka_option
@history_option
def command(
    files: tuple[str, ...],
    recorded: bool,
    definition: Path | None,
    feed_name: str | None,
    time: str | None,
    entity: str | None,
    entity_from: str | None,
    partitions: int | None,
    out: Path,
    kafka: str | None,
    history: str | None,
) -> None:
    """Score the rows of FILES (CSV or Parquet files, directories, quoted globs) and raise their alarms, as a worker would.

    With --recorded, the events that archive and Kafka hold, as DEFINITION would have folded them.
    """
    if bool(files) == recorded:
        raise InputError("name files to fold, or --recorded; one of the two")
    if recorded and (definition is None or time or entity or entity_from or partitions):
        raise InputError("--recorded needs --definition PLANT, and nothing that says how files are read")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: {error.strerror}; choose a directory that can be made") from error
    if recorded:
        assert definition is not None
        _show(_fold_recorded(resolve_one_feed(definition, feed_name), kafka, history, out), out)
    else:
        _show(_fold_files(files, definition, feed_name, time, entity, entity_is_path(entity, entity_from), partitions, out), out)


def _fold_files(
    files: tuple[str, ...],
    definition: Path | None,
    feed_name: str | None,
    time: str | None,
    entity: str | None,
    by_path: bool,
    partitions: int | None,
    out: Path,
) -> dict[str, Any]:
    from producers.files import find_files
    from streamgauge.backtest.history import read_history
    from streamgauge.backtest.run import run_backtest, write_outputs

    sources = find_files(files)
    if definition is None:
        definition = _infer(files[0], sources, time, entity, by_path, out)
    feed = resolve_one_feed(definition, feed_name)
    with _progress() as bar:
        read = bar.add_task("read files", total=len(sources))
        history = read_history(feed, sources, time, entity, by_path, lambda _: bar.advance(read))
        folded = bar.add_task("fold rows", total=history.columns.n)
        tested = run_backtest(feed, history, partitions, lambda rows: bar.advance(folded, rows))
    write_outputs(out, history, tested)
    return tested.report


def _fold_recorded(feed: Feed, kafka: str | None, url: str | None, out: Path) -> dict[str, Any]:
    from feature_store.history_files import resolve_history
    from stream_processors.waiting import wait_for_kafka
    from streamgauge.backtest.recorded import read_recorded
    from streamgauge.backtest.run import run_backtest, write_outputs

    servers = resolve_servers(kafka)
    wait_for_kafka(servers.kafka, say=say)
    with _progress() as bar:
        found = read_recorded(feed, servers.kafka, resolve_history(url), shown_on(bar, "read {}"))
        folded = bar.add_task("fold rows", total=found.history.columns.n)
        advance = partial(bar.advance, folded)
        tested = run_backtest(feed, found.history, found.partitions, advance, found.partition)
    write_outputs(out, found.history, tested)
    return tested.report


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


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
