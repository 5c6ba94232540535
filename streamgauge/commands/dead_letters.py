"""``streamgauge dead-letters PLANT``: what was not folded, and why; and the originals sent again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamgauge.commands.options import feed_option, json_option, kafka_option, plant_argument, resolve_feeds, resolve_servers, say

if TYPE_CHECKING:
    from contracts.records import DeadLetter


@click.command("dead-letters")
@plant_argument
@feed_option
@kafka_option
@json_option
@click.option("--redrive", is_flag=True, help="Send the originals again, as new records marked so; goes on where the last redrive ended.")
def command(plant: Path, feed_name: str | None, kafka: str | None, as_json: bool, redrive: bool) -> None:
    """Print every dead letter, oldest first, with its reason; or send the originals again once the cause is mended."""
    import msgspec

    from stream_processors.dead_letters import read_dead_letters, redrive_dead_letters
    from stream_processors.waiting import wait_for_kafka

    servers = resolve_servers(kafka)
    feeds = resolve_feeds(plant, feed_name)
    wait_for_kafka(servers.kafka, say=say)
    for item in feeds:
        if redrive:
            done = redrive_dead_letters(item, servers.kafka)
            late = f"{done.late} late ones left to: streamgauge backfill --late"
            click.echo(f"{item.name}: {done.sent} sent again, {late}, {done.gone} no longer in Kafka")
            continue
        count = 0
        for letter in read_dead_letters(item, servers.kafka):
            count += 1
            click.echo(msgspec.json.encode(letter).decode() if as_json else _line(letter))
        if not count and not as_json:
            click.echo(f"{item.name}: no dead letters", err=True)


def _line(letter: DeadLetter) -> str:
    field = f" field {letter.field}" if letter.field else ""
    key = f" key {_text(letter.key)}" if letter.key else ""
    return f"{letter.topic}/{letter.partition} offset {letter.offset}: {letter.reason}{field}{key}  {_text(letter.original)[:120]}"


def _text(encoded: str | None) -> str:
    import base64

    return base64.b64decode(encoded or "").decode("utf-8", "backslashreplace")
