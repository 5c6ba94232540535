"""``streamgauge backfill PLANT FILES… | --late``: history that no worker folded in time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamgauge.commands.options import (
    entity_from_option,
    entity_is_path,
    entity_option,
    feed_option,
    kafka_option,
    plant_argument,
    resolve_feeds,
    resolve_one_feed,
    resolve_servers,
    say,
    time_option,
)
from streamgauge.commands.place_progress import place_progress, shown_on

if TYPE_CHECKING:
    pass


@click.command("backfill")
@plant_argument
@click.argument("files", nargs=-1)
@feed_option
@kafka_option
@click.option(
    "--late", is_flag=True, help="Fold what was dead-lettered as late in its place, and write what that changes as the next revision."
)
@click.option("--to", metavar="URL", help="Directory or fsspec URL of the history (or STREAMGAUGE_HISTORY; default ./history).")
@time_option
@entity_option
@entity_from_option
def command(
    plant: Path,
    files: tuple[str, ...],
    feed_name: str | None,
    kafka: str | None,
    late: bool,
    to: str | None,
    time: str | None,
    entity: str | None,
    entity_from: str | None,
) -> None:
    """Load FILES (CSV or Parquet files, directories, quoted globs), or what came late, into the Parquet history.

    Needs no Kafka for files. A load that was interrupted goes on; one that is complete is not done twice.
    """
    from contracts.errors import InputError
    from feature_store.history_files import resolve_history

    if bool(files) == late:
        raise InputError("name files to load, or --late; one of the two")
    by_path = entity_is_path(entity, entity_from)
    if late:
        _late(plant, feed_name, kafka, resolve_history(to))
    else:
        _load(plant, feed_name, files, resolve_history(to), time, entity, by_path)


def _load(
    plant: Path, feed_name: str | None, files: tuple[str, ...], url: str, time: str | None, entity: str | None, by_path: bool
) -> None:
    from stream_processors.backfill.from_files import FileLoad

    feed = resolve_one_feed(plant, feed_name)
    load = FileLoad(feed, files, url, time, entity, by_path)
    if load.is_loaded:
        click.echo(f"{feed.name}: these {load.rows:,} rows stand in revision {load.revision} already")
        return
    with place_progress() as progress:
        task = progress.add_task(f"backfill {feed.name}", total=load.rows)
        done = load.run(lambda rows, total: progress.update(task, completed=rows, total=total))
    if done.folded_now < done.rows:
        say(f"{feed.name}: {done.rows - done.folded_now:,} rows had been folded before")
    counts = ", ".join(f"{n:,} {name.replace('_', '-')}" for name, n in done.counters.items())
    click.echo(f"{feed.name}: {done.rows:,} rows: {counts}; revision {done.revision}, generation 0")


def _late(plant: Path, feed_name: str | None, kafka: str | None, url: str) -> None:
    from stream_processors.backfill.late import backfill_late
    from stream_processors.waiting import wait_for_kafka

    feeds, servers = resolve_feeds(plant, feed_name), resolve_servers(kafka)
    wait_for_kafka(servers.kafka, say=say)
    for feed in feeds:
        with place_progress() as progress:
            report = asyncio.run(backfill_late(feed, servers.kafka, url, shown_on(progress)))
        left = (
            f"; left out: {report.older:,} of generations that are over, {report.gone:,} that are gone"
            if report.older + report.gone
            else ""
        )
        if report.revision is None:
            click.echo(f"{feed.name}: {report.readings:,} late readings, nothing to write{left}")
        else:
            click.echo(f"{feed.name}: {report.readings:,} late readings gave {report.rows:,} rows of revision {report.revision}{left}")
