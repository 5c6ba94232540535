"""``streamgauge status PLANT``: counters, offsets and lag of every partition."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from streamgauge.commands.options import (
    feed_option,
    json_option,
    kafka_option,
    plant_argument,
    redis_option,
    resolve_feeds,
    resolve_servers,
    say,
)

MOST_COLUMNS = 1_000  # to measure what a table needs; it is never so wide


@click.command("status")
@plant_argument
@feed_option
@kafka_option
@redis_option
@json_option
def command(plant: Path, feed_name: str | None, kafka: str | None, redis: str | None, as_json: bool) -> None:
    """Show what each partition's records ended as, and whether every record and offset is accounted for."""
    from stream_processors.status import feed_status
    from stream_processors.waiting import wait_for_kafka, wait_for_redis

    feeds, servers = resolve_feeds(plant, feed_name), resolve_servers(kafka, redis)
    wait_for_kafka(servers.kafka, say=say)
    wait_for_redis(servers.redis, say=say)
    found = {f.name: asyncio.run(feed_status(f, servers)) for f in feeds}
    if as_json:
        click.echo(json.dumps({"feeds": found}, indent=2))
    else:
        for name, status in found.items():
            _show(name, status)


COLUMNS = (
    "partition",
    "generation",
    "start_offset",
    "end_offset",
    "read",
    "folded",
    "duplicate",
    "late",
    "dead_lettered",
    "control",
    "gaps",
    "lag",
)


def _show(name: str, status: dict[str, Any]) -> None:
    """A table; where a terminal is too narrow for it a line for each figure, since a number that is cut is another number."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_verdict(name, status), title_justify="left")
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), justify="right", no_wrap=True)
    for row in status["partitions"]:
        table.add_row(*(f"{row[column]:,}" for column in COLUMNS))
    table.add_section()
    table.add_row("all", *(f"{status['totals'][c]:,}" if c in status["totals"] else "" for c in COLUMNS[1:]))
    console = Console()
    needed = console.measure(table, options=console.options.update(width=MOST_COLUMNS)).maximum
    if console.is_terminal and needed > console.width:
        _show_lines(name, status)
    else:
        Console(width=max(console.width, needed)).print(table)
    if "labels" in status:
        counts = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in status["labels"].items() if what != "balanced")
        click.echo(f"labels: {counts}; {'balanced' if status['labels']['balanced'] else 'NOT BALANCED'}")


def _show_lines(name: str, status: dict[str, Any]) -> None:
    click.echo(_verdict(name, status))
    for title, row in [*((f"partition {row['partition']:,}", row) for row in status["partitions"]), ("all", status["totals"])]:
        click.echo(title)
        for column in COLUMNS[1:]:
            if column in row:
                click.echo(f"  {column.replace('_', ' '):13} {row[column]:>15,}")


def _verdict(name: str, status: dict[str, Any]) -> str:
    return f"{name}: {'balanced' if status['balanced'] else 'NOT BALANCED'}"
