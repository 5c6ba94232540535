"""``streamgauge models PLANT list | export VERSION``: versions of the prediction models, and one of them as a file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamgauge.commands.options import feed_option, json_option, kafka_option, plant_argument, resolve_one_feed, resolve_servers, say

if TYPE_CHECKING:
    from contracts.definition import Feed
    from stream_processors.models_log import Models


@click.group("models")
@plant_argument
@click.pass_context
def command(ctx: click.Context, plant: Path) -> None:
    """Show the versions that stand on a feed's models topic, or export one."""
    ctx.obj = plant


@command.command("list")
@feed_option
@kafka_option
@json_option
@click.pass_obj
def list_versions(plant: Path, feed_name: str | None, kafka: str | None, as_json: bool) -> None:
    """Versions, oldest first, with their held-out metrics; and what serves now."""
    import msgspec

    models = _read_models(_feed(plant, feed_name), kafka)
    for snapshot in models.snapshots.values():
        if as_json:
            click.echo(msgspec.json.encode({n: getattr(snapshot, n) for n in ("version", "request", "parameters", "metrics")}).decode())
        else:
            shown = "  ".join(f"{name} {value:.4g}" for name, value in snapshot.metrics.items())
            role = "champion" if models.rollout and models.rollout.champion == snapshot.version else ""
            click.echo(f"{snapshot.version:10} {role:10} {snapshot.family:10} {shown}")
    if not models.snapshots:
        say("no version yet")


@command.command("export")
@click.argument("version")
@click.option("--format", "kind", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="What to write.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write (default: FEED-VERSION.onnx); the card stands beside it."
)
@feed_option
@kafka_option
@click.pass_obj
def export(plant: Path, version: str, kind: str, output: Path | None, feed_name: str | None, kafka: str | None) -> None:
    """Write VERSION as an ONNX file with its model card, checked against the original."""
    from contracts.errors import ModelError
    from online_model.online_predictor import COMPILED
    from online_model.predictor_bytes import predictor_from_bytes
    from training.model_card import card_metadata, model_card
    from training.onnx_export import check_onnx, export_onnx

    feed = _feed(plant, feed_name)
    snapshots = _read_models(feed, kafka).snapshots
    if version not in snapshots:
        raise ModelError(f"feed '{feed.name}' has no version '{version}'; it has {', '.join(snapshots) or 'none yet'}")
    snapshot = snapshots[version]
    if snapshot.family != COMPILED:
        raise ModelError(f"version '{version}' is a {snapshot.family}, which has no {kind} form; export a version of the trainer's")
    predictor = predictor_from_bytes(base64.b64decode(snapshot.state), len(snapshot.features), snapshot.outputs)
    data = export_onnx(predictor, len(snapshot.features), card_metadata(feed, snapshot))
    difference = check_onnx(data, predictor, len(snapshot.features))
    output = output or Path(f"{feed.name}-{version}.onnx")
    output.write_bytes(data)
    card = output.with_suffix(".md")
    card.write_text(model_card(feed, snapshot, difference))
    click.echo(f"{output} ({len(data):,} bytes) and {card}; predictions differ from the original by at most {difference:.3g}")


def _feed(plant: Path, feed_name: str | None) -> Feed:
    from contracts.errors import SettingsError

    feed = resolve_one_feed(plant, feed_name)
    if feed.target is None:
        raise SettingsError(f"feed '{feed.name}' has no target, so it has no models; write target=Regression(...) in {plant}")
    return feed


def _read_models(feed: Feed, kafka: str | None) -> Models:
    from stream_processors.models_log import Models
    from stream_processors.trainer.logs import FeedLogs
    from stream_processors.waiting import wait_for_kafka

    servers = resolve_servers(kafka)
    wait_for_kafka(servers.kafka, say=say)
    logs, models = FeedLogs(feed, servers.kafka), Models()
    for record in logs.read("models", *logs.bounds("models")):
        models.take(record.value)
    return models
