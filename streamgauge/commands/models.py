"""``streamgauge models PLANT …``: versions of the prediction models side by side, put in place by hand, and as files."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from streamgauge.commands.options import (
    feed_option,
    history_option,
    json_option,
    kafka_option,
    plant_argument,
    resolve_one_feed,
    resolve_servers,
    say,
)

if TYPE_CHECKING:
    from contracts.definition import Feed
    from stream_processors.models_log import Models

Action = Literal["promote", "rollback", "split"]


@click.group("models")
@plant_argument
@click.pass_context
def command(ctx: click.Context, plant: Path) -> None:
    """Show the versions of a feed's models, compare two, put one in place by hand, or export one."""
    ctx.obj = plant


@command.command("list")
@feed_option
@kafka_option
@json_option
@click.pass_obj
def list_versions(plant: Path, feed_name: str | None, kafka: str | None, as_json: bool) -> None:
    """Versions, oldest first, with their held-out metrics; what serves now; and who has put what in place, when and why."""
    import msgspec

    from streamgauge.models.listing import decisions, versions
    from streamgauge.models.tables import show_versions

    models = _read_models(_feed(plant, feed_name), kafka)
    listed = versions(models)
    if as_json:
        for version in listed:
            click.echo(msgspec.json.encode(version).decode())
    else:
        show_versions(listed, decisions(models))
    if not listed:
        say("no version yet")


@command.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@feed_option
@kafka_option
@history_option
@json_option
@click.pass_obj
def compare_versions(
    plant: Path, first: str, second: str, feed_name: str | None, kafka: str | None, history: str | None, as_json: bool
) -> None:
    """Compare what A and B predicted on the same events whose labels have come, and what each was trained on."""
    import msgspec

    from feature_store.history_files import resolve_history
    from stream_processors.examples_reader import read_examples
    from streamgauge.models.comparison import compare
    from streamgauge.models.tables import show_comparison

    feed = _feed(plant, feed_name)
    snapshots = _read_models(feed, kafka).snapshots
    examples = read_examples(feed, resolve_servers(kafka).kafka, resolve_history(history))
    found = compare(feed, snapshots, (example for _, example in examples), first, second)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        show_comparison(found, first, second)


def _decision_options(decides: Callable[..., None]) -> Callable[..., None]:
    """What all decisions take: who, why, and the options of every command that writes to a feed."""
    for option in (
        click.pass_obj,
        json_option,
        kafka_option,
        feed_option,
        click.option("--why", metavar="TEXT", help="The reason, which stands on the record; asked for where it is left out."),
        click.option("--by", metavar="NAME", help="Who decides (default: the login name)."),
    ):
        decides = option(decides)
    return decides


@command.command("promote")
@click.argument("version")
@_decision_options
def promote(plant: Path, version: str, by: str | None, why: str | None, feed_name: str | None, kafka: str | None, as_json: bool) -> None:
    """Make VERSION the champion now; the one before stays beside it, and serves again if VERSION turns out worse."""
    _decide(_feed(plant, feed_name), kafka, "promote", version, 0.0, by, why, as_json)


@command.command("rollback")
@_decision_options
def rollback(plant: Path, by: str | None, why: str | None, feed_name: str | None, kafka: str | None, as_json: bool) -> None:
    """Put the champion before back in place; while a version is on trial or in a split, end that instead."""
    _decide(_feed(plant, feed_name), kafka, "rollback", "", 0.0, by, why, as_json)


@command.command("split")
@click.argument("version")
@click.argument("share", type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True))
@_decision_options
def split(
    plant: Path, version: str, share: float, by: str | None, why: str | None, feed_name: str | None, kafka: str | None, as_json: bool
) -> None:
    """Let VERSION serve a SHARE of the entities, such as 0.5, until a person ends it by promote or rollback."""
    _decide(_feed(plant, feed_name), kafka, "split", version, share, by, why, as_json)


def _decide(
    feed: Feed, kafka: str | None, action: Action, version: str, share: float, by: str | None, why: str | None, as_json: bool
) -> None:
    import getpass
    import sys
    import time

    import msgspec

    from contracts.records import Decision
    from stream_processors.trainer.logs import FeedLogs
    from streamgauge.models.decisions import decide, decision_id, placed

    if why is None and sys.stdin.isatty():
        why = click.prompt("Why? It stands on the record", err=True)
    if not why or not why.strip():
        raise click.UsageError(f"say why with --why TEXT; it stands on the record of what was {_PAST[action]}")
    models = _read_models(feed, kafka)
    by, when = by or getpass.getuser(), time.time_ns() // 1_000
    decision = Decision(id=decision_id(feed.name, by, when), action=action, version=version, share=share, by=by, when=when, why=why.strip())
    rollout = decide(FeedLogs(feed, resolve_servers(kafka).kafka), models, decision, say)
    if as_json:
        click.echo(msgspec.json.encode(rollout).decode())
    else:
        click.echo(f"{feed.name}: {rollout.version} {rollout.stage.replace('_', ' ')} by {rollout.by}; {placed(rollout)}")


_PAST = {"promote": "promoted", "rollback": "rolled back", "split": "split"}


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
