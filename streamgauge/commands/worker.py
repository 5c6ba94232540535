"""``streamgauge worker PLANT``: one worker for all feeds of a plant, on a Faust app."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from streamgauge.commands.options import kafka_option, plant_argument, redis_option, resolve_servers

WAIT_SECONDS = 60.0  # servers of a stack that starts at the same time take some seconds


@click.command("worker")
@plant_argument
@kafka_option
@redis_option
@click.option("--history", metavar="URL", help="Keep full copies of checkpoints there (or STREAMGAUGE_HISTORY; default none).")
@click.option(
    "--web-port", type=click.IntRange(1, 65_535), help="Port of /live/, /ready/ and /metrics/; the first free one from 6066 on by default."
)
@click.option("--web-bind", default="127.0.0.1", show_default=True, help="Address the pages are served on.")
@click.option("--log-json", is_flag=True, help="Log one JSON object a line.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True)
def command(
    plant: Path,
    kafka: str | None,
    redis: str | None,
    history: str | None,
    web_port: int | None,
    web_bind: str,
    log_json: bool,
    log_level: str,
) -> None:
    """Fold the events of every feed in PLANT until SIGTERM or Ctrl-C; then checkpoint and leave the group."""
    from contracts.plant import load_plant
    from feature_store.history_files import configured_history
    from stream_processors.faust_app import make_app, run_worker
    from stream_processors.waiting import wait_for_kafka, wait_for_redis
    from streamgauge.logs import set_up_logs
    from streamgauge.warm_up import warm_up
    from streamgauge.web_port import DEFAULT_PORT, listen_for_pages

    feeds = load_plant(plant)
    servers = resolve_servers(kafka, redis)
    set_up_logs(log_level, log_json)
    say = logging.getLogger("streamgauge.worker").info
    pages = listen_for_pages(web_bind, web_port)
    port = pages.getsockname()[1]
    if web_port is None and port != DEFAULT_PORT:
        say(f"port {DEFAULT_PORT} is taken, so the pages are on port {port}")
    wait_for_kafka(servers.kafka, WAIT_SECONDS, say)
    wait_for_redis(servers.redis, WAIT_SECONDS, say)
    say("loading the kernels; on a new machine they are compiled now, which takes a minute")
    warm_up()  # before the group is joined: a worker that compiles sends no heartbeat
    run_worker(make_app(feeds, plant.stem, servers, port, web_bind, history=configured_history(history), pages=pages))
