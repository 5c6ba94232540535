"""``streamgauge archive PLANT``: the inference log as Parquet."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamgauge.commands.options import feed_option, kafka_option, plant_argument, resolve_feeds, resolve_servers

if TYPE_CHECKING:
    from stream_processors.archive.archiver import Archiver

WAIT_SECONDS = 60.0  # servers of a stack that starts at the same time take some seconds


@click.command("archive")
@plant_argument
@feed_option
@kafka_option
@click.option("--to", metavar="URL", help="Directory or fsspec URL (or STREAMGAUGE_HISTORY; default ./history).")
@click.option(
    "--what",
    metavar="LOGS",
    help="Comma-separated: scores, events, labels, switches, evidence, examples, models, dead-letters "
    '(default: scores, and all but the last where the definition says archive="raw").',
)
@click.option("--log-json", is_flag=True, help="Log one JSON object a line.")
def command(plant: Path, feed_name: str | None, kafka: str | None, to: str | None, what: str | None, log_json: bool) -> None:
    """Write each feed's scores, with the vectors that the model saw, and logs as they stand, to Parquet until SIGTERM or Ctrl-C.

    Goes on where the files end.
    """
    from feature_store.history_files import resolve_history
    from stream_processors.archive.archiver import Archiver
    from stream_processors.topics import ensure_topics
    from stream_processors.waiting import wait_for_kafka
    from streamgauge.logs import set_up_logs

    feeds, servers, url = resolve_feeds(plant, feed_name), resolve_servers(kafka), resolve_history(to)
    set_up_logs("info", log_json)
    log = logging.getLogger("streamgauge.archive")
    wait_for_kafka(servers.kafka, WAIT_SECONDS, log.info)
    for feed in feeds:
        for finding in ensure_topics(feed, servers.kafka).findings:
            log.warning(finding)
    kinds = None if what is None else [kind.strip() for kind in what.split(",") if kind.strip()]
    archiver = Archiver(feeds, servers.kafka, url, kinds)
    log.info("archiving %s to %s", ", ".join(f"{feed.name} ({what or feed.archive})" for feed in feeds), url)
    asyncio.run(_until_asked(archiver))
    log.info("ended; %d files written", archiver.files_written)


async def _until_asked(archiver: Archiver) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, archiver.stop)
    await archiver.run()
