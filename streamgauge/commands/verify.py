"""``streamgauge verify PLANT``: folds the logs again and compares every byte."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamgauge.commands.options import (
    feed_option,
    history_option,
    json_option,
    kafka_option,
    plant_argument,
    redis_option,
    resolve_feeds,
    resolve_servers,
    say,
)
from streamgauge.commands.place_progress import place_progress, shown_on

if TYPE_CHECKING:
    from contracts.definition import Feed
    from contracts.settings import Servers
    from stream_processors.verification.history_comparison import HistoryReport
    from stream_processors.verification.reports import PlaceReport
    from stream_processors.verification.verification import FeedReport

EXIT = {"same": 0, "different": 1, "not checkable": 2}


@click.command("verify")
@plant_argument
@feed_option
@kafka_option
@redis_option
@history_option
@click.option("--labels", is_flag=True, help="Also compute again what labels came to; reads all scores once more a partition of labels.")
@json_option
def command(
    plant: Path, feed_name: str | None, kafka: str | None, redis: str | None, history: str | None, labels: bool, as_json: bool
) -> None:
    """Fold every log again up to its last checkpoint and compare all that it gave. Exit 0 same, 1 different, 2 not checkable."""
    from feature_store.history_files import resolve_history
    from stream_processors.waiting import wait_for_kafka, wait_for_redis

    feeds, servers = resolve_feeds(plant, feed_name), resolve_servers(kafka, redis)
    wait_for_kafka(servers.kafka, say=say)
    wait_for_redis(servers.redis, say=say)
    reports = asyncio.run(verify_feeds(feeds, servers, resolve_history(history), labels))
    verdict = overall(reports)
    if as_json:
        click.echo(json.dumps({"verdict": verdict, "feeds": {report.feed: _plain(report) for report in reports}}, indent=2))
    else:
        for report in reports:
            _show(report)
        click.echo(verdict)
    sys.exit(EXIT[verdict])


def overall(reports: list[FeedReport]) -> str:
    """The worst verdict of all feeds."""
    return max((r.verdict for r in reports), key=lambda v: (v == "not checkable", v == "different"))


async def verify_feeds(feeds: list[Feed], servers: Servers, history: str, labels: bool = False) -> list[FeedReport]:
    """Verifies feeds, with `labels` also what these came to, and their files at `history`, with a progress bar on a terminal."""
    from stream_processors.verification.on_cores import verify_on_cores

    with place_progress() as bar:
        tell = shown_on(bar)
        return [await verify_on_cores(feed, servers, history, tell, labels) for feed in feeds]


def _plain(report: FeedReport) -> dict[str, Any]:
    history = report.history._asdict() if report.history else None
    return report._asdict() | {"places": [place._asdict() for place in report.places], "history": history}


def _show(report: FeedReport) -> None:
    from rich.console import Console
    from rich.table import Table

    if report.reason:
        click.echo(f"{report.feed}: {report.verdict}: {report.reason}")
        return
    table = Table(title=f"{report.feed}: {report.verdict}", title_justify="left")
    for column in ("place", "generation", "offsets folded again", "compared"):
        table.add_column(column)
    for place in report.places:
        compared = ", ".join(f"{n:,} {what}" for what, n in place.compared.items() if n and what != "gone")
        table.add_row(place.place, str(place.generation), f"{place.first:,} to {place.end:,}", compared)
    Console().print(table)
    for place in report.places:
        for line in _limits(place):
            click.echo(line)
    if report.history:
        click.echo(_history_line(report.feed, report.history))
    for place in report.places:
        for line in place.differences[:20]:
            click.echo(line)


def _limits(place: PlaceReport) -> list[str]:
    """What was not compared, since it is no longer there."""
    out = []
    if place.from_copy:
        out.append(
            f"{place.place}: folded again from the full copy of the state at offset {place.first:,}; "
            "what came before is neither archived nor in Kafka"
        )
    if place.compared["gone"]:
        out.append(f"{place.place}: {place.compared['gone']:,} records of outputs are no longer on their topics and were not compared")
    return out


def _history_line(feed: str, history: HistoryReport) -> str:
    if history.listed == 0:
        return f"history: no files of {feed} at {history.url}"
    return f"history: {history.same} of {history.listed} files at {history.url} are the same; {history.left_out} not compared"
