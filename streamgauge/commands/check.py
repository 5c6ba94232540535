"""``streamgauge check PLANT``: what a definition means and what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from streamgauge.commands.options import feed_option, json_option, plant_argument, resolve_feeds


@click.command("check")
@plant_argument
@feed_option
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=100.0,
    show_default=True,
    metavar="EVENTS_PER_S",
    help="Readings a second of the whole feed.",
)
@click.option("--entities", type=click.IntRange(min=1), default=100, show_default=True, help="Entities of the whole feed.")
@json_option
def command(plant: Path, feed_name: str | None, rate: float, entities: int, as_json: bool) -> None:
    """Show topics, features, bytes of state, bytes a day, and how the alarm budget is split."""
    from streamgauge.estimate import estimate

    found = {f.name: estimate(f, rate, entities) for f in resolve_feeds(plant, feed_name)}
    if as_json:
        click.echo(json.dumps({"feeds": found}, indent=2))
    else:
        for name, item in found.items():
            _show(name, item, rate, entities)


def _show(name: str, item: dict[str, Any], rate: float, entities: int) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"[bold]{name}[/]  definition {item['definition']}")
    topics = Table("topic", "partitions", title="Topics", title_justify="left")
    for topic, partitions in item["topics"].items():
        topics.add_row(topic, str(partitions))
    console.print(topics)
    console.print(f"{len(item['features'])} features: {', '.join(item['features'])}", highlight=False)
    sizes = Table("what", "bytes", title=f"Sizes at {rate:g} readings a second from {entities:,} entities", title_justify="left")
    for what, size in item["bytes"].items():
        sizes.add_row(what.replace("_", " "), f"{size:,}")
    console.print(sizes)
    budget = Table(
        "source",
        "false alarms a week",
        "e-value an entity must reach",
        "why",
        title=f"Budget: {_alarms(item['false_alarms_per_week'])} a week",
        title_justify="left",
    )
    for source, row in item["budget"].items():
        budget.add_row(source, f"{row['false_alarms_per_week']:.3g}", _e_value(10 ** row["log10_threshold"]), row["reason"])
    console.print(budget)


def _alarms(number: float) -> str:
    return f"{number:g} false alarm{'' if number == 1 else 's'}"


def _e_value(value: float) -> str:
    return f"{value:,.0f}" if value < 100_000 else f"{value:.1e}"
