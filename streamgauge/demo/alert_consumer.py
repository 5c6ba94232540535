"""The demo's alert consumer: an ordinary kafka-python consumer in a thread, which notes when each alert arrives."""

from __future__ import annotations

import threading
import time

from contracts.definition import Feed
from contracts.event_time import format_event_time
from contracts.records import Alert
from contracts.settings import KafkaSettings
from stream_processors.alert_reader import read_alerts


class AlertConsumer:
    """Collects alerts of feeds from the first on until the process ends; `lines` gets one for each incident that opens."""

    def __init__(self, feeds: list[Feed], kafka: KafkaSettings, lines: list[str]) -> None:
        self._feeds, self._kafka, self._lines = feeds, kafka, lines
        self._received: list[tuple[Alert, int]] = []
        self._thread = threading.Thread(target=self._run, name="alert consumer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for alert in read_alerts(self._feeds, self._kafka, follow=True, poll_ms=20):
            self._received.append((alert, time.monotonic_ns()))
            if alert.status == "opened":
                self._lines.append(f"{format_event_time(alert.event_time)[:16]}  {alert.severity:6} {alert.kind:9} {alert.sentence}")

    def received(self, feed: Feed) -> list[tuple[Alert, int]]:
        """(alert, monotonic ns of its arrival) of one feed so far."""
        return [item for item in self._received.copy() if item[0].id.startswith(f"{feed.name}/")]
