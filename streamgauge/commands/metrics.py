"""``streamgauge metrics PLANT``: how good predictions were on the labels that came, and alarms by what people say of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contracts.definition import Classification, Feed
from contracts.errors import SettingsError
from streamgauge.commands.options import (
    feed_option,
    history_option,
    json_option,
    kafka_option,
    plant_argument,
    redis_option,
    resolve_one_feed,
    resolve_servers,
    say,
)

if TYPE_CHECKING:
    from contracts.records import Remark
    from contracts.settings import KafkaSettings
    from online_model.raised import Raised
    from streamgauge.metrics.report import Slice


@click.command("metrics")
@plant_argument
@feed_option
@click.option("--by", metavar="SLICE", help="Also a table by entity, hour, version, tag, or a category with stated values.")
@kafka_option
@redis_option
@history_option
@json_option
def command(
    plant: Path, feed_name: str | None, by: str | None, kafka: str | None, redis: str | None, history: str | None, as_json: bool
) -> None:
    """Measure predictions on the labels that have come, beside what anyone would predict without a model; and alarms on verdicts."""
    from feature_store.history_files import resolve_history
    from stream_processors.remarks_reader import read_remarks
    from stream_processors.waiting import wait_for_kafka
    from streamgauge.metrics.joined import TAG, slice_names
    from streamgauge.people.on_record import read_entities, read_raised
    from streamgauge.people.verdicts import people, plain
    from streamgauge.people.view import show_people

    feed, servers = resolve_one_feed(plant, feed_name), resolve_servers(kafka, redis)
    if by not in (None, TAG) and feed.target is None:
        fix = f"write target=Regression(...) in {plant}, or slice its alarms: --by {TAG}"
        raise SettingsError(f"feed '{feed.name}' has no target, so nothing is predicted; {fix}")
    if by is not None and by not in slice_names(feed):
        raise SettingsError(f"no slice '{by}'; choose from {', '.join(slice_names(feed))}")
    wait_for_kafka(servers.kafka, say=say)
    raised = read_raised(feed, servers)
    remarks, unreadable = read_remarks(feed, servers.kafka)
    answered = any(remark.label.verdict in ("fine", "missed") for remark in remarks)  # before that, the store has nothing to tell
    said = people(feed, remarks, unreadable, raised, read_entities(feed, servers, say) if answered else {})
    found, table = _predictions(feed, servers.kafka, resolve_history(history), by, remarks, raised) if feed.target is not None else ({}, [])
    if as_json:
        click.echo(json.dumps(_plain({"feed": feed.name} | found | {"people": plain(said)}), indent=2))
        return
    if feed.target is not None:
        _show(feed, found, by, table)
    show_people(feed.name, said)
    if feed.target is None and by == TAG and not said.tags:
        say("no incident bears a tag yet; give one with: streamgauge label PLANT INCIDENT --tag TAG")


def _predictions(
    feed: Feed, kafka: KafkaSettings, history: str, by: str | None, remarks: list[Remark], raised: dict[str, Raised]
) -> tuple[dict[str, Any], list[Slice]]:
    """What is told of joined labels, and the table of slices."""
    import asyncio

    from stream_processors.examples_reader import read_examples
    from stream_processors.verification.log_reader import read_models
    from streamgauge.metrics.joined import TAG, join, slice_of
    from streamgauge.metrics.report import FEWEST, metrics, overlapping_slices, slices
    from streamgauge.metrics.tags import tag_masks

    joined = join(feed, (example for _, example in read_examples(feed, kafka, history)))
    half_widths = asyncio.run(read_models(feed, kafka)).half_widths()
    served = joined.predicted()
    table: list[Slice] = []
    if by == TAG and served.entity:
        masks = tag_masks(feed, served, remarks, raised)
        table = overlapping_slices(served.losses(served.prediction), masks)
        for name in sorted(masks.keys() - {item.name for item in table}):
            say(f"tag '{name}' is on {masks[name].sum()} labelled and predicted events; fewer than {FEWEST} say nothing")
    elif by and served.entity:
        table = slices(served.losses(served.prediction), slice_of(feed, served, by))
    return {"labels": len(joined.entity), "metrics": metrics(feed, joined, half_widths), "slices": [s._asdict() for s in table]}, table


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(feed: Feed, found: dict[str, Any], by: str | None, table: list[Slice]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not found["metrics"]:
        console.print(f"{feed.name}: {found['labels']:,} labels joined, none of them to an event that a champion predicted yet")
        return
    columns = [name for name in found["metrics"]["served"] if name != "confusion"]
    measures = Table(title=f"{feed.name}: {found['labels']:,} labels joined", title_justify="left")
    measures.add_column("prediction")
    for column in columns:
        measures.add_column(column.replace("_", " "), justify="right")
    for name, values in found["metrics"].items():
        measures.add_row(name, *(_number(values.get(column)) for column in columns))
    console.print(measures)
    if by is None:
        return
    loss = "log loss" if isinstance(feed.target, Classification) else "absolute error"
    rows = Table(title=f"by {by}", title_justify="left")
    for column in (by, "labels", "share", f"mean {loss}", "gap to the rest", "gain if closed"):
        rows.add_column(column, justify="left" if column == by else "right")
    for item in table:
        rows.add_row(item.name, f"{item.labels:,}", f"{item.share:.1%}", *(_number(value) for value in item[3:]))
    console.print(rows)


def _number(value: float | int | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
