"""``streamgauge migrate OLD NEW``: another definition takes over with the state that it would always have had."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamgauge.commands.options import (
    feed_option,
    history_option,
    json_option,
    kafka_option,
    redis_option,
    resolve_one_feed,
    resolve_servers,
    say,
)
from streamgauge.commands.place_progress import place_progress, shown_on

if TYPE_CHECKING:
    from contracts.definition import Feed
    from contracts.settings import Servers
    from stream_processors.migration.migration import Incident, MigrationReport


@click.command("migrate")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@feed_option
@click.option("--dry-run", is_flag=True, help="Fold and tell what would differ, and leave everything as it is.")
@kafka_option
@redis_option
@history_option
@json_option
def command(
    old: Path, new: Path, feed_name: str | None, dry_run: bool, kafka: str | None, redis: str | None, history: str | None, as_json: bool
) -> None:
    """Fold archive and log of a feed with the definition in NEW, beside the workers of OLD, and cut over.

    Workers of OLD let go of the partitions then: stop them, and start those of NEW.
    """
    from feature_store.history_files import resolve_history
    from stream_processors.waiting import wait_for_kafka, wait_for_redis

    feeds, servers = (resolve_one_feed(old, feed_name), resolve_one_feed(new, feed_name)), resolve_servers(kafka, redis)
    wait_for_kafka(servers.kafka, say=say)
    wait_for_redis(servers.redis, say=say)
    report = asyncio.run(_migrate(*feeds, servers, resolve_history(history), not dry_run))
    if as_json:
        plain = {"places": [p._asdict() for p in report.places], "both": report.both}
        differ = {"only_old": [i._asdict() for i in report.only_old], "only_new": [i._asdict() for i in report.only_new]}
        click.echo(json.dumps({"feed": report.feed} | plain | differ, indent=2))
    else:
        _show(report, new)


async def _migrate(old: Feed, new: Feed, servers: Servers, history: str, cut_over: bool) -> MigrationReport:
    from feature_store.redis_connection import async_client
    from stream_processors.migration.migration import Migration

    redis = await async_client(servers.redis)
    try:
        with place_progress() as bar:
            return await Migration(old, new, servers.kafka, redis, history, shown_on(bar)).run(cut_over)
    finally:
        await redis.aclose()


def _show(report: MigrationReport, new: Path) -> None:
    click.echo(
        f"{report.feed}: {report.both} incidents alike, {len(report.only_old)} only with the old definition, "
        f"{len(report.only_new)} only with the new one"
    )
    for name, incidents in (("old", report.only_old), ("new", report.only_new)):
        for incident in incidents:
            click.echo(f"  only {name}: {_line(incident)}")
    for place in report.places:
        click.echo(
            f"partition {place.partition}: generation {place.generation} goes on at offset {place.cut_over:,} with the state of "
            f"all offsets from {place.first:,} on"
        )
    click.echo(
        f"now stop the workers of the old definition, and start: streamgauge worker {new}" if report.places else "nothing was changed"
    )


def _line(incident: Incident) -> str:
    from contracts.event_time import format_event_time

    where = " ".join(part for part in (incident.entity, incident.field) if part) or "the feed"
    return f"{format_event_time(incident.event_time)} {incident.kind} of {where}"
