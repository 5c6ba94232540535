"""``streamgauge replay PLANT FILES…``: sends the rows of files as a feed's events."""

from __future__ import annotations

from pathlib import Path

import click

from streamgauge.commands.options import feed_option, kafka_option, plant_argument, resolve_one_feed, resolve_servers, say
from streamgauge.commands.speed import SPEED


@click.command("replay")
@plant_argument
@click.argument("files", nargs=-1, required=True)
@feed_option
@kafka_option
@click.option(
    "--speed", type=SPEED, default="max", show_default=True, help="Event time over wall time: 1 as recorded, max without waiting."
)
@click.option("--time", metavar="COLUMN", help="The column with the event time; the definition's time when left out.")
@click.option("--entity", metavar="COLUMN", help="The column that names the device; the definition's entity when left out.")
@click.option("--entity-from", type=click.Choice(["path"]), help="The entity is the file's path below the root, without suffix.")
def command(
    plant: Path,
    files: tuple[str, ...],
    feed_name: str | None,
    kafka: str | None,
    speed: float | None,
    time: str | None,
    entity: str | None,
    entity_from: str | None,
) -> None:
    """Send the rows of FILES (CSV or Parquet files, directories, quoted globs) as events, in order of event time."""
    from contracts.errors import InputError
    from producers.pacing import paced
    from producers.replay import Replay
    from streamgauge.sending import send_events

    if entity and entity_from:
        raise InputError("--entity and --entity-from exclude each other; give one")
    feed, servers = resolve_one_feed(plant, feed_name), resolve_servers(kafka)
    replay = Replay(feed, files, time, entity, entity_from == "path")
    for name in replay.absent_fields:
        say(f"note: no file has a column '{name}'; it is sent as missing")
    batches = replay.batches() if speed is None else paced(replay.batches(), speed, replay.first)
    done = send_events(feed, servers, batches, replay.rows, "replay")
    files_text = "1 file" if replay.files == 1 else f"{replay.files:,} files"
    click.echo(f"{feed.name}: {done.delivered:,} events of {files_text} delivered, {done.failed:,} failed, in {done.seconds:.1f} s")
