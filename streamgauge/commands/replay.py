"""``streamgauge replay PLANT FILES…``: sends the rows of files as a feed's events."""

from __future__ import annotations

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
    resolve_one_feed,
    resolve_servers,
    say,
    time_option,
)
from streamgauge.commands.speed import SPEED

if TYPE_CHECKING:
    from contracts.definition import Feed


@click.command("replay")
@plant_argument
@click.argument("files", nargs=-1, required=True)
@feed_option
@kafka_option
@click.option(
    "--speed", type=SPEED, default="max", show_default=True, help="Event time over wall time: 1 as recorded, max without waiting."
)
@time_option
@entity_option
@entity_from_option
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
    from producers.pacing import paced
    from producers.replay import Replay
    from stream_processors.newest_event import newest_event_time
    from stream_processors.waiting import wait_for_kafka
    from streamgauge.sending import send_events

    by_path = entity_is_path(entity, entity_from)
    feed, servers = resolve_one_feed(plant, feed_name), resolve_servers(kafka)
    replay = Replay(feed, files, time, entity, by_path)
    for name in replay.absent_fields:
        say(f"note: no file has a column '{name}'; it is sent as missing")
    wait_for_kafka(servers.kafka, say=say)
    newest = newest_event_time(feed, servers.kafka)
    if newest is not None and replay.first < newest:
        say(_again(feed, replay.first, newest))
    batches = replay.batches() if speed is None else paced(replay.batches(), speed, replay.first)
    done = send_events(feed, servers, batches, replay.rows, "replay")
    files_text = "1 file" if replay.files == 1 else f"{replay.files:,} files"
    click.echo(f"{feed.name}: {done.delivered:,} events of {files_text} delivered, {done.failed:,} failed, in {done.seconds:.1f} s")


def _again(feed: Feed, first: int, newest: int) -> str:
    """What comes of sending what is older than the feed has heard already."""
    from contracts.event_time import format_event_time
    from contracts.topics import events_topic

    return (
        f"warning: {events_topic(feed)} holds readings up to {format_event_time(newest)}, and these files begin at "
        f"{format_event_time(first)}. What is older than its entity's newest reading will be counted late or duplicate, not folded, and "
        "may raise alerts of `delay` that mean nothing. To fold the files afresh give the feed another name; to load older history use "
        "streamgauge backfill"
    )
