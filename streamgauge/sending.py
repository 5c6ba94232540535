"""What `simulate` and `replay` share: topics made, events and their labels sent with progress, and a planned stop at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from contracts.definition import Feed
from contracts.errors import ServerUnavailable
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from producers.batch import Batch
from producers.labels import Labels
from producers.replay import planned_stop
from producers.sender import Sender
from stream_processors.topics import ensure_topics
from stream_processors.waiting import wait_for_kafka
from streamgauge.commands.options import say


class Delivery(NamedTuple):
    """What came of sending; records, labels among them."""

    delivered: int
    failed: int
    seconds: float


def send_events(feed: Feed, servers: Servers, batches: Iterable[Batch], total: int, what: str, labels: Labels | None = None) -> Delivery:
    """Send events in order, then a planned stop, also where the sending is interrupted or a row cannot be read.

    Args:
        total: how many events are to come, for the progress bar.
        what: ``replay`` or ``simulate``; stands in the planned stop.
        labels: takes the batches; what falls due is sent between them, the rest at the end.

    Raises:
        ServerUnavailable: Kafka does not answer, or did not take all events; the message has the last reason.
        InputError: from `batches`.
    """
    wait_for_kafka(servers.kafka, say=say)
    for finding in ensure_topics(feed, servers.kafka).findings:
        say(f"note: {finding}")
    began = time.monotonic()
    with Sender(servers.kafka) as sender:
        newest = -1
        try:
            with _progress() as progress:
                task = progress.add_task(f"{what} {feed.name}", total=total, rate="", counts="")
                for batch in batches:
                    sender.send(events_topic(feed), batch.keys, batch.values)
                    # a clock set ahead states a time that the stop must not take over
                    newest = max(newest, int(np.minimum(batch.event_time, batch.due).max()))
                    rate = f"{(sender.delivered + sender.failed) / max(time.monotonic() - began, 1e-9):,.0f}/s"
                    progress.update(task, advance=len(batch.keys), rate=rate, counts=_counts(sender))
                    if labels is not None:
                        labels.take(batch)
                        sender.send(topic_name(feed, "labels"), *labels.due(int(batch.due[-1])))
                if labels is not None:
                    sender.send(topic_name(feed, "labels"), *labels.left())
                sender.flush()
                progress.update(
                    task, total=sender.delivered + sender.failed, completed=sender.delivered + sender.failed, counts=_counts(sender)
                )
        finally:
            delivery = _stop(feed, sender, newest, what, began)
    if delivery.failed:
        raise ServerUnavailable(f"{delivery.failed:,} of {delivery.delivered + delivery.failed:,} records failed ({sender.last_error})")
    return delivery


def _stop(feed: Feed, sender: Sender, newest: int, what: str, began: float) -> Delivery:
    """Flush, count, and record the planned stop if anything was sent."""
    sender.flush()
    delivery = Delivery(sender.delivered, sender.failed, time.monotonic() - began)
    if newest >= 0:
        stop = planned_stop(feed, newest, time.time_ns() // 1_000_000, what)
        sender.send(topic_name(feed, "evidence"), [feed.name.encode()], [stop])
        sender.flush()
    return delivery


def _counts(sender: Sender) -> str:
    return f"{sender.delivered:,} delivered, {sender.failed:,} failed"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
