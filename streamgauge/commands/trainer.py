"""``streamgauge trainer PLANT``: retrain requests to new versions of the prediction models."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import click

from streamgauge.commands.options import history_option, kafka_option, plant_argument, resolve_feeds, resolve_servers

WAIT_SECONDS = 60.0  # servers of a stack that starts at the same time take some seconds


@click.command("trainer")
@plant_argument
@kafka_option
@click.option(
    "--runs",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    help="Where MLflow's SQLite file and artifacts stand (default: mlruns beside PLANT); MLFLOW_TRACKING_URI names a server instead.",
)
@click.option("--with-incidents", is_flag=True, help="Also train on spans of incidents that people have confirmed.")
@history_option
@click.option("--log-json", is_flag=True, help="Log one JSON object a line.")
def command(plant: Path, kafka: str | None, runs: Path | None, with_incidents: bool, history: str | None, log_json: bool) -> None:
    """Train a model for every retrain request of PLANT's feeds that have a target, until SIGTERM or Ctrl-C."""
    from contracts.errors import SettingsError
    from feature_store.history_files import resolve_history
    from stream_processors.topics import ensure_topics
    from stream_processors.trainer.mlflow_tracking import MlflowTracking
    from stream_processors.trainer.service import TrainerService
    from stream_processors.waiting import wait_for_kafka
    from streamgauge.logs import set_up_logs

    feeds = [feed for feed in resolve_feeds(plant) if feed.target is not None]
    if not feeds:
        raise SettingsError(f"no feed of {plant} has a target, so there is nothing to train; write target=Regression(...) in one")
    servers = resolve_servers(kafka)
    set_up_logs("info", log_json)
    log = logging.getLogger("streamgauge.trainer")
    tracking = MlflowTracking(feeds, runs or plant.parent / "mlruns")
    wait_for_kafka(servers.kafka, WAIT_SECONDS, log.info)
    for feed in feeds:
        for finding in ensure_topics(feed, servers.kafka).findings:
            log.warning(finding)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("training for %s on request; runs are shown at %s", ", ".join(feed.name for feed in feeds), tracking.uri)
    group, url = f"streamgauge-{plant.stem}-trainer", resolve_history(history)
    TrainerService(feeds, servers.kafka, group, tracking, with_incidents, url).run(stop.is_set)
    log.info("ended")
