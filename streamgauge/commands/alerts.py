"""``streamgauge alerts PLANT``: an ordinary kafka-python consumer of the alert topic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamgauge.commands.options import feed_option, json_option, kafka_option, plant_argument, resolve_feeds, resolve_servers, say

if TYPE_CHECKING:
    from contracts.records import Alert

COLOURS = {"opened": "red", "updated": "yellow", "resolved": "green"}


@click.command("alerts")
@plant_argument
@feed_option
@kafka_option
@click.option("--follow", is_flag=True, help="Stay and print alerts as they come.")
@json_option
def command(plant: Path, feed_name: str | None, kafka: str | None, follow: bool, as_json: bool) -> None:
    """Print incidents as they opened, changed and ended, oldest first."""
    import msgspec

    from stream_processors.alert_reader import read_alerts
    from stream_processors.waiting import wait_for_kafka

    servers = resolve_servers(kafka)
    feeds = resolve_feeds(plant, feed_name)
    wait_for_kafka(servers.kafka, say=say)
    found = 0
    for alert in read_alerts(feeds, servers.kafka, follow, say=say):
        found += 1
        click.echo(msgspec.json.encode(alert).decode() if as_json else _line(alert))
    if not found and not as_json:
        click.echo("no incident yet", err=True)


def _line(alert: Alert) -> str:
    from contracts.event_time import format_event_time

    status = click.style(f"{alert.status:8}", fg=COLOURS[alert.status])
    why = f" ({alert.reason})" if alert.reason else ""
    return f"{format_event_time(alert.event_time)}  {status} {alert.severity:6} {alert.kind:11} {alert.sentence}{why} [{alert.incident}]"
